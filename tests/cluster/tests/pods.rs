//! Pods get the interfaces that their annotations ask for.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::ExitCode;
use std::time::Duration;

use cluster::{Cluster, ClusterSpec};
use cluster_tests::networks::{
    DEFAULT_NETWORK, Footprint, Interface, NETWORKS, interfaces, leases, macvlan, pod,
};
use cluster_tests::{PATIENCE, agent, ask, ask_from, event, exec, wait_for};

const STANDALONE: &str = "kube-system/macvlan-standalone-vlan0";
const OVERLAY: &str = "kube-system/macvlan-overlay-vlan0";

fn main() -> ExitCode {
    cluster_tests::run(
        ClusterSpec::default(),
        &[
            ("a_standalone_network_gives_the_pod_its_eth0", standalone),
            ("several_standalone_networks_at_once", standalone_twice),
            ("an_overlay_network_stands_beside_the_primary_one", overlay),
            ("the_wrong_pairing_is_refused_and_says_what_to_write", refused),
            ("pods_whose_definition_is_gone_end", definition_gone),
            ("a_pod_ends_while_the_agent_is_down", agent_down),
        ],
    )
}

/// The agent on every node, and the handbook's two networks.
fn ready(cluster: &Cluster) {
    agent::ensure(cluster);
    cluster.apply(&macvlan("kube-system", "macvlan-standalone-vlan0", Some("standalone"), 100, 140)).unwrap();
    cluster.apply(&macvlan("kube-system", "macvlan-overlay-vlan0", Some("overlay"), 141, 180)).unwrap();
}

fn run_pod(cluster: &Cluster, name: &str, node: &str, annotations: &[(&str, &str)]) -> Vec<Interface> {
    cluster.apply(&pod(name, node, annotations)).unwrap();
    wait_for(cluster, &["pod", name], "condition=Ready", PATIENCE);
    interfaces(cluster, name)
}

fn delete(cluster: &Cluster, pods: &[&str]) {
    let words = ["delete", "pod", "--timeout=60s"].into_iter().chain(pods.iter().copied());
    cluster.kubectl_output(words).unwrap_or_else(|error| panic!("{error}"));
}

/// Waits until a node has what it had: the API server drops a pod a moment before the node has let go of everything.
fn back_to(cluster: &Cluster, before: &[(&str, Footprint)]) {
    for (node, before) in before {
        let look = || Ok((Footprint::of(cluster, node) == *before).then_some(()));
        Cluster::wait(&format!("{node} as before"), PATIENCE, look).unwrap_or_else(|error| {
            panic!("{error}: {:#?} instead of {before:#?}", Footprint::of(cluster, node))
        });
    }
}

fn footprints(cluster: &Cluster) -> Vec<(&'static str, Footprint)> {
    ["node1", "node2"].map(|node| (node, Footprint::of(cluster, node))).to_vec()
}

fn standalone(cluster: &mut Cluster) {
    ready(cluster);
    let before = footprints(cluster);
    let of = |name: &str, node: &str| {
        let all = run_pod(cluster, name, node, &[(DEFAULT_NETWORK, STANDALONE)]);
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!((all[0].network.as_str(), all[0].name.as_str(), all[0].first), (STANDALONE, "eth0", true));
        assert!(all[0].address.starts_with("10.61.0."), "{all:?}");
        all[0].address.clone()
    };
    // Both are ready: the kubelet's HTTP probe reaches a macvlan pod of its own node.
    let (one, two) = (of("alone1", "node1"), of("alone2", "node2"));
    assert_ne!(one, two, "two nodes never give out one address");
    let kind = exec(cluster, "alone1", &["cat", "/sys/class/net/eth0/uevent"]).unwrap();
    assert!(kind.contains("INTERFACE=eth0"), "{kind}");
    let pod_ip = cluster.kubectl_output(["get", "pod", "alone1", "-o", "jsonpath={.status.podIP}"]).unwrap();
    assert_eq!(pod_ip, one, "Kubernetes knows the pod by its LAN address");
    // The LAN reaches the pods with no help of any node, and they reach each other with their own addresses.
    assert_eq!(ask_from(cluster, "plain", &format!("http://{one}:8080/"))["host"], "alone1");
    let answer = ask(cluster, "alone1", &format!("http://{two}:8080/"));
    assert_eq!(answer["host"], "alone2");
    assert!(answer["remote"].as_str().unwrap().starts_with(&format!("{one}:")), "{answer}");
    // Its own node reaches it too.
    assert_eq!(ask_from(cluster, "node1", &format!("http://{one}:8080/"))["host"], "alone1");
    let log = cluster.kubectl_output(["logs", "alone2"]).unwrap();
    assert!(log.contains("serving HTTP"), "{log}");
    delete(cluster, &["alone1", "alone2"]);
    back_to(cluster, &before);
}

fn standalone_twice(cluster: &mut Cluster) {
    ready(cluster);
    let before = footprints(cluster);
    let all = run_pod(cluster, "twice", "node1", &[(DEFAULT_NETWORK, STANDALONE), (NETWORKS, STANDALONE)]);
    let names: Vec<_> = all.iter().map(|one| (one.network.as_str(), one.name.as_str(), one.first)).collect();
    assert_eq!(names, [(STANDALONE, "eth0", true), (STANDALONE, "net1", false)]);
    assert_ne!(all[0].address, all[1].address);
    for interface in &all {
        assert_eq!(
            ask_from(cluster, "plain", &format!("http://{}:8080/", interface.address))["host"],
            "twice"
        );
    }
    delete(cluster, &["twice"]);
    back_to(cluster, &before);
}

fn overlay(cluster: &mut Cluster) {
    ready(cluster);
    let before = footprints(cluster);
    let all = run_pod(cluster, "beside", "node1", &[(NETWORKS, OVERLAY)]);
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[0].address.starts_with("10.244.1."), "the primary network's: {all:?}");
    assert_eq!((all[0].name.as_str(), all[0].first), ("eth0", true));
    assert_eq!((all[1].network.as_str(), all[1].name.as_str(), all[1].first), (OVERLAY, "net1", false));
    // With pods of the primary network it talks by the one, with the LAN by the other.
    let plain = run_pod(cluster, "ordinary", "node2", &[]);
    assert_eq!(plain.len(), 1, "{plain:?}");
    let answer = ask(cluster, "beside", &format!("http://{}:8080/", plain[0].address));
    assert_eq!(answer["host"], "ordinary");
    assert!(answer["remote"].as_str().unwrap().starts_with(&format!("{}:", all[0].address)), "{answer}");
    assert_eq!(ask_from(cluster, "plain", &format!("http://{}:8080/", all[1].address))["host"], "beside");
    delete(cluster, &["beside", "ordinary"]);
    back_to(cluster, &before);
}

fn refused(cluster: &mut Cluster) {
    ready(cluster);
    let before = footprints(cluster);
    for (name, annotation, network, advice) in
        [("wrong1", DEFAULT_NETWORK, OVERLAY, NETWORKS), ("wrong2", NETWORKS, STANDALONE, DEFAULT_NETWORK)]
    {
        cluster.apply(&pod(name, "node1", &[(annotation, network)])).unwrap();
        let message = event(cluster, name, "NetworkRefused", PATIENCE);
        assert!(message.contains(network) && message.contains("llano.dev/role"), "{message}");
        assert!(message.contains(advice), "says what to write instead: {message}");
        let phase = cluster.kubectl_output(["get", "pod", name, "-o", "jsonpath={.status.phase}"]).unwrap();
        assert_eq!(phase, "Pending");
    }
    delete(cluster, &["wrong1", "wrong2"]);
    back_to(cluster, &before);
}

fn definition_gone(cluster: &mut Cluster) {
    ready(cluster);
    let before = footprints(cluster);
    cluster.apply(&macvlan("default", "passing", None, 181, 199)).unwrap();
    run_pod(cluster, "orphan", "node2", &[(NETWORKS, "passing,passing,passing")]);
    assert_eq!(leases(cluster, "node2").iter().filter(|lease| lease.starts_with("passing/")).count(), 3);
    cluster.kubectl_output(["delete", "network-attachment-definitions.k8s.cni.cncf.io", "passing"]).unwrap();
    delete(cluster, &["orphan"]);
    back_to(cluster, &before);
}

fn agent_down(cluster: &mut Cluster) {
    ready(cluster);
    let before = footprints(cluster);
    run_pod(cluster, "left", "node1", &[(DEFAULT_NETWORK, STANDALONE), (NETWORKS, STANDALONE)]);
    agent::stop(cluster, "node1");
    // Nothing waits for the agent: not the pod's end, and not its sandbox's.
    delete(cluster, &["left"]);
    let sandbox = |footprint: &Footprint| footprint.namespaces.clone();
    let gone = || Ok((sandbox(&Footprint::of(cluster, "node1")) == sandbox(&before[0].1)).then_some(()));
    Cluster::wait("the sandbox's end", Duration::from_secs(30), gone).unwrap();
    assert!(!leases(cluster, "node1").is_empty(), "nobody has given the addresses back yet");
    agent::start(cluster, "node1");
    back_to(cluster, &before);
}
