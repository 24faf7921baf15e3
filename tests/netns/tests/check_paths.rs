//! `llano check connectivity` names the place where a frame was lost; `llano check overlay` finds what is wrong with a VXLAN.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test ends where it cannot go on.

use std::process::Command;

use lab::{Container, Ephemeral, Host};
use netns_tests::{bin_dir, llano_plugins, seed_002, up};
use serde_json::{Value, json};

fn shell(host: &Host, script: &str) {
    let output = host.command("sh").unwrap().args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

fn on_switch(lab: &Ephemeral, script: &str) {
    let run = || Command::new("sh").args(["-ec", script]).output().unwrap();
    let output = lab.switch("lan").unwrap().net().run(run).unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

fn inside(pod: &Container<'_>, script: &str) {
    let output = pod.command("sh").unwrap().args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

fn llano(host: &Host, args: &[&str]) -> Value {
    let mut command = host.command(bin_dir().join("llano")).unwrap();
    let output = command.arg("check").args(args).args(["--output", "json"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)))
}

/// Two pods on host1, of a network without host access.
fn pods<'a>(host: &'a Host, access: bool) -> [Container<'a>; 2] {
    let plugins = llano_plugins();
    let conf = json!({
        "cniVersion": "1.0.0", "name": "lan", "type": "macvlan", "master": "eth0", "hostAccess": access,
        "ipam": {
            "type": "host-local", "subnet": "172.16.129.0/24", "rangeStart": "172.16.129.110",
            "rangeEnd": "172.16.129.119", "gateway": "172.16.129.254", "routes": [{"dst": "0.0.0.0/0"}],
        },
    });
    ["red", "blue"].map(|name| {
        let pod = host.container(name).unwrap();
        pod.cni_add(&plugins, &conf, "eth0").unwrap();
        pod
    })
}

fn cell<'a>(matrix: &'a Value, from: &str, to: &str) -> &'a Value {
    let cells = matrix["cells"].as_array().unwrap();
    let found = cells.iter().find(|cell| cell["from"] == from && cell["to"] == to);
    found.unwrap_or_else(|| panic!("no cell {from} -> {to}: {matrix:#}"))
}

const GATEWAY: &str = "gateway 172.16.129.254";
const PEER: &str = "peer 172.16.129.103";

fn matrix(host: &Host) -> Value {
    llano(host, &["connectivity", "--peer", "172.16.129.103"])
}

fn assert_lost(matrix: &Value, from: &str, to: &str, place: &str, says: &str) {
    let cell = cell(matrix, from, to);
    assert_eq!((&cell["status"], &cell["place"]), (&json!("lost"), &json!(place)), "{cell:#}");
    assert!(cell["summary"].as_str().unwrap().contains(says), "{says}: {cell:#}");
}

#[test]
fn a_healthy_matrix_is_green_with_host_access() {
    let lab = seed_002();
    let host = lab.host("host1").unwrap();
    let _pods = pods(host, true);
    let matrix = matrix(host);
    for cell in matrix["cells"].as_array().unwrap() {
        assert_eq!(cell["status"], "ok", "{cell:#}");
        assert_eq!((&cell["mtu"], &cell["linkMtu"]), (&json!(1500), &json!(1500)), "{cell:#}");
    }
    assert_eq!(matrix["cells"].as_array().unwrap().len(), 3 * 4, "{matrix:#}");
}

#[test]
fn host_and_own_pod_without_host_access() {
    let lab = seed_002();
    let host = lab.host("host1").unwrap();
    let _pods = pods(host, false);
    let matrix = matrix(host);
    assert_lost(&matrix, "host", "red", "isolation", "hostAccess");
    assert_lost(&matrix, "red", "host", "isolation", "hostAccess");
    for (from, to) in [("red", "blue"), ("red", PEER), ("red", GATEWAY), ("host", GATEWAY)] {
        assert_eq!(cell(&matrix, from, to)["status"], "ok", "{matrix:#}");
    }
}

#[test]
fn a_child_that_is_down() {
    let lab = seed_002();
    let host = lab.host("host1").unwrap();
    let [red, _blue] = pods(host, false);
    inside(&red, "ip link set eth0 down");
    let matrix = matrix(host);
    assert_lost(&matrix, "red", PEER, "sender", "eth0 of red is down");
    assert_lost(&matrix, "blue", "red", "receiver", "eth0 of red is down");
    assert_eq!(cell(&matrix, "blue", PEER)["status"], "ok");
}

#[test]
fn a_filter_on_the_parent() {
    let lab = seed_002();
    let host = lab.host("host1").unwrap();
    let _pods = pods(host, false);
    // Answers to others than the host's own MAC go nowhere: this kernel has no action to drop, a dead end does.
    shell(
        host,
        "ip link add sink type veth peer name drain
         tc qdisc add dev eth0 ingress
         tc filter add dev eth0 parent ffff: protocol all prio 1 u32 match u16 0x0200 0xffff at -14 match u32 0x00000101 0xffffffff at -12 flowid 1:1
         tc filter add dev eth0 parent ffff: protocol all prio 2 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev sink",
    );
    let matrix = matrix(host);
    assert_lost(&matrix, "red", PEER, "parent", "between eth0 of the host and eth0 of red");
    let trace = cell(&matrix, "red", PEER)["trace"].to_string();
    assert!(trace.contains("its answer seen on eth0 of the host"), "{trace}");
    assert!(trace.contains("its answer not seen on eth0 of red"), "{trace}");
    assert_eq!(cell(&matrix, "host", PEER)["status"], "ok", "{matrix:#}");
}

#[test]
fn a_switch_that_drops_a_mac() {
    let lab = seed_002();
    let host = lab.host("host1").unwrap();
    let _pods = pods(host, false);
    on_switch(
        &lab,
        "bridge fdb replace 02:00:00:00:01:01 dev host1-eth0 master static
         bridge link set dev host1-eth0 learning off locked on
         ip link set host1-eth0 type bridge_slave fdb_flush", // What the pods announced is forgotten.
    );
    let matrix = matrix(host);
    assert_lost(&matrix, "red", PEER, "lan", "the switch or hypervisor drops frames of red's MAC");
    assert_eq!(cell(&matrix, "red", "blue")["status"], "ok", "{matrix:#}");
    assert_eq!(cell(&matrix, "host", PEER)["status"], "ok", "{matrix:#}");
}

#[test]
fn a_gateway_that_is_silent() {
    let lab = seed_002();
    let host = lab.host("host1").unwrap();
    let _pods = pods(host, false);
    shell(lab.host("gateway").unwrap(), "ip link set eth0 down");
    let matrix = matrix(host);
    assert_lost(&matrix, "red", GATEWAY, "gateway", "answers nobody");
    assert_lost(&matrix, "host", GATEWAY, "gateway", "answers nobody");
    assert_eq!(cell(&matrix, "red", PEER)["status"], "ok", "{matrix:#}");
}

/// Two nodes with a LAN for the overlay and another network.
const NODES: &str = "
switches: { lan: {}, other: {} }
hosts:
  node1:
    interfaces:
      eth0: { switch: lan, addresses: [10.1.0.1/24] }
      eth1: { switch: other, addresses: [10.2.0.1/24] }
  node2:
    interfaces:
      eth0: { switch: lan, addresses: [10.1.0.2/24] }
      eth1: { switch: other, addresses: [10.2.0.2/24] }
";

fn vxlan(own: u8, other: &str) -> String {
    format!(
        "ip link add flannel.1 type vxlan id 1 dev eth0 local 10.1.0.{own} dstport 8472 nolearning
         ip link set flannel.1 up
         bridge fdb append 7e:18:48:60:3b:97 dev flannel.1 dst {other}"
    )
}

fn overlay(break_it: impl FnOnce(&Ephemeral), args: &[&str]) -> Vec<Value> {
    let lab = up(NODES);
    shell(lab.host("node1").unwrap(), &vxlan(1, "10.1.0.2"));
    shell(lab.host("node2").unwrap(), &vxlan(2, "10.1.0.1"));
    break_it(&lab);
    let report = llano(lab.host("node1").unwrap(), &[&["overlay"], args].concat());
    report["findings"].as_array().unwrap().clone()
}

fn fails(findings: &[Value], id: &str, says: &str) {
    let found = findings.iter().any(|finding| {
        finding["id"] == id
            && finding["status"] == "fail"
            && finding["summary"].as_str().unwrap().contains(says)
    });
    assert!(found, "{id} does not fail with {says:?}: {findings:#?}");
}

#[test]
fn a_healthy_overlay_is_all_ok() {
    let findings = overlay(|_| {}, &["--peer", "10.1.0.2"]);
    assert!(findings.iter().all(|finding| finding["status"] == "ok"), "{findings:#?}");
    let ids: std::collections::BTreeSet<_> =
        findings.iter().map(|finding| finding["id"].as_str().unwrap()).collect();
    assert_eq!(ids, check::OVERLAY_IDS.into_iter().collect());
}

#[test]
fn a_wrong_destination() {
    let wrong = |dst: &'static str| {
        move |lab: &Ephemeral| {
            let script = format!(
                "bridge fdb del 7e:18:48:60:3b:97 dev flannel.1 dst 10.1.0.2
                 bridge fdb append 7e:18:48:60:3b:97 dev flannel.1 dst {dst}"
            );
            shell(lab.host("node1").unwrap(), &script);
        }
    };
    fails(&overlay(wrong("10.2.0.2"), &[]), "overlay-fdb", "10.2.0.2 is reached over eth1");
    fails(&overlay(wrong("10.1.0.9"), &["--peer", "10.1.0.2"]), "overlay-fdb", "none of the nodes 10.1.0.2");
    fails(&overlay(wrong("192.0.2.1"), &[]), "overlay-fdb", "no route");
    fails(&overlay(wrong("10.1.0.1"), &[]), "overlay-fdb", "this host itself");
}

#[test]
fn a_wrong_mtu() {
    let shrink = |lab: &Ephemeral| shell(lab.host("node1").unwrap(), "ip link set eth0 mtu 1400");
    fails(&overlay(shrink, &[]), "overlay-mtu", "large packets are lost");
}

#[test]
fn a_path_that_is_too_small() {
    // The far end takes 1400 only: what this host sees of itself is right.
    let shrink = |lab: &Ephemeral| {
        let port = || Command::new("sh").args(["-ec", "ip link set node2-eth0 mtu 1400"]).output().unwrap();
        assert!(lab.switch("lan").unwrap().net().run(port).unwrap().status.success());
        shell(lab.host("node2").unwrap(), "ip link set eth0 mtu 1400");
    };
    fails(&overlay(shrink, &[]), "overlay-reach", "not packets of 1500 bytes");
}

#[test]
fn a_dead_peer_and_a_closed_port() {
    let dead = |lab: &Ephemeral| shell(lab.host("node2").unwrap(), "ip link set eth0 down");
    fails(&overlay(dead, &[]), "overlay-reach", "10.1.0.2 does not answer");
    let closed = |lab: &Ephemeral| shell(lab.host("node2").unwrap(), "ip link del flannel.1");
    fails(&overlay(closed, &[]), "overlay-reach", "nothing listens on its UDP port 8472");
}

#[test]
fn a_strict_filter_and_a_lost_address() {
    let strict = |lab: &Ephemeral| {
        let script = "echo 1 > /proc/sys/net/ipv4/conf/eth0/rp_filter; ip route add 10.1.0.2/32 via 10.2.0.2";
        shell(lab.host("node1").unwrap(), script);
    };
    fails(&overlay(strict, &[]), "overlay-rp-filter", "strict rp_filter");
    let lost = |lab: &Ephemeral| {
        shell(
            lab.host("node1").unwrap(),
            "ip address del 10.1.0.1/24 dev eth0; ip address add 10.1.0.7/24 dev eth0",
        )
    };
    fails(&overlay(lost, &[]), "overlay-link", "not an address of it");
}
