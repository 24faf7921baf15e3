//! Cases of `crates/api`'s table as real pods: what the status says, byte for byte, and what is in the pod.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cases;
mod glance;
mod inside;

use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use cases::{ALONE, CASES, PRIMARY, more, old};

use cluster::{Cluster, ClusterSpec};
use cluster_tests::networks::{
    DEFAULT_NETWORK, Footprint, NETWORKS, STATUS, definition, pod, probed, with_host_port,
};
use cluster_tests::{PATIENCE, agent, ask_from, event, exec, run, wait_for, watch};
use inside::Inside;
use serde_json::{Value, json};

fn main() -> ExitCode {
    run(
        ClusterSpec::default(),
        &[
            ("pods_get_what_their_annotations_ask_for", asked),
            ("what_nobody_can_honour_is_refused_with_an_event", refused),
            ("ports_and_rates_go_only_to_who_declares_them", declared),
            ("a_running_pod_is_followed", followed),
            ("the_cluster_network_may_be_a_definition", cluster_network),
            ("isolation_counts_for_both_annotations", isolated),
            ("the_cluster_at_a_glance", glance::shown),
        ],
    )
}

/// A macvlan on the nodes' second uplink, with these keys beside.
fn macvlan(name: Option<&str>, keys: &Value) -> Value {
    let mut config = json!({"cniVersion": "1.0.0", "type": "macvlan", "master": "eth1"});
    if let Some(name) = name {
        config["name"] = json!(name);
    }
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    config
}

fn host_local(third: u8) -> Value {
    let range = json!({"subnet": format!("10.63.{third}.0/24"), "gateway": format!("10.63.{third}.1")});
    json!({"type": "host-local", "ranges": [[range]]})
}

/// The namespace, the definitions, and the agents.
fn ready(cluster: &Cluster) -> Vec<Footprint> {
    agent::ensure(cluster);
    let both = json!({"ips": true, "mac": true});
    let six = json!({"type": "host-local", "ranges": [
        [{"subnet": "10.63.3.0/24"}], [{"subnet": "fd63:3::/64"}],
    ]});
    let mut alone = host_local(5);
    alone["routes"] = json!([{"dst": "0.0.0.0/0", "gw": "10.63.5.1"}]);
    let fixed = json!({"type": "static", "addresses": [{"address": "10.63.2.11/24"}]});
    let bridge = json!({
        "cniVersion": "1.0.0", "name": "foreign", "type": "bridge", "bridge": "br-foreign", "ipam": host_local(7),
    });
    let chain = json!({"cniVersion": "1.0.0", "name": "chain", "plugins": [
        macvlan(None, &json!({"ipam": host_local(4)})),
        {"type": "tuning", "mtu": 1400, "capabilities": {"mac": true}},
    ]});
    cluster.apply(r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}}"#).unwrap();
    for (namespace, name, role, config) in [
        (
            "default",
            "lan-a",
            None,
            macvlan(Some("lan-a"), &json!({"capabilities": both, "ipam": host_local(1)})),
        ),
        ("default", "lan-b", None, macvlan(None, &json!({"cniVersion": "0.3.1", "ipam": fixed}))),
        ("default", "lan-6", None, macvlan(None, &json!({"capabilities": {"ips": true}, "ipam": six}))),
        ("default", "lan-l2", None, macvlan(None, &json!({}))),
        ("default", "chain", None, chain),
        ("default", "foreign", None, bridge),
        ("team-a", "own", None, macvlan(None, &json!({"ipam": host_local(6)}))),
        (
            "kube-system",
            "alone",
            Some("standalone"),
            macvlan(None, &json!({"capabilities": both, "ipam": alone})),
        ),
        ("kube-system", "beside", Some("overlay"), macvlan(None, &json!({"ipam": host_local(8)}))),
    ] {
        cluster.apply(&definition(namespace, name, role, Some(&config))).unwrap();
    }
    cluster.apply(&definition("default", "on-disk", None, None)).unwrap();
    let of_disk = macvlan(Some("on-disk"), &json!({"ipam": host_local(9)}));
    for node in NODES {
        // Where Multus looks as well.
        let directory = cluster.on_disk(node, "/etc/cni").join("multus/net.d");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("on-disk.conf"), of_disk.to_string()).unwrap();
    }
    NODES.iter().map(|node| footprint(cluster, node)).collect()
}

const NODES: [&str; 2] = ["node1", "node2"];

/// As `cni0`: the foreign plugin makes its bridge for the first pod, and leaves it there.
fn footprint(cluster: &Cluster, node: &str) -> Footprint {
    let mut now = Footprint::of(cluster, node);
    now.links.retain(|link| link != "br-foreign");
    now
}

fn back_to(cluster: &Cluster, before: &[Footprint]) {
    for (node, before) in NODES.iter().zip(before) {
        let look = || Ok((footprint(cluster, node) == *before).then_some(()));
        Cluster::wait(&format!("{node} as before"), PATIENCE, look).unwrap_or_else(|error| {
            panic!("{error}: {:#?} instead of {before:#?}", footprint(cluster, node))
        });
    }
}

fn delete(cluster: &Cluster, pods: &[&str]) {
    let words = ["delete", "pod", "--timeout=120s"].into_iter().chain(pods.iter().copied());
    cluster.kubectl_output(words).unwrap_or_else(|error| panic!("{error}"));
}

fn status(cluster: &Cluster, pod: &str) -> String {
    let path = format!("jsonpath={{.metadata.annotations.{}}}", STATUS.replace('.', "\\."));
    cluster.kubectl_output(["get", "pod", pod, "-o", &path]).unwrap_or_else(|error| panic!("{error}"))
}

fn asked(cluster: &mut Cluster) {
    let before = ready(cluster);
    let pods: Vec<Value> = CASES.iter().map(|case| probed(case.pod, "node1", case.annotations)).collect();
    cluster.apply(&json!({"apiVersion": "v1", "kind": "List", "items": pods}).to_string()).unwrap();
    let names: Vec<&str> = CASES.iter().map(|case| case.pod).collect();
    wait_for(cluster, &[&["pod"], &names[..]].concat(), "condition=Ready", PATIENCE);
    for case in CASES {
        let inside = Inside::of(cluster, case.pod);
        for part in case.inside {
            assert!(
                inside.text.lines().any(|line| line.contains(part)),
                "{}: no {part:?}: {}",
                case.pod,
                inside.text
            );
        }
        let elements: Vec<String> = case.status.iter().map(|element| inside.element(element)).collect();
        assert_eq!(status(cluster, case.pod), format!("[{}]", elements.join(",")), "{}", case.pod);
    }
    let ignored = event(cluster, "an-unknown-key", "NetworkAnnotationIgnored", PATIENCE);
    assert_eq!(ignored, format!("{NETWORKS}[0].interfce: unknown key, ignored"));
    delete(cluster, &names);
    back_to(cluster, &before);
}

fn refused(cluster: &mut Cluster) {
    let before = ready(cluster);
    let cases = [
        (
            "no-such-network",
            [(NETWORKS, "lan-z")],
            "NoNetworkFound",
            "cannot find a network-attachment-definition (lan-z) in namespace (default)",
        ),
        (
            "address-without-ipam",
            [(NETWORKS, r#"[{"name":"lan-l2","ips":["10.0.0.1/24"]}]"#)],
            "NetworkRefused",
            "networks[0].ips: network default/lan-l2 cannot honour it: it has no ipam",
        ),
        (
            "ports-nobody-maps",
            [(NETWORKS, r#"[{"name":"lan-a","portMappings":[{"hostPort":1,"containerPort":1}]}]"#)],
            "NetworkRefused",
            "no plugin declares the capability portMappings",
        ),
        (
            "one-name-twice",
            [(NETWORKS, "lan-a@lan0,lan-l2@lan0")],
            "InvalidNetworkAnnotation",
            "interface lan0",
        ),
        ("overlay-first", [(DEFAULT_NETWORK, "beside")], "NetworkRefused", "is an overlay network"),
    ];
    for (name, annotations, _, _) in &cases {
        cluster.apply(&pod(name, "node2", annotations)).unwrap();
    }
    for (name, _, reason, words) in &cases {
        let message = event(cluster, name, reason, PATIENCE);
        assert!(message.contains(words), "{name}: {message}");
        let phase = cluster.kubectl_output(["get", "pod", name, "-o", "jsonpath={.status.phase}"]).unwrap();
        assert_eq!(phase, "Pending", "{name}");
        assert_eq!(status(cluster, name), "", "{name}");
    }
    delete(cluster, &cases.map(|(name, ..)| name));
    back_to(cluster, &before);
}

/// A plugin that makes nothing and keeps what it is told, by verb and interface.
const RECORDER: &str = "\
#!/bin/sh
cat > /var/lib/cni/told-$CNI_COMMAND-$CNI_IFNAME
case $CNI_COMMAND in
    VERSION) echo '{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"1.0.0\"]}' ;;
    ADD) echo '{\"cniVersion\":\"1.0.0\"}' ;;
esac
";

fn declared(cluster: &mut Cluster) {
    let before = ready(cluster);
    let program = cluster.on_disk("node1", "/opt/cni/bin/recorder");
    std::fs::write(&program, RECORDER).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let both = json!({"portMappings": true, "bandwidth": true});
    for (name, capabilities) in [("declares", both), ("is-silent", json!({}))] {
        let config =
            json!({"cniVersion": "1.0.0", "name": name, "type": "recorder", "capabilities": capabilities});
        cluster.apply(&definition("default", name, None, Some(&config))).unwrap();
    }
    let asked = json!([
        {
            "name": "declares",
            "portMappings": [{"hostPort": 8443, "containerPort": 443, "protocol": "tcp"}],
            "bandwidth": {"ingressRate": 1000, "ingressBurst": 2000},
        },
        {"name": "declares"},
        {"name": "is-silent"},
    ]);
    let with_ports = with_host_port(&pod("ports", "node1", &[(NETWORKS, &asked.to_string())]), 18080);
    cluster.apply(&with_ports).unwrap();
    wait_for(cluster, &["pod", "ports"], "condition=Ready", PATIENCE);
    let told = |interface: &str| -> Value {
        let file = cluster.on_disk("node1", &format!("/var/lib/cni/told-ADD-{interface}"));
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    };
    let first = told("net1");
    let expected = json!({
        "portMappings": [{"hostPort": 8443, "containerPort": 443, "protocol": "tcp"}],
        "bandwidth": {"ingressRate": 1000, "ingressBurst": 2000, "egressRate": 0, "egressBurst": 0},
    });
    assert_eq!(first["runtimeConfig"], expected, "{first:#}");
    for interface in ["net2", "net3"] {
        let told = told(interface);
        assert_eq!(told["runtimeConfig"], Value::Null, "neither kubelet's nor another's: {told:#}");
    }
    // What kubelet asked for went to the primary network, which declares it.
    assert_eq!(ask_from(cluster, "plain", "http://10.60.0.11:18080/")["host"], "ports");
    delete(cluster, &["ports"]);
    for interface in ["net1", "net2", "net3"] {
        let file = cluster.on_disk("node1", &format!("/var/lib/cni/told-DEL-{interface}"));
        assert!(file.is_file(), "{interface} was not deleted");
    }
    std::fs::remove_file(program).unwrap();
    back_to(cluster, &before);
}

/// Waits until the pod's status has exactly these interfaces.
fn until_interfaces(cluster: &Cluster, pod: &str, expected: &[&str]) {
    watch(cluster, &["pod", pod], PATIENCE, |pod| {
        let status: Value = serde_json::from_str(pod["metadata"]["annotations"][STATUS].as_str()?).ok()?;
        let names = status.as_array()?.iter().map(|one| one["interface"].as_str());
        names.eq(expected.iter().map(|name| Some(*name))).then_some(())
    });
}

fn followed(cluster: &mut Cluster) {
    let before = ready(cluster);
    cluster.apply(&pod("live", "node1", &[(NETWORKS, "lan-a,lan-l2")])).unwrap();
    wait_for(cluster, &["pod", "live"], "condition=Ready", PATIENCE);
    let indexes = |names: &[&str]| -> Vec<String> {
        let files = names.iter().map(|name| format!("/sys/class/net/{name}/ifindex"));
        let words: Vec<String> = ["cat".to_owned()].into_iter().chain(files).collect();
        let text = exec(cluster, "live", &words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    let change = |networks: &str, interfaces: &[&str]| {
        let annotation = format!("{NETWORKS}={networks}");
        cluster.kubectl_output(["annotate", "pod", "live", "--overwrite", &annotation]).unwrap();
        until_interfaces(cluster, "live", interfaces);
    };
    let first = indexes(&["eth0", "net1", "net2"]);
    // More, one of them by a foreign plugin.
    change("lan-a,lan-l2,foreign@data0", &["eth0", "net1", "net2", "data0"]);
    let inside = Inside::of(cluster, "live");
    assert!(inside.text.contains("data0    inet 10.63.7."), "{}", inside.text);
    assert_eq!(indexes(&["eth0", "net1", "net2"]), first, "nothing else is touched");
    let elements =
        [PRIMARY, more("default/lan-a net1"), more("default/lan-l2 net2"), old("default/foreign data0")];
    let elements: Vec<String> = elements.iter().map(|element| inside.element(element)).collect();
    assert_eq!(status(cluster, "live"), format!("[{}]", elements.join(",")));
    // Fewer, and one changed: it is made anew.
    change(
        r#"[{"name":"lan-l2","mac":"02:00:5e:10:00:09","interface":"l2"},{"name":"foreign","interface":"data0"}]"#,
        &["eth0", "data0", "l2"],
    );
    let inside = Inside::of(cluster, "live");
    assert_eq!(inside.macs.get("l2").map(String::as_str), Some("02:00:5e:10:00:09"), "{}", inside.text);
    assert!(!inside.macs.contains_key("net1") && !inside.macs.contains_key("net2"), "{}", inside.text);
    // None, the foreign plugin's included.
    change("", &["eth0"]);
    let inside = Inside::of(cluster, "live");
    assert_eq!(inside.macs.keys().collect::<Vec<_>>(), ["eth0", "lo"], "{}", inside.text);
    assert_eq!(indexes(&["eth0"]), first[..1], "nothing else is touched");
    delete(cluster, &["live"]);
    back_to(cluster, &before);
}

/// Has a node's agent run with this configuration, for a while.
fn with_settings(cluster: &Cluster, node: &str, settings: &Value, work: impl FnOnce()) {
    let file = cluster.on_disk(node, "/etc/llano/agent.json");
    let restart = || {
        agent::stop(cluster, node);
        agent::start(cluster, node);
    };
    std::fs::write(&file, settings.to_string()).unwrap();
    restart();
    work();
    std::fs::remove_file(&file).unwrap();
    restart();
}

fn cluster_network(cluster: &mut Cluster) {
    let before = ready(cluster);
    with_settings(cluster, "node1", &json!({"clusterNetwork": "kube-system/alone"}), || {
        cluster.apply(&pod("of-the-lan", "node1", &[])).unwrap();
        wait_for(cluster, &["pod", "of-the-lan"], "condition=Ready", PATIENCE);
        let inside = Inside::of(cluster, "of-the-lan");
        assert!(inside.text.contains("eth0    inet 10.63.5."), "{}", inside.text);
        assert_eq!(status(cluster, "of-the-lan"), format!("[{}]", inside.element(&ALONE)));
        delete(cluster, &["of-the-lan"]);
    });
    back_to(cluster, &before);
}

fn isolated(cluster: &mut Cluster) {
    let before = ready(cluster);
    let settings = json!({"namespaceIsolation": true, "globalNamespaces": "kube-system"});
    with_settings(cluster, "node2", &settings, || {
        for (name, annotation) in [("peeps", NETWORKS), ("peeps-first", DEFAULT_NETWORK)] {
            cluster.apply(&pod(name, "node2", &[(annotation, "team-a/own")])).unwrap();
            let message = event(cluster, name, "NetworkRefused", PATIENCE);
            assert!(
                message.contains("pod is in namespace default but refers to target namespace team-a"),
                "{message}"
            );
        }
        cluster.apply(&pod("allowed", "node2", &[(NETWORKS, "lan-a,kube-system/beside")])).unwrap();
        wait_for(cluster, &["pod", "allowed"], "condition=Ready", PATIENCE);
        delete(cluster, &["peeps", "peeps-first", "allowed"]);
    });
    back_to(cluster, &before);
}
