//! `llano check connectivity` names the place where a frame was lost; `llano check overlay` finds what is wrong with a VXLAN.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test ends where it cannot go on.

use std::collections::BTreeSet;
use std::process::Command;

use lab::{Container, Ephemeral, Host};
use netns_tests::{bin_dir, llano_plugins, seed_002, up};
use serde_json::{Value, json};

/// Runs a script on a node, in a container, or on the switch.
fn run_at(lab: &Ephemeral, pods: &[Container<'_>], at: &str, script: &str) {
    let output = if let Some(pod) = pods.iter().find(|pod| pod.name() == at) {
        pod.command("sh").unwrap().args(["-ec", script]).output()
    } else if let Ok(host) = lab.host(at) {
        host.command("sh").unwrap().args(["-ec", script]).output()
    } else {
        let run = || Command::new("sh").args(["-ec", script]).output();
        lab.switch(at).unwrap().net().run(run).unwrap()
    };
    let output = output.unwrap();
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

/// An address beyond the LAN.
const FAR: &str = "peer 192.0.2.9";

fn matrix(host: &Host) -> Value {
    llano(host, &["connectivity", "--peer", "172.16.129.103", "--peer", "192.0.2.9"])
}

/// A cause of a red cell, and the place that the cell names.
struct Loss {
    place: &'static str,
    /// Where something is done: on a node, in a container, on the switch.
    at: &'static str,
    how: &'static str,
    /// The cells that are red, and what they say.
    cells: &'static [(&'static str, &'static str, &'static str)],
    /// Some that are not.
    green: &'static [(&'static str, &'static str)],
}

const LOSSES: &[Loss] = &[
    Loss {
        place: "isolation",
        at: "red",
        how: "true",
        cells: &[("host", "red", "hostAccess"), ("red", "host", "hostAccess")],
        green: &[("red", "blue"), ("red", PEER), ("red", GATEWAY), ("host", GATEWAY)],
    },
    Loss {
        place: "sender",
        at: "red",
        how: "ip link set eth0 down",
        cells: &[("red", PEER, "eth0 of red is down")],
        green: &[("blue", PEER)],
    },
    Loss {
        place: "receiver",
        at: "red",
        how: "ip link set eth0 down",
        cells: &[("blue", "red", "eth0 of red is down")],
        green: &[("blue", PEER)],
    },
    Loss {
        place: "receiver",
        at: "red",
        how: "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all",
        cells: &[("blue", "red", "reached eth0 of red, and it does not answer")],
        green: &[("red", "blue"), ("red", PEER)],
    },
    Loss {
        place: "parent",
        at: "host1",
        // Answers to others than the host's own MAC go nowhere: this kernel has no action to drop, a dead end does.
        how: "ip link add sink type veth peer name drain
              tc qdisc add dev eth0 ingress
              tc filter add dev eth0 parent ffff: protocol all prio 1 u32 match u16 0x0200 0xffff at -14 match u32 0x00000101 0xffffffff at -12 flowid 1:1
              tc filter add dev eth0 parent ffff: protocol all prio 2 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev sink",
        cells: &[("red", PEER, "between eth0 of the host and eth0 of red")],
        green: &[("host", PEER)],
    },
    Loss {
        place: "lan",
        at: "lan",
        // Port security. What the pods announced before is forgotten.
        how: "bridge fdb replace 02:00:00:00:01:01 dev host1-eth0 master static
              bridge link set dev host1-eth0 learning off locked on
              ip link set host1-eth0 type bridge_slave fdb_flush",
        cells: &[("red", PEER, "the switch or hypervisor drops frames of red's MAC")],
        green: &[("red", "blue"), ("host", PEER)],
    },
    Loss {
        place: "gateway",
        at: "gateway",
        how: "ip link set eth0 down",
        cells: &[("red", GATEWAY, "answers nobody"), ("host", GATEWAY, "answers nobody")],
        green: &[("red", PEER)],
    },
    Loss {
        place: "peer",
        at: "node3",
        how: "ip link set eth0 down",
        cells: &[("red", PEER, "is not on this LAN"), ("host", PEER, "is not on this LAN")],
        green: &[("red", GATEWAY)],
    },
    Loss {
        place: "route",
        at: "red",
        how: "ip route del default",
        cells: &[("red", FAR, "red sent nothing")],
        green: &[("red", GATEWAY), ("red", PEER)],
    },
];

/// Every cause of a place, each in a lab of its own.
fn losses(place: &str) {
    let mut rows = LOSSES.iter().filter(|loss| loss.place == place).peekable();
    assert!(rows.peek().is_some(), "no row for {place}");
    for loss in rows {
        let lab = seed_002();
        let host = lab.host("host1").unwrap();
        let pods = pods(host, false);
        run_at(&lab, &pods, loss.at, loss.how);
        let matrix = matrix(host);
        for (from, to, says) in loss.cells {
            let cell = cell(&matrix, from, to);
            assert_eq!((&cell["status"], &cell["place"]), (&json!("lost"), &json!(place)), "{cell:#}");
            assert!(cell["summary"].as_str().unwrap().contains(says), "{says}: {cell:#}");
        }
        for (from, to) in loss.green {
            assert_eq!(cell(&matrix, from, to)["status"], "ok", "{matrix:#}");
        }
        if place == "parent" {
            let trace = cell(&matrix, "red", PEER)["trace"].to_string();
            assert!(trace.contains("its answer seen on eth0 of the host"), "{trace}");
            assert!(trace.contains("its answer not seen on eth0 of red"), "{trace}");
        }
    }
}

#[test]
fn every_place_has_a_row() {
    let rows: BTreeSet<&str> = LOSSES.iter().map(|loss| loss.place).collect();
    assert_eq!(rows, BTreeSet::from(check::connectivity::PLACES));
}

#[test]
fn a_healthy_matrix_is_green_with_host_access() {
    let lab = seed_002();
    let host = lab.host("host1").unwrap();
    let _pods = pods(host, true);
    let matrix = llano(host, &["connectivity", "--peer", "172.16.129.103"]);
    for cell in matrix["cells"].as_array().unwrap() {
        assert_eq!(cell["status"], "ok", "{cell:#}");
        assert_eq!((&cell["mtu"], &cell["linkMtu"]), (&json!(1500), &json!(1500)), "{cell:#}");
    }
    assert_eq!(matrix["cells"].as_array().unwrap().len(), 3 * 4, "{matrix:#}");
}

/// A private macvlan talks to nobody on its parent, one of mode vepa where the switch sends frames back: no filter is at fault.
#[test]
fn a_mode_is_no_filter() {
    for (mode, place, says) in
        [("private", "isolation", "has mode private"), ("vepa", "lan", "does not send frames back")]
    {
        let lab = seed_002();
        let host = lab.host("host1").unwrap();
        let pods = pods(host, false);
        for pod in ["red", "blue"] {
            run_at(&lab, &pods, pod, &format!("ip link set eth0 type macvlan mode {mode}"));
        }
        let matrix = matrix(host);
        let cell = cell(&matrix, "red", "blue");
        assert_eq!((&cell["status"], &cell["place"]), (&json!("lost"), &json!(place)), "{cell:#}");
        assert!(cell["summary"].as_str().unwrap().contains(says), "{cell:#}");
        assert_eq!(self::cell(&matrix, "red", PEER)["status"], "ok", "{matrix:#}");
    }
}

/// A router that advertises itself does so with an address that means something on one link only.
#[test]
fn a_link_local_gateway_is_nobody_in_the_matrix() {
    let lab = seed_002();
    let host = lab.host("host1").unwrap();
    run_at(&lab, &[], "host1", "ip -6 route add default via fe80::1 dev eth0");
    let matrix = llano(host, &["connectivity", "--peer", "172.16.129.103"]);
    let cells = matrix["cells"].as_array().unwrap();
    assert!(!cells.is_empty() && cells.iter().all(|cell| cell["status"] == "ok"), "{matrix:#}");
}

#[test]
fn a_cell_tells_the_largest_packet() {
    let lab = seed_002();
    let host = lab.host("host1").unwrap();
    let pods = pods(host, false);
    run_at(&lab, &pods, "lan", "ip link set node3-eth0 mtu 1400");
    run_at(&lab, &pods, "node3", "ip link set eth0 mtu 1400");
    let matrix = matrix(host);
    let cell = cell(&matrix, "red", PEER);
    assert_eq!((&cell["status"], &cell["mtu"], &cell["linkMtu"]), (&json!("ok"), &json!(1400), &json!(1500)));
}

#[test]
fn host_and_own_pod_without_host_access() {
    losses("isolation");
}

#[test]
fn a_sender_that_is_down() {
    losses("sender");
}

#[test]
fn a_receiver_that_is_down_or_silent() {
    losses("receiver");
}

#[test]
fn a_filter_on_the_parent() {
    losses("parent");
}

#[test]
fn a_switch_that_drops_a_mac() {
    losses("lan");
}

#[test]
fn a_gateway_that_is_silent() {
    losses("gateway");
}

#[test]
fn a_peer_that_is_off() {
    losses("peer");
}

#[test]
fn a_sender_without_a_route() {
    losses("route");
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

/// How a VXLAN is made wrong, and the check that says so.
struct Wrong {
    id: &'static str,
    says: &'static str,
    /// Where, and what is done there.
    steps: &'static [(&'static str, &'static str)],
    args: &'static [&'static str],
}

/// Another destination than node2's address.
macro_rules! destination {
    ($dst:literal, $says:literal, $args:expr) => {
        Wrong {
            id: "overlay-fdb",
            says: $says,
            steps: &[(
                "node1",
                concat!(
                    "bridge fdb del 7e:18:48:60:3b:97 dev flannel.1 dst 10.1.0.2; ",
                    "bridge fdb append 7e:18:48:60:3b:97 dev flannel.1 dst ",
                    $dst
                ),
            )],
            args: $args,
        }
    };
}

const WRONGS: &[Wrong] = &[
    destination!("10.2.0.2", "10.2.0.2 is reached over eth1", &[]),
    destination!("10.1.0.9", "none of the nodes 10.1.0.2", &["--peer", "10.1.0.2"]),
    destination!("192.0.2.1", "no route", &[]),
    destination!("10.1.0.1", "this host itself", &[]),
    Wrong {
        id: "overlay-mtu",
        says: "large packets are lost",
        steps: &[("node1", "ip link set eth0 mtu 1400")],
        args: &[],
    },
    Wrong {
        id: "overlay-mtu",
        says: "subnet.env",
        steps: &[(
            "node1",
            "mkdir -p /run/flannel; printf 'FLANNEL_SUBNET=10.42.0.1/24\\nFLANNEL_MTU=1500\\n' > /run/flannel/subnet.env",
        )],
        args: &[],
    },
    Wrong {
        id: "overlay-reach",
        says: "10.1.0.2 does not answer",
        steps: &[("node2", "ip link set eth0 down")],
        args: &[],
    },
    Wrong {
        id: "overlay-reach",
        says: "nothing listens on its UDP port 8472",
        steps: &[("node2", "ip link del flannel.1")],
        args: &[],
    },
    // The far end takes 1400 only: what this host sees of itself is right.
    Wrong {
        id: "overlay-reach",
        says: "not packets of 1500 bytes",
        steps: &[("lan", "ip link set node2-eth0 mtu 1400"), ("node2", "ip link set eth0 mtu 1400")],
        args: &[],
    },
    Wrong {
        id: "overlay-rp-filter",
        says: "strict rp_filter",
        steps: &[(
            "node1",
            "echo 1 > /proc/sys/net/ipv4/conf/eth0/rp_filter; ip route add 10.1.0.2/32 via 10.2.0.2",
        )],
        args: &[],
    },
    Wrong {
        id: "overlay-link",
        says: "not an address of it",
        steps: &[("node1", "ip address del 10.1.0.1/24 dev eth0; ip address add 10.1.0.7/24 dev eth0")],
        args: &[],
    },
];

fn overlay(steps: &[(&str, &str)], args: &[&str]) -> Vec<Value> {
    let lab = up(NODES);
    run_at(&lab, &[], "node1", &vxlan(1, "10.1.0.2"));
    run_at(&lab, &[], "node2", &vxlan(2, "10.1.0.1"));
    for (at, script) in steps {
        run_at(&lab, &[], at, script);
    }
    let report = llano(lab.host("node1").unwrap(), &[&["overlay"], args].concat());
    report["findings"].as_array().unwrap().clone()
}

fn wrongs(id: &str) {
    for wrong in WRONGS.iter().filter(|wrong| wrong.id == id) {
        let findings = overlay(wrong.steps, wrong.args);
        let found = findings.iter().any(|finding| {
            finding["id"] == id
                && finding["status"] == "fail"
                && finding["summary"].as_str().unwrap().contains(wrong.says)
        });
        assert!(found, "{id} does not fail with {:?}: {findings:#?}", wrong.says);
    }
}

#[test]
fn every_check_of_an_overlay_has_a_row() {
    let rows: BTreeSet<&str> = WRONGS.iter().map(|wrong| wrong.id).collect();
    assert_eq!(rows, BTreeSet::from(check::OVERLAY_IDS));
}

#[test]
fn a_healthy_overlay_is_all_ok() {
    let findings = overlay(&[], &["--peer", "10.1.0.2"]);
    assert!(findings.iter().all(|finding| finding["status"] == "ok"), "{findings:#?}");
    let ids: BTreeSet<_> = findings.iter().map(|finding| finding["id"].as_str().unwrap()).collect();
    assert_eq!(ids, BTreeSet::from(check::OVERLAY_IDS));
}

/// VXLANs that are none of flannel's: a program steers them, a group reaches everyone, an entry has a port of its own.
#[test]
fn other_overlays_are_understood() {
    let statuses = |script: &str, args: &[&str]| {
        let lab = up(NODES);
        run_at(&lab, &[], "node1", script);
        run_at(
            &lab,
            &[],
            "node2",
            "ip link add vx type vxlan id 7 dev eth0 local 10.1.0.2 dstport 5555; ip link set vx up",
        );
        let report = llano(lab.host("node1").unwrap(), &[&["overlay"], args].concat());
        let of = |finding: &Value| {
            format!("{} {}", finding["status"].as_str().unwrap(), finding["summary"].as_str().unwrap())
        };
        report["findings"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let peer = ["--peer", "10.1.0.2"];
    let steered = statuses("ip link add vx type vxlan external dstport 8472; ip link set vx up", &peer);
    assert!(
        matches!(steered.as_slice(), [only] if only.starts_with("skip vx is steered by a program")),
        "{steered:?}"
    );
    let group = "ip link add vx type vxlan id 7 group 239.1.1.1 dev eth0 local 10.1.0.1 dstport 5555; ip link set vx up";
    let by_group = statuses(group, &peer);
    assert!(by_group.iter().all(|line| line.starts_with("ok ")), "{by_group:?}");
    let port = "ip link add vx type vxlan id 7 dev eth0 local 10.1.0.1 dstport 4789; ip link set vx up; bridge fdb append 00:00:00:00:00:00 dev vx dst 10.1.0.2 port 5555";
    let own_port = statuses(port, &peer);
    assert!(own_port.iter().all(|line| line.starts_with("ok ")), "{own_port:?}");
    // Its packets leave from the host: there is nothing to be seen in the container.
    let lab = up(NODES);
    let node = lab.host("node1").unwrap();
    let web = node.container("web").unwrap();
    let path = web.path().display().to_string();
    run_at(
        &lab,
        &[],
        "node1",
        &format!("ip link add name vx netns {path} type vxlan id 7 remote 10.1.0.2 dev eth0 dstport 4789"),
    );
    let mut check = web.command(bin_dir().join("llano")).unwrap();
    let output = check.args(["check", "overlay"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("vx sends from another namespace"), "{said}");
}

#[test]
fn wrong_destinations() {
    wrongs("overlay-fdb");
}

#[test]
fn wrong_mtus() {
    wrongs("overlay-mtu");
}

#[test]
fn a_dead_peer_a_closed_port_and_a_small_path() {
    wrongs("overlay-reach");
}

#[test]
fn a_strict_filter() {
    wrongs("overlay-rp-filter");
}

#[test]
fn a_lost_address() {
    wrongs("overlay-link");
}
