//! The five modes tell themselves apart by what frames pass.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)] // A test ends where it cannot go on.

use std::net::IpAddr;
use std::time::Duration;

use lab::{Container, Host, Lab, LabSpec, Ping, Plugins};
use netns_tests::llano_plugins;
use serde_json::{Value, json};

fn lab(hairpin: bool) -> lab::Ephemeral {
    let text = format!(
        "
switches:
  lan: {{}}
hosts:
  host:
    interfaces:
      eth0: {{ switch: lan, addresses: [10.9.0.1/24], hairpin: {hairpin} }}
  peer:
    interfaces:
      eth0: {{ switch: lan, addresses: [10.9.0.2/24], mac: \"02:00:00:00:09:02\" }}
  other:
    interfaces:
      eth0: {{ switch: lan, addresses: [10.9.0.3/24], mac: \"02:00:00:00:09:03\" }}
"
    );
    Lab::ephemeral(&LabSpec::parse(&text).unwrap()).unwrap()
}

fn conf(mode: &str, address: &str, extra: Value) -> Value {
    let mut conf = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "macvlan", "master": "eth0", "mode": mode,
        "ipam": {"type": "static", "addresses": [{"address": address}]},
    });
    for (key, value) in extra.as_object().unwrap() {
        conf[key] = value.clone();
    }
    conf
}

fn attach<'a>(host: &'a Host, plugins: &Plugins, name: &str, conf: &Value) -> Container<'a> {
    let pod = host.container(name).unwrap();
    pod.cni_add(plugins, conf, "eth0").unwrap();
    pod
}

fn reaches(from: &kernel::NetNs, to: &str) -> bool {
    let to: IpAddr = to.parse().unwrap();
    // The first answer may wait for ARP; silence is silence after three.
    Ping::new(to).count(3).timeout(Duration::from_millis(300)).run(from).is_ok()
}

/// Two pods of one mode: do they reach each other, and the LAN?
fn pair(mode: &str, hairpin: bool) -> (bool, bool) {
    let (plugins, lab) = (llano_plugins(), lab(hairpin));
    let host = lab.host("host").unwrap();
    let a = attach(host, &plugins, "a", &conf(mode, "10.9.0.11/24", json!({})));
    let _b = attach(host, &plugins, "b", &conf(mode, "10.9.0.12/24", json!({})));
    (reaches(a.net(), "10.9.0.12"), reaches(a.net(), "10.9.0.2"))
}

#[test]
fn bridge_delivers_between_pods_itself() {
    assert_eq!(pair("bridge", false), (true, true));
}

#[test]
fn private_never_delivers_between_pods() {
    assert_eq!(pair("private", false), (false, true));
    assert_eq!(pair("private", true), (false, true), "not even when the switch reflects the frames");
}

#[test]
fn vepa_delivers_between_pods_where_the_switch_reflects() {
    assert_eq!(pair("vepa", false), (false, true));
    assert_eq!(pair("vepa", true), (true, true));
}

#[test]
fn source_passes_listed_macs_only() {
    let (plugins, lab) = (llano_plugins(), lab(false));
    let host = lab.host("host").unwrap();
    let listed = json!({"sourceMacs": ["02:00:00:00:09:02"]});
    let pod = attach(host, &plugins, "a", &conf("source", "10.9.0.11/24", listed));
    assert!(reaches(pod.net(), "10.9.0.2"), "a listed MAC");
    assert!(!reaches(pod.net(), "10.9.0.3"), "a MAC that is not listed");
    assert!(reaches(host.net(), "10.9.0.3"), "the parent still gets every frame");
}

#[test]
fn passthru_owns_the_parent_and_the_refusals_say_why() {
    let (plugins, lab) = (llano_plugins(), lab(false));
    let host = lab.host("host").unwrap();
    let parent = || kernel::Netlink::open_in(host.net()).unwrap().link_by_name("eth0").unwrap().unwrap();
    assert_eq!(parent().promiscuity, 0);
    let pass = conf("passthru", "10.9.0.11/24", json!({}));
    let pod = attach(host, &plugins, "a", &pass);
    assert!(reaches(pod.net(), "10.9.0.2"));
    assert_eq!(parent().promiscuity, 1, "passthru makes the parent promiscuous");
    let inside = kernel::Netlink::open_in(pod.net()).unwrap().link_by_name("eth0").unwrap().unwrap();
    assert_eq!(inside.mac, parent().mac, "and the pod has its MAC");

    let second = host.container("second").unwrap();
    for mode in ["passthru", "bridge"] {
        let refused =
            second.cni_add(&plugins, &conf(mode, "10.9.0.12/24", json!({})), "eth0").unwrap_err().to_string();
        assert!(refused.contains("belongs wholly to eth0 in /run/netns/a"), "{refused}");
        assert!(refused.contains("mode passthru"), "{refused}");
    }
    pod.cni_del(&plugins, &pass, "eth0").unwrap();
    let quiet = conf("passthru", "10.9.0.11/24", json!({"nopromisc": true}));
    pod.cni_add(&plugins, &quiet, "eth0").unwrap();
    assert_eq!(parent().promiscuity, 0, "nopromisc leaves the parent as it is");
    pod.cni_del(&plugins, &quiet, "eth0").unwrap();

    pod.cni_add(&plugins, &conf("bridge", "10.9.0.11/24", json!({})), "eth0").unwrap();
    let refused = second.cni_add(&plugins, &pass, "eth0").unwrap_err().to_string();
    assert!(
        refused.contains("needs eth0 for itself") && refused.contains("eth0 (mode bridge) in /run/netns/a"),
        "{refused}"
    );
}

#[test]
fn a_parent_that_holds_another_driver_is_named() {
    let (plugins, lab) = (llano_plugins(), lab(false));
    let host = lab.host("host").unwrap();
    for args in [&["link", "add", "br0", "type", "bridge"][..], &["link", "set", "eth0", "master", "br0"]] {
        assert!(host.command("ip").unwrap().args(args).status().unwrap().success());
    }
    let pod = host.container("a").unwrap();
    let refused =
        pod.cni_add(&plugins, &conf("bridge", "10.9.0.11/24", json!({})), "eth0").unwrap_err().to_string();
    assert!(refused.contains("eth0 is a port of bridge br0"), "{refused}");
}
