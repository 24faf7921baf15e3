//! Host access: host and pods talk in both directions over both families, and the LAN never hears of the shim.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)] // A test ends where it cannot go on.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kernel::{MacAddr, Netlink};
use lab::{Container, Host, Lab, LabSpec, Ping, capture};
use netns_tests::llano_plugins;
use serde_json::{Value, json};

const SPEC: &str = "
switches:
  lan: {}
  far: {}
hosts:
  host:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.1/24, \"fd09::1/64\"], mac: \"02:00:00:00:09:01\" }
      eth1: { switch: far, addresses: [192.0.2.1/24, \"fd0a::1/64\"] }
    sysctls:
      net/ipv4/conf/all/rp_filter: \"1\"
      net/ipv4/conf/default/rp_filter: \"1\"
      net/ipv4/conf/eth0/rp_filter: \"1\"
  peer:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.2/24, \"fd09::2/64\"], mac: \"02:00:00:00:09:02\" }
";

fn conf(extra: Value) -> Value {
    let mut conf = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "macvlan", "master": "eth0", "hostAccess": true,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/leases",
            "ranges": [
                [{"subnet": "10.9.0.0/24", "rangeStart": "10.9.0.100", "rangeEnd": "10.9.0.200", "gateway": "10.9.0.2"}],
                [{"subnet": "fd09::/64", "rangeStart": "fd09::100", "rangeEnd": "fd09::200", "gateway": "fd09::2"}],
            ],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
        },
    });
    for (key, value) in extra.as_object().unwrap() {
        conf[key] = value.clone();
    }
    conf
}

fn ping(from: &kernel::NetNs, to: IpAddr) -> Result<(), String> {
    let echo = Ping::new(to)
        .count(3)
        .timeout(Duration::from_secs(2))
        .run(from)
        .map_err(|error| error.to_string())?;
    if echo.received == echo.sent {
        Ok(())
    } else {
        Err(format!("{} of {} answers", echo.received, echo.sent))
    }
}

fn shims(host: &Host) -> Vec<kernel::Link> {
    let mut links = Netlink::open_in(host.net()).unwrap().links().unwrap();
    links.retain(|link| link.alias.as_deref().is_some_and(|alias| alias.starts_with("llano host access")));
    links
}

/// Both directions between the host and a pod, for each of the host's addresses.
fn all_reached(host: &Host, pod: &Container<'_>, addresses: &[IpAddr], of_host: &[&str]) {
    for address in addresses {
        ping(host.net(), *address).unwrap_or_else(|error| panic!("host to pod {address}: {error}"));
    }
    for address in of_host {
        let address: IpAddr = address.parse().unwrap();
        ping(pod.net(), address).unwrap_or_else(|error| panic!("pod to host {address}: {error}"));
    }
}

#[test]
fn both_directions_while_fifty_pods_come_and_go_and_the_lan_hears_nothing() {
    let plugins = llano_plugins();
    let lab = Lab::ephemeral(&LabSpec::parse(SPEC).unwrap()).unwrap();
    let (host, peer) = (lab.host("host").unwrap(), lab.host("peer").unwrap());
    let conf = conf(json!({}));

    // A LAN peer's session to the host, alive from before the first pod until after the last.
    let listener = host.run_in(|| TcpListener::bind("10.9.0.1:7000").unwrap()).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0u8; 1024];
        while let Ok(count) = stream.read(&mut buffer) {
            if count == 0 || stream.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
    });
    let to: SocketAddr = "10.9.0.1:7000".parse().unwrap();
    let mut session = peer.run_in(|| TcpStream::connect(to).unwrap()).unwrap();
    session.set_read_timeout(Some(Duration::from_secs(30))).unwrap();

    let seen = capture(peer.net(), "eth0").unwrap();
    let shim_macs = std::sync::Mutex::new(BTreeSet::new());
    let pod_macs = std::sync::Mutex::new(BTreeSet::new());
    let done = AtomicBool::new(false);
    let echoes = std::thread::scope(|scope| {
        let echo = scope.spawn(|| {
            let mut echoes = 0;
            while !done.load(Ordering::Relaxed) {
                session.write_all(b"hello").unwrap();
                let mut answer = [0u8; 5];
                session.read_exact(&mut answer).expect("the peer's session to the host is alive");
                echoes += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            echoes
        });
        // Also when an assertion fails: the scope waits for the echoes to end.
        let _ended = Ended(&done);
        let stayer = host.container("stayer").unwrap();
        let answer = stayer.cni_add(&plugins, &conf, "eth0").unwrap();
        let addresses: Vec<IpAddr> = answer.addresses().iter().map(ipnet_addr).collect();
        shim_macs.lock().unwrap().extend(shims(host).iter().filter_map(|shim| shim.mac));
        pod_macs.lock().unwrap().insert(answer.mac().unwrap().parse::<MacAddr>().unwrap());
        std::thread::scope(|pods| {
            for worker in 0..5 {
                let (plugins, conf, shim_macs, pod_macs) = (&plugins, &conf, &shim_macs, &pod_macs);
                pods.spawn(move || {
                    for number in 0..10 {
                        let pod = host.container(&format!("pod{worker}-{number}")).unwrap();
                        let answer = pod.cni_add(plugins, conf, "eth0").unwrap();
                        pod_macs.lock().unwrap().insert(answer.mac().unwrap().parse().unwrap());
                        let own: Vec<IpAddr> = answer.addresses().iter().map(ipnet_addr).collect();
                        all_reached(host, &pod, &own, &["10.9.0.1", "fd09::1"]);
                        shim_macs.lock().unwrap().extend(shims(host).iter().filter_map(|shim| shim.mac));
                        pod.cni_del(plugins, conf, "eth0").unwrap();
                        pod.delete().unwrap();
                    }
                });
            }
        });
        // The addresses on the host's other interface too, which the pod's subnet does not hold.
        all_reached(host, &stayer, &addresses, &["10.9.0.1", "fd09::1", "192.0.2.1", "fd0a::1"]);
        assert_eq!(shims(host).len(), 1);
        stayer.cni_del(&plugins, &conf, "eth0").unwrap();
        done.store(true, Ordering::Relaxed);
        echo.join().unwrap()
    });
    assert!(echoes > 20, "{echoes} echoes");
    drop(session);
    server.join().unwrap();
    assert_eq!(shims(host).len(), 0, "the shim goes with its last pod");

    let frames = seen.stop().unwrap();
    let (shims, pods) = (shim_macs.into_inner().unwrap(), pod_macs.into_inner().unwrap());
    assert!(!shims.is_empty() && pods.len() == 51, "{} shims, {} pods", shims.len(), pods.len());
    let neighbour = |frame: &&lab::Frame| frame.arp().is_some() || frame.ndp().is_some();
    assert!(
        frames.iter().filter(neighbour).any(|frame| frame.source().is_some_and(|mac| pods.contains(&mac)))
    );
    for frame in frames.iter().filter(neighbour) {
        let from = frame.source().unwrap();
        assert!(!shims.contains(&from), "a frame of the shim on the LAN: {frame:?}");
        if let Some(arp) = frame.arp() {
            assert!(!shims.contains(&arp.sender_mac), "an ARP packet speaks for the shim: {arp:?}");
            let of_host = arp.sender_ip.to_string() == "10.9.0.1";
            assert!(
                !of_host || arp.sender_mac.to_string() == "02:00:00:00:09:01",
                "two MACs for the host: {arp:?}"
            );
        }
    }
}

/// Sets its flag when dropped.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn ipnet_addr(net: &ipnet::IpNet) -> IpAddr {
    net.addr()
}

#[test]
fn del_works_without_result_without_namespace_and_with_a_foreign_ipam() {
    let plugins = llano_plugins();
    let lab = Lab::ephemeral(&LabSpec::parse(SPEC).unwrap()).unwrap();
    let host = lab.host("host").unwrap();
    // The reference's own static plugin under a name that is not one of ours.
    let foreign = plugins.dir().join("foreign-static");
    let _ = std::fs::remove_file(&foreign);
    std::os::unix::fs::symlink("/usr/lib/cni/static", &foreign).unwrap();
    let addresses = json!([{"address": "10.9.0.77/24"}, {"address": "fd09::77/64"}]);
    // Debian's reference plugins end at 1.0.0.
    let conf =
        conf(json!({"cniVersion": "1.0.0", "ipam": {"type": "foreign-static", "addresses": addresses}}));
    let pod = host.container("pod").unwrap();
    pod.cni_add(&plugins, &conf, "eth0").unwrap();
    let other = host.container("other").unwrap();
    let addresses = json!([{"address": "10.9.0.78/24"}, {"address": "fd09::78/64"}]);
    let mut other_conf = conf.clone();
    other_conf["ipam"]["addresses"] = addresses;
    other.cni_add(&plugins, &other_conf, "eth0").unwrap();
    all_reached(
        host,
        &pod,
        &["10.9.0.77".parse().unwrap(), "fd09::77".parse().unwrap()],
        &["10.9.0.1", "fd09::1"],
    );

    let mut without_key = conf.clone();
    without_key.as_object_mut().unwrap().remove("hostAccess");
    host.run_in(|| kernel::NetNs::delete(std::path::Path::new("/run/netns/pod"))).unwrap().unwrap();
    pod.cni_del(&plugins, &without_key, "eth0").unwrap();
    let shim = shims(host).pop().expect("the other pod still has its shim");
    let routes = |index| {
        let filter = kernel::RouteFilter { oif: Some(index), protocol: Some(76), ..Default::default() };
        Netlink::open_in(host.net()).unwrap().routes(&filter).unwrap().len()
    };
    assert_eq!(routes(shim.index), 2);
    all_reached(
        host,
        &other,
        &["10.9.0.78".parse().unwrap(), "fd09::78".parse().unwrap()],
        &["10.9.0.1", "fd09::1"],
    );
    other.cni_del(&plugins, &other_conf, "eth0").unwrap();
    assert!(shims(host).is_empty());
    // And once more: nothing there is no error.
    other.cni_del(&plugins, &other_conf, "eth0").unwrap();
}

#[test]
fn an_excluded_address_stays_out_of_reach_and_a_parent_without_address_serves_the_others() {
    let plugins = llano_plugins();
    let spec = SPEC.replace("addresses: [10.9.0.1/24, \"fd09::1/64\"], ", "");
    let lab = Lab::ephemeral(&LabSpec::parse(&spec).unwrap()).unwrap();
    let host = lab.host("host").unwrap();
    let conf = conf(json!({"hostAccess": {"exclude": ["fd0a::/16"]}}));
    let pod = host.container("pod").unwrap();
    let answer = pod.cni_add(&plugins, &conf, "eth0").unwrap();
    let v4: Vec<IpAddr> = answer.addresses().iter().map(ipnet_addr).filter(IpAddr::is_ipv4).collect();
    all_reached(host, &pod, &v4, &["192.0.2.1"]);
    assert!(ping(pod.net(), "fd0a::1".parse().unwrap()).is_err());
    pod.cni_del(&plugins, &conf, "eth0").unwrap();
    assert!(shims(host).is_empty());
}

#[test]
fn check_sees_what_is_lost() {
    let plugins = llano_plugins();
    let lab = Lab::ephemeral(&LabSpec::parse(SPEC).unwrap()).unwrap();
    let host = lab.host("host").unwrap();
    let conf = conf(json!({}));
    let pod = host.container("pod").unwrap();
    let result = pod.cni_add(&plugins, &conf, "eth0").unwrap().json;
    let call = || lab::Call { container: &pod, ifname: "eth0", id: "pod", args: "" };
    plugins.check(&conf, &call(), &result).unwrap();
    // A link that goes down and up loses its permanent neighbours and its routes.
    for state in ["down", "up"] {
        assert!(pod.command("ip").unwrap().args(["link", "set", "eth0", state]).status().unwrap().success());
    }
    for (family, route) in [("-4", "default via 10.9.0.2"), ("-6", "default via fd09::2")] {
        let words: Vec<&str> = route.split(' ').collect();
        // IPv6 keeps its route over keep_addr_on_down; a second one is refused, and that is fine.
        let _ = pod.command("ip").unwrap().args([family, "route", "add"]).args(words).output().unwrap();
    }
    let lost = plugins.check(&conf, &call(), &result).unwrap_err().to_string();
    assert!(lost.contains("host access") && lost.contains("neighbour"), "{lost}");
    pod.cni_del(&plugins, &conf, "eth0").unwrap();
}
