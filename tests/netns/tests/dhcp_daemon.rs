//! The DHCP daemon: started once, killed, absent, raced.

#![allow(clippy::unwrap_used)] // A test ends where it cannot go on.

#[path = "dhcp/mod.rs"]
mod dhcp;

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;

use dhcp::{Bench, addresses, conf, wait};
use lab::{Call, Plugins};
use serde_json::{Value, json};

const RANGE: &str = "--dhcp-range=10.77.0.50,10.77.0.250,2m";
/// Short times, so that what a daemon neglects shows soon.
const SHORT: [&str; 3] = [RANGE, "--dhcp-option=option:T1,3", "--dhcp-option=option:T2,4"];

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("pod{n}")).collect()
}

#[test]
fn a_hundred_adds_at_once_start_one_daemon() {
    let bench = Bench::new();
    let server = bench.dnsmasq("one", &[RANGE]);
    let names = names(100);
    let pods: Vec<_> = names.iter().map(|name| bench.host().container(name).unwrap()).collect();
    let ipam = json!({"timeout": 60});
    let answers: Vec<_> = thread::scope(|scope| {
        let calls: Vec<_> = pods.iter().map(|pod| scope.spawn(|| bench.add(pod, &ipam))).collect();
        calls.into_iter().map(|call| call.join().unwrap().unwrap()).collect()
    });
    let unique: BTreeSet<_> = answers.iter().map(|a| a.address().unwrap()).collect();
    assert_eq!(unique.len(), 100);
    assert_eq!(bench.daemons().len(), 1);
    let log = bench.host().run_in(|| std::fs::read_to_string("/run/llano/dhcp.sock.log").unwrap()).unwrap();
    assert_eq!(log.matches(" serving ").count(), 1, "{log}");
    assert!(!log.contains("another daemon"), "nor was a second one even tried");
    // One thread, and no descriptor for an idle lease.
    let pid = bench.daemons()[0];
    assert_eq!(std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count(), 1);
    wait("idle leases to hold no descriptor", || {
        std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() < 16
    });
    thread::scope(|scope| {
        let calls: Vec<_> = pods.iter().map(|pod| scope.spawn(|| bench.del(pod, &ipam))).collect();
        calls.into_iter().for_each(|call| call.join().unwrap().unwrap());
    });
    wait("every lease to be free", || !server.leases().contains("10.77.0."));
    assert!(bench.leases().is_empty());
}

#[test]
fn leases_survive_a_killed_daemon() {
    let bench = Bench::new();
    let server = bench.dnsmasq("one", &SHORT);
    let daemon = bench.daemon(&[]);
    let pod = bench.host().container("pod").unwrap();
    let ipam = json!({"families": ["ipv4"]});
    let answer = bench.add(&pod, &ipam).unwrap();
    drop(daemon);
    assert!(bench.daemons().is_empty());
    // CHECK starts the next daemon, over the stale socket.
    bench.check(&pod, &ipam, &answer).unwrap();
    assert_eq!(bench.daemons().len(), 1);
    assert_eq!(bench.leases()[0]["addresses"][0], json!(answer.addresses()[0].to_string()));
    let before = server.count("DHCPACK(");
    wait("it to renew the lease it found", || server.count("DHCPACK(") >= before + 2);
    assert_eq!((server.count("DHCPDISCOVER("), addresses(&pod).len()), (1, 1));
    bench.del(&pod, &ipam).unwrap();
    wait("the lease to be free", || !server.leases().contains("10.77.0."));
}

#[test]
fn a_daemon_ends_cleanly_and_the_next_goes_on() {
    let bench = Bench::new();
    let server = bench.dnsmasq("one", &[RANGE]);
    let pidfile = bench.file("pid");
    let daemon = bench.daemon(&["--pidfile", pidfile.to_str().unwrap()]);
    let text = std::fs::read_to_string(&pidfile).unwrap();
    assert_eq!(text.trim(), daemon.pid().as_raw_nonzero().to_string());
    let pod = bench.host().container("pod").unwrap();
    bench.add(&pod, &json!({})).unwrap();
    assert!(daemon.terminate());
    assert!(!pidfile.exists());
    assert!(!bench.host().run_in(|| Path::new("/run/llano/dhcp.sock").exists()).unwrap());
    assert!(server.leases().contains("10.77.0."), "ending is not releasing");
    // DEL with no daemon there: it is started for the lease it has on disk.
    bench.del(&pod, &json!({})).unwrap();
    wait("the lease to be free", || !server.leases().contains("10.77.0."));
}

#[test]
fn a_second_daemon_is_refused() {
    let bench = Bench::new();
    let _first = bench.daemon(&[]);
    let mut second = bench.host().command(netns_tests::bin_dir().join("llano")).unwrap();
    let output = second.arg("dhcp").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("served by another daemon"), "{text}");
}

#[test]
fn without_llano_the_error_is_code_50_and_says_so() {
    let bench = Bench::new();
    let alone = bench.dir.path().join("alone");
    std::fs::create_dir(&alone).unwrap();
    std::fs::copy(netns_tests::bin_dir().join("llano-cni"), alone.join("llano-cni")).unwrap();
    let plugins = Plugins::install(&alone.join("llano-cni"), &alone.join("cni")).unwrap();
    let pod = bench.host().container("pod").unwrap();
    let call = Call { container: &pod, ifname: "eth0", id: "pod", args: "" };
    for verb in ["ADD", "STATUS"] {
        let stdin = conf(&json!({})).to_string();
        let output = plugins.run_raw(verb, "macvlan", stdin.as_bytes(), &call).unwrap();
        let error: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(error["code"], 50, "{verb} {error}");
        assert!(error["msg"].as_str().unwrap().contains("\"llano\""), "{verb} {error}");
    }
    // Nothing was leased, so DEL and GC have nothing to fail about.
    plugins.del(&conf(&json!({})), &call, &Value::Null).unwrap();
    assert!(addresses(&pod).is_empty());
}

#[test]
fn del_that_finds_no_daemon_and_no_llano_is_done_by_the_next_daemon() {
    let bench = Bench::new();
    let server = bench.dnsmasq("one", &[RANGE]);
    let alone = bench.dir.path().join("alone");
    std::fs::create_dir(&alone).unwrap();
    std::fs::copy(netns_tests::bin_dir().join("llano-cni"), alone.join("llano-cni")).unwrap();
    let plugins = Plugins::install(&alone.join("llano-cni"), &alone.join("cni")).unwrap();
    let daemon = bench.daemon(&[]);
    let pod = bench.host().container("pod").unwrap();
    let ipam = json!({});
    bench.add(&pod, &ipam).unwrap();
    drop(daemon);
    // `dhcp` by its own name, as a foreign main plugin calls it: the link stays.
    let call = Call { container: &pod, ifname: "eth0", id: "pod", args: "" };
    let mut config = conf(&ipam);
    config["type"] = json!("dhcp");
    plugins.del(&config, &call, &Value::Null).unwrap();
    assert!(server.leases().contains("10.77.0."));
    let daemon = bench.daemon(&[]);
    wait("the lease to be free", || !server.leases().contains("10.77.0."));
    assert!(bench.leases().is_empty());
    let spool = || std::fs::read_dir("/var/lib/llano/dhcp/spool").unwrap().count();
    assert_eq!(bench.host().run_in(spool).unwrap(), 0);
    drop(daemon);
}

#[test]
fn add_racing_del_leaks_nothing() {
    let bench = Bench::new();
    let server = bench.dnsmasq("one", &[RANGE]);
    let pod = bench.host().container("pod").unwrap();
    let ipam = json!({});
    for _ in 0..10 {
        thread::scope(|scope| {
            let add = scope.spawn(|| bench.add(&pod, &ipam));
            let del = scope.spawn(|| bench.del(&pod, &ipam));
            // Either may win; a DEL never fails.
            let _ = add.join().unwrap();
            del.join().unwrap().unwrap();
        });
        bench.del(&pod, &ipam).unwrap();
        assert!(bench.leases().is_empty());
    }
    wait("every lease to be free", || !server.leases().contains("10.77.0."));
    bench.add(&pod, &ipam).unwrap();
    bench.del(&pod, &ipam).unwrap();
}

#[test]
fn a_vanished_pod_is_deleted_and_forgotten() {
    let bench = Bench::new();
    let _server = bench.dnsmasq("one", &SHORT);
    let ipam = json!({});
    let pod = bench.host().container("first").unwrap();
    bench.add(&pod, &ipam).unwrap();
    // Gone without DEL: at the next renewal the daemon notices.
    pod.delete().unwrap();
    wait("the lease to be forgotten", || bench.leases().is_empty());
    let pod = bench.host().container("second").unwrap();
    let answer = bench.add(&pod, &ipam).unwrap();
    let path = pod.path();
    bench.host().run_in(|| kernel::NetNs::delete(&path)).unwrap().unwrap();
    assert!(bench.check(&pod, &ipam, &answer).is_err());
    bench.del(&pod, &ipam).unwrap();
    assert!(bench.leases().is_empty());
}

#[test]
fn gc_gives_back_what_is_not_valid() {
    let bench = Bench::new();
    let server = bench.dnsmasq("one", &[RANGE]);
    let (keep, drop) = (bench.host().container("keep").unwrap(), bench.host().container("drop").unwrap());
    let ipam = json!({});
    let kept = bench.add(&keep, &ipam).unwrap();
    bench.add(&drop, &ipam).unwrap();
    let mut config = conf(&ipam);
    config["cni.dev/valid-attachments"] = json!([{"containerID": "keep", "ifname": "eth0"}]);
    let call = Call { container: &keep, ifname: "", id: "", args: "" };
    bench.plugins.run("GC", &config, &call).unwrap();
    let rows = bench.leases();
    assert_eq!((rows.len(), &rows[0]["containerID"]), (1, &json!("keep")));
    wait("one lease to be free", || server.leases().matches("10.77.0.").count() == 1);
    bench.check(&keep, &ipam, &kept).unwrap();
    bench.del(&keep, &ipam).unwrap();
}

#[test]
fn status_starts_the_daemon() {
    let bench = Bench::new();
    let pod = bench.host().container("pod").unwrap();
    let mut config = conf(&json!({}));
    config["type"] = json!("dhcp");
    let call = Call { container: &pod, ifname: "", id: "", args: "" };
    bench.plugins.run("STATUS", &config, &call).unwrap();
    assert_eq!(bench.daemons().len(), 1);
}

#[test]
fn an_add_repeated_gets_the_same_and_a_new_link_asks_for_the_old_address() {
    let bench = Bench::new();
    let server = bench.dnsmasq("one", &[RANGE]);
    let pod = bench.host().container("pod").unwrap();
    let ipam = json!({});
    let first = bench.add(&pod, &ipam).unwrap();
    let mut config = conf(&ipam);
    config["type"] = json!("dhcp");
    let call = Call { container: &pod, ifname: "eth0", id: "pod", args: "" };
    let again = bench.plugins.add(&config, &call).unwrap();
    assert_eq!(again.addresses(), first.addresses());
    assert_eq!(server.count("DHCPDISCOVER("), 1);
    // The link goes without DEL, and comes back with another MAC.
    let mut netlink = kernel::Netlink::open_in(pod.net()).unwrap();
    netlink.apply(&kernel::Change::DeleteLinkByName("eth0".to_owned())).unwrap();
    let second = bench.add(&pod, &ipam).unwrap();
    assert_eq!(second.addresses(), first.addresses());
    bench.del(&pod, &ipam).unwrap();
    wait("the lease to be free", || !server.leases().contains("10.77.0."));
}

#[test]
fn systemd_may_hold_the_socket() {
    let bench = Bench::new();
    let _server = bench.dnsmasq("one", &[RANGE]);
    let listen = "/run/llano/dhcp.sock";
    bench.host().run_in(|| std::fs::create_dir_all("/run/llano").unwrap()).unwrap();
    let mut command = bench.host().command("/usr/bin/systemd-socket-activate").unwrap();
    command.arg("--listen").arg(listen).arg(netns_tests::bin_dir().join("llano")).arg("dhcp");
    let mut activator = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    wait("systemd to listen", || bench.host().run_in(|| Path::new(listen).exists()).unwrap());
    let pod = bench.host().container("pod").unwrap();
    let ipam = json!({});
    bench.add(&pod, &ipam).unwrap();
    assert_eq!(bench.daemons(), [i32::try_from(activator.id()).unwrap()], "the one that systemd started");
    bench.del(&pod, &ipam).unwrap();
    let pid = rustix::process::Pid::from_child(&activator);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(activator.wait().unwrap().success());
    assert!(bench.host().run_in(|| Path::new(listen).exists()).unwrap(), "the file is systemd's");
}

#[test]
fn a_daemon_may_see_the_host_below_a_prefix() {
    let bench = Bench::new();
    let _server = bench.dnsmasq("one", &[RANGE]);
    let prefix = bench.file("host");
    std::os::unix::fs::symlink("/", &prefix).unwrap();
    let daemon = bench.daemon(&["--host-prefix", prefix.to_str().unwrap()]);
    let pod = bench.host().container("pod").unwrap();
    let ipam = json!({});
    bench.add(&pod, &ipam).unwrap();
    let netns = bench.leases()[0]["netns"].as_str().unwrap().to_owned();
    assert!(netns.starts_with(prefix.to_str().unwrap()), "{netns}");
    bench.del(&pod, &ipam).unwrap();
    assert!(daemon.terminate());
}

#[test]
fn a_stranger_is_not_served() {
    let bench = Bench::new();
    let _daemon = bench.daemon(&[]);
    let mode = |path: &'static str| {
        use std::os::unix::fs::PermissionsExt;
        bench.host().run_in(move || std::fs::metadata(path).unwrap().permissions().mode() & 0o777).unwrap()
    };
    assert_eq!((mode("/run/llano"), mode("/run/llano/dhcp.sock")), (0o700, 0o600));
    // Even with the permissions opened by somebody, the daemon looks at who calls.
    let open = |path: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    bench.host().run_in(|| (open("/run/llano", 0o755), open("/run/llano/dhcp.sock", 0o666))).unwrap();
    let ask = |uid: u32| bench.host().run_in(|| ask_as(uid)).unwrap();
    assert!(ask(0).ends_with("[]"), "{}", ask(0));
    assert_eq!(ask(65_534), "");
}

/// The list of leases, asked for by a thread of this user. Nothing when the daemon hangs up.
fn ask_as(uid: u32) -> String {
    use std::io::{Read, Write};
    let uid = rustix::process::Uid::from_raw(uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
    let mut stream = std::os::unix::net::UnixStream::connect("/run/llano/dhcp.sock").unwrap();
    let mut answer = String::new();
    let _ = stream.write_all(b"GET /leases HTTP/1.1\r\n\r\n");
    let _ = stream.read_to_string(&mut answer);
    answer
}
