//! The lab itself: it comes up, it goes away, and the machine does not notice.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lab::{Example, Lab, Ping, PingError, capture, steps};
use netns_tests::{LeakCheck, require_root, seed_002, two_hosts, up};

const PATIENCE: Duration = Duration::from_secs(5);

fn directory(name: &str) -> PathBuf {
    Path::new("/run/llano-lab").join(name)
}

/// A name no other test or test run has.
fn unique(what: &str) -> String {
    format!("{what}-{}", std::process::id())
}

/// Runs the body, takes the lab down even when it panics.
struct Down(String);

impl Drop for Down {
    fn drop(&mut self) {
        if directory(&self.0).exists() {
            let _ = Lab::down(&self.0);
        }
    }
}

#[test]
fn up_and_down_twice_leaves_nothing() {
    let check = LeakCheck::begin();
    let name = unique("twice");
    let _guard = Down(name.clone());
    let spec = Example::find("seed-002").unwrap().spec().unwrap();
    for _ in 0..2 {
        let lab = Lab::up(&spec, &name).unwrap();
        assert!(matches!(Lab::up(&spec, &name), Err(lab::Error::Exists { .. })));
        assert!(Lab::list().iter().any(|lab| lab.name == name && lab.stage == Some(lab::Stage::Up)));
        for matrix in lab.matrix(1, PATIENCE).unwrap() {
            assert_eq!(matrix.cells.len(), 5 * 4);
            assert_eq!(matrix.failures().count(), 0, "{matrix:?}");
        }
        Lab::down(&name).unwrap();
        assert!(!directory(&name).exists());
        assert!(matches!(Lab::down(&name), Err(lab::Error::NoSuchLab { .. })));
    }
    check.assert_clean();
}

#[test]
fn every_example_pings() {
    for example in lab::EXAMPLES {
        let lab = netns_tests::example(example.name);
        let matrices = lab.matrix(1, PATIENCE).unwrap();
        assert!(!matrices.is_empty(), "{}", example.name);
        // Where every host has a way to every other. In `hairpin`, host1 has no route to the wire behind host2.
        if example.name != "hairpin" {
            for matrix in matrices {
                assert_eq!(matrix.failures().count(), 0, "{}: {matrix:?}", example.name);
            }
        }
    }
}

#[test]
fn two_labs_side_by_side_do_not_meet() {
    let (one, two) = (two_hosts(), two_hosts());
    let address = one.host("host2").unwrap().address().unwrap();
    assert_ne!(
        one.host("host2").unwrap().net().id().unwrap(),
        two.host("host2").unwrap().net().id().unwrap()
    );
    // Same addresses in both: only the capture can tell whose frames they are.
    let listening = capture(two.switch("lan").unwrap().net(), "host2-eth0").unwrap();
    Ping::new(address).timeout(PATIENCE).run(one.host("host1").unwrap().net()).unwrap();
    let frames = listening.stop().unwrap();
    // A link that just came up reports its multicast groups by IGMP, which is IPv4 too.
    let echoes =
        frames.iter().filter(|frame| frame.ethertype() == Some(0x0800) && frame.bytes.get(23) == Some(&1));
    assert_eq!(echoes.count(), 0, "{frames:?}");
    let asked = frames.iter().filter_map(lab::Frame::arp).filter(|arp| arp.target_ip == address).count();
    assert_eq!(asked, 0, "{frames:?}");
    drop(one);
    Ping::new(address).timeout(PATIENCE).run(two.host("host1").unwrap().net()).unwrap();
}

#[test]
fn a_capture_sees_both_directions() {
    let lab = two_hosts();
    let address = lab.host("host2").unwrap().address().unwrap();
    let listening = capture(lab.switch("lan").unwrap().net(), "host1-eth0").unwrap();
    let echo = Ping::new(address).count(3).timeout(PATIENCE).run(lab.host("host1").unwrap().net()).unwrap();
    assert_eq!((echo.sent, echo.received), (3, 3));
    let frames = listening.stop().unwrap();
    let asked = frames.iter().filter_map(lab::Frame::arp).filter(|arp| arp.target_ip == address).count();
    assert_eq!(asked, 1, "{frames:?}");
    let echoes =
        frames.iter().filter(|frame| frame.ethertype() == Some(0x0800) && frame.bytes.get(23) == Some(&1));
    assert_eq!(echoes.count(), 6, "{frames:?}");
}

#[test]
fn a_host_has_directories_of_its_own() {
    let check = LeakCheck::begin();
    let lab = two_hosts();
    for (host, other) in [("host1", "host2"), ("host2", "host1")] {
        for dir in ["/run", "/etc/cni", "/opt/cni", "/var/lib/cni", "/var/lib/llano"] {
            let write = format!("test -z \"$(find {dir} -name 'of-*')\" && touch {dir}/of-{host}");
            let status =
                lab.host(host).unwrap().command("sh").unwrap().args(["-c", &write]).status().unwrap();
            assert!(status.success(), "{dir} of {host} shows a file of {other}");
        }
    }
    let host = lab.host("host1").unwrap();
    let output = host.command("ls").unwrap().arg("/sys/class/net").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "eth0\nlo\n");
    let environment = host.command("env").unwrap().output().unwrap();
    assert!(String::from_utf8_lossy(&environment.stdout).contains("LLANO_LAB_HOST=host1\n"));
    let inside = host.run_in(|| std::fs::read_dir("/etc/cni").unwrap().count()).unwrap();
    assert_eq!(inside, 1);
    drop(lab);
    check.assert_clean();
}

#[test]
fn down_ends_every_process() {
    let lab = two_hosts();
    let host = lab.host("host1").unwrap();
    let container = host.container("web").unwrap();
    // One on the host, one in a container, and one that left the lab's namespaces but is a descendant.
    let mut children = [
        host.command("sleep").unwrap().arg("1000").spawn().unwrap(),
        container.command("sleep").unwrap().arg("1000").spawn().unwrap(),
        host.command("sh")
            .unwrap()
            .args(["-c", "unshare -n -m sleep 1000 & wait"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    ];
    let processes = || Lab::list().into_iter().find(|known| known.name == lab.name()).unwrap().processes;
    while processes() < 4 {
        std::thread::sleep(Duration::from_millis(5));
    }
    Lab::down(lab.name()).unwrap();
    for child in &mut children {
        let status = child.wait().unwrap();
        assert!(!status.success(), "{status}");
    }
    assert!(!directory(lab.name()).exists());
}

#[test]
fn a_container_is_pinged_and_deleted() {
    let lab = two_hosts();
    let host = lab.host("host1").unwrap();
    let container = host.container("web").unwrap();
    assert_eq!(host.containers().unwrap(), ["web"]);
    assert!(host.container("web").is_err());
    let status = container.command("ip").unwrap().args(["link", "set", "lo", "up"]).status().unwrap();
    assert!(status.success());
    let own = "127.0.0.1".parse().unwrap();
    Ping::new(own).timeout(PATIENCE).run(container.net()).unwrap();
    let other = lab.host("host2").unwrap().address().unwrap();
    assert_eq!(Ping::new(other).run(container.net()), Err(PingError::NoRoute));
    container.delete().unwrap();
    assert!(host.containers().unwrap().is_empty());
}

#[test]
fn settings_routers_mtu_and_macs_are_as_described() {
    let lab = up("
switches: { a: { mtu: 9000 }, b: {} }
hosts:
  x: { interfaces: { eth0: { switch: a, addresses: 10.9.1.1/24, mac: '02:00:00:00:09:01' } }, gateway: 10.9.1.2 }
  y: { interfaces: { eth0: { switch: b, addresses: [10.9.2.1/24, 'fd09::1/64'] } }, sysctls: { net/ipv4/conf/all/rp_filter: 1 },
       routes: [ { to: 10.9.1.0/24, via: 10.9.2.2 } ] }
routers:
  r: { interfaces: { eth0: { switch: a, addresses: 10.9.1.2/24 }, eth1: { switch: b, addresses: 10.9.2.2/24 } } }
");
    let link = |host: &str| {
        let mut netlink = kernel::Netlink::open_in(lab.host(host).unwrap().net()).unwrap();
        netlink.link_by_name("eth0").unwrap().unwrap()
    };
    assert_eq!((link("x").mtu, link("y").mtu), (9000, 1500));
    assert_eq!(link("x").mac, Some("02:00:00:00:09:01".parse().unwrap()));
    let setting =
        |host: &str, key| lab.host(host).unwrap().net().run(|| kernel::sysctl::read(key)).unwrap().unwrap();
    assert_eq!(setting("y", "net/ipv4/conf/all/rp_filter").trim(), "1");
    assert_eq!(setting("r", "net/ipv4/ip_forward").trim(), "1");
    assert_eq!(setting("x", "net/ipv4/ip_forward").trim(), "0");
    let y = lab.host("y").unwrap().address().unwrap();
    Ping::new(y).timeout(PATIENCE).run(lab.host("x").unwrap().net()).unwrap();
}

#[test]
fn a_gateway_that_does_not_forward_answers_and_forwards_nothing() {
    let lab = up("
switches: [a, b]
hosts:
  x: { interfaces: { eth0: { switch: a, addresses: 10.9.1.1/24 } }, gateway: 10.9.1.2 }
  y: { interfaces: { eth0: { switch: b, addresses: 10.9.2.1/24 } }, gateway: 10.9.2.2 }
routers:
  r: { forward: false, interfaces: { eth0: { switch: a, addresses: 10.9.1.2/24 }, eth1: { switch: b, addresses: 10.9.2.2/24 } } }
");
    let x = lab.host("x").unwrap().net();
    Ping::new("10.9.1.2".parse().unwrap()).timeout(PATIENCE).run(x).unwrap();
    let beyond = Ping::new("10.9.2.1".parse().unwrap()).timeout(Duration::from_millis(200)).run(x);
    assert_eq!(beyond, Err(PingError::Silence));
}

/// Brings a lab up and aborts the process before step CRASH_AT. Run by the test below, in a process of its own.
#[test]
#[ignore = "the other half of a_crash_at_any_step_is_cleared_away"]
fn crash() {
    let (Ok(name), Ok(at)) = (std::env::var("CRASH_LAB"), std::env::var("CRASH_AT")) else { return };
    let at: usize = at.parse().unwrap();
    let spec = Example::find("seed-002").unwrap().spec().unwrap();
    let mut stop = |step, _: &lab::Step| {
        if step == at {
            std::process::abort();
        }
    };
    let _ = Lab::up_with(&spec, &name, &mut stop);
}

#[test]
fn a_crash_at_any_step_is_cleared_away() {
    require_root();
    let check = LeakCheck::begin();
    let spec = Example::find("seed-002").unwrap().spec().unwrap();
    for at in 0..steps("crash", &spec).len() {
        let name = unique("crash");
        let _guard = Down(name.clone());
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash", "--ignored", "--test-threads", "1"])
            .env("CRASH_LAB", &name)
            .env("CRASH_AT", at.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(!status.success(), "step {at} was not reached");
        assert!(directory(&name).exists(), "step {at}");
        assert!(Lab::open(&name).is_err(), "step {at}: half a lab must not open");
        let summary = Lab::list().into_iter().find(|lab| lab.name == name).unwrap();
        assert_ne!(summary.stage, Some(lab::Stage::Up), "step {at}");
        assert!(matches!(Lab::up(&spec, &name), Err(lab::Error::Exists { .. })), "step {at}");
        Lab::down(&name).unwrap();
        assert!(!directory(&name).exists(), "step {at}");
    }
    check.assert_clean();
}

#[test]
fn namespaces_end_with_their_lab() {
    // Another lab that is younger must not keep an older one's namespaces alive.
    let old = seed_002();
    let young = two_hosts();
    let seen: HashSet<u64> = old.hosts().iter().map(|host| host.net().id().unwrap().1).collect();
    drop(old);
    let held = young.host("host1").unwrap();
    let mounts = held.run_in(|| std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap()).unwrap();
    assert!(!mounts.contains("nsfs"), "{mounts}");
    for inode in seen {
        assert!(!mounts.contains(&format!("net:[{inode}]")));
    }
    assert!(std::fs::metadata("/proc/self/ns/net").unwrap().ino() > 0);
}
