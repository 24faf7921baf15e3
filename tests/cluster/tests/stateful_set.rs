//! A StatefulSet's pods keep their addresses: over restarts, drained nodes, lost ones and such that are cut off.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use cluster::{Cluster, ClusterSpec, Component};
use cluster_tests::addresses_keeping::{
    ADDRESSES, BESIDE, LONG, NETWORK, PREFIX, apply, claims_of, delete, kubectl, range, ready, rolled_out,
    running, subnet, until_claims, workload,
};
use cluster_tests::interfaces::{Has, agreed, existing_on};
use cluster_tests::wire::{UPLINKS, answers, plug};
use cluster_tests::{PATIENCE, agent, event, pods_of, run, size, wait_for};
use serde_json::json;

fn main() -> ExitCode {
    run(
        ClusterSpec::default(),
        &[
            ("a_stateful_set_keeps_every_address_over_a_rolling_restart", restarted),
            ("a_stateful_set_keeps_every_address_when_a_node_is_drained", drained),
            ("a_stateful_set_keeps_every_address_when_a_node_is_lost_and_tainted_out_of_service", lost),
            (
                "a_stateful_set_waits_while_a_node_without_its_api_server_has_its_addresses_on_the_lan",
                still_there,
            ),
            ("a_stateful_set_keeps_every_address_when_pods_of_a_cut_off_node_are_deleted_by_force", cut_off),
        ],
    )
}

/// An address and its MAC.
type Pair = (Ipv4Addr, String);

/// Pods of the StatefulSet.
fn of_set() -> usize {
    size(6, 30)
}

/// What each pod of the StatefulSet has.
type Kept = BTreeMap<String, Pair>;

/// The StatefulSet `kept`, with pods on both nodes, as whoever comes first makes it.
fn set(cluster: &Cluster) -> Kept {
    ready(cluster);
    subnet(cluster, "kept", "10.62.7.0/24", &json!({}));
    apply(
        cluster,
        &workload("StatefulSet", "kept", of_set(), &[BESIDE, (ADDRESSES, r#"{"subnet": "kept"}"#)]),
    );
    let all = running(cluster, "kept", of_set(), None);
    if all.iter().all(|pod| pod.node == all[0].node) {
        // A test before has left them on one node. All at once is one more thing over which they keep what they have.
        let before = kept(cluster);
        let uids =
            |cluster: &Cluster| -> BTreeSet<String> { has(cluster).into_iter().map(|one| one.uid).collect() };
        let old = uids(cluster);
        kubectl(cluster, &["delete", "pod", "-l", "app=kept", "--timeout=300s"]);
        running(cluster, "kept", of_set(), None);
        assert_eq!(kept(cluster), before);
        assert!(uids(cluster).is_disjoint(&old), "they are other pods");
    }
    kept(cluster)
}

fn has(cluster: &Cluster) -> BTreeSet<Has> {
    agreed(cluster, NETWORK, PREFIX, &range(7, 1, 254), LONG)
}

fn kept(cluster: &Cluster) -> Kept {
    let kept: Kept = has(cluster).into_iter().map(|one| (one.pod, (one.address, one.mac))).collect();
    assert_eq!(kept.len(), of_set(), "{kept:#?}");
    kept
}

/// The names of the StatefulSet's pods on a node; there are some.
fn on_node(cluster: &Cluster, node: &str) -> Vec<String> {
    let pods = pods_of(cluster, "kept").into_iter().filter(|pod| pod.node == node);
    let names: Vec<String> = pods.map(|pod| pod.name).collect();
    assert!(!names.is_empty() && names.len() < of_set(), "{} pods on {node}", names.len());
    names
}

fn restarted(cluster: &mut Cluster) {
    let before = set(cluster);
    kubectl(cluster, &["rollout", "restart", "statefulset/kept"]);
    rolled_out(cluster, "statefulset/kept");
    running(cluster, "kept", of_set(), None);
    assert_eq!(kept(cluster), before);
}

fn drained(cluster: &mut Cluster) {
    let before = set(cluster);
    on_node(cluster, "node2");
    let words =
        ["drain", "node2", "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=600s"];
    kubectl(cluster, &words);
    running(cluster, "kept", of_set(), Some("node2"));
    assert_eq!(kept(cluster), before);
    kubectl(cluster, &["uncordon", "node2"]);
}

fn node_is(cluster: &Cluster, status: &str) {
    // The controller manager waits 50 s for a kubelet that says nothing.
    wait_for(cluster, &["node", "node2"], &format!("condition=Ready={status}"), Duration::from_secs(300));
}

fn lost(cluster: &mut Cluster) {
    let before = set(cluster);
    on_node(cluster, "node2");
    cluster.power_off("node2").unwrap();
    node_is(cluster, "Unknown");
    // As an operator who knows that it is off.
    const TAINT: &str = "node.kubernetes.io/out-of-service";
    kubectl(cluster, &["taint", "node", "node2", &format!("{TAINT}=nodeshutdown:NoExecute")]);
    running(cluster, "kept", of_set(), Some("node2"));
    // The node is off: nothing there is asked.
    assert_eq!(kept(cluster), before);

    cluster.power_on("node2").unwrap();
    node_is(cluster, "True");
    kubectl(cluster, &["taint", "node", "node2", &format!("{TAINT}-")]);
    // It brings nothing of what it had.
    ready(cluster);
    assert_eq!(kept(cluster), before);
}

/// Cuts node2 off and deletes its pods of the StatefulSet by force. What the set's pods had before, and the names of those.
fn deleted_by_force(cluster: &mut Cluster, uplinks: &[(&str, &str)]) -> (Kept, Vec<String>) {
    let before = set(cluster);
    let gone = on_node(cluster, "node2");
    // Its pods run on, and nothing but Llano's agent will be there to end them.
    cluster.kill(&kubelet()).unwrap();
    uplinks.iter().for_each(|uplink| plug(cluster, "node2", *uplink, false));
    node_is(cluster, "Unknown");
    let force = ["delete", "pod", "--force", "--grace-period=0", "--wait=false"].into_iter();
    kubectl(cluster, &force.chain(gone.iter().map(String::as_str)).collect::<Vec<_>>());
    (before, gone)
}

fn kubelet() -> Component {
    Component::Kubelet("node2".to_owned())
}

/// Waits until node2's agent has taken away what it has of the network.
fn fenced(cluster: &Cluster) {
    let fenced = || Ok(existing_on(cluster, "node2", PREFIX).is_empty().then_some(()));
    Cluster::wait("the interfaces on node2 to go", LONG, fenced).unwrap_or_else(|error| {
        panic!(
            "{error}: {:#?}, {:?}",
            existing_on(cluster, "node2", PREFIX),
            agent::page(cluster, "node2", "dump")
        )
    });
}

fn still_there(cluster: &mut Cluster) {
    let (before, gone) = deleted_by_force(cluster, &UPLINKS[..1]);
    let kept_by = |name: &String| &before[&format!("default/{name}")];
    for name in &gone {
        let (address, mac) = kept_by(name);
        let said = event(cluster, name, "AddressInUse", LONG);
        assert!(said.contains(&format!("address {address} is kept for this pod")), "{said}");
        assert!(said.contains(&format!("by {mac}, the MAC that is kept with it")), "{said}");
    }
    // By now each has been tried: it is the old interface's alone, and nobody else is to have it.
    let addresses: Vec<Ipv4Addr> = gone.iter().map(|name| kept_by(name).0).collect();
    let answers = answers(cluster, &addresses);
    assert_eq!(answers.len(), gone.len(), "{answers:?}");
    for (address, macs) in answers {
        let (_, mac) = before.values().find(|(kept, _)| *kept == address).unwrap();
        let said: Vec<String> = macs.iter().map(ToString::to_string).collect();
        assert_eq!(said, std::slice::from_ref(mac), "{address}");
    }
    assert_eq!(existing_on(cluster, "node2", PREFIX).len(), gone.len());
    let pods = pods_of(cluster, "kept").into_iter().filter(|pod| gone.contains(&pod.name));
    let early: Vec<String> = pods.filter(|pod| pod.ready).map(|pod| pod.name).collect();
    assert!(early.is_empty(), "{early:?} did not wait");
    let quarantined = claims_of(cluster, "kept", |spec| spec["hold"]["reason"] == "Quarantine");
    assert!(quarantined.is_empty(), "{quarantined:#?}");

    plug(cluster, "node2", UPLINKS[0], true);
    fenced(cluster);
    running(cluster, "kept", of_set(), Some("node2"));
    assert_eq!(kept(cluster), before);
    cluster.start(&kubelet()).unwrap();
    node_is(cluster, "True");
    assert_eq!(kept(cluster), before);
}

fn cut_off(cluster: &mut Cluster) {
    let (before, gone) = deleted_by_force(cluster, &UPLINKS);
    running(cluster, "kept", of_set(), Some("node2"));
    let there = existing_on(cluster, "node2", PREFIX);
    assert_eq!(there.len(), gone.len(), "two have each address, apart from each other: {there:#?}");

    // It learns what has become of them before its pods' cable is back: whoever is there then has its address alone.
    plug(cluster, "node2", UPLINKS[0], true);
    fenced(cluster);
    let said = event(cluster, &gone[0], "AddressLost", PATIENCE);
    assert!(said.contains("net1"), "{said}");
    plug(cluster, "node2", UPLINKS[1], true);
    assert_eq!(kept(cluster), before);

    cluster.start(&kubelet()).unwrap();
    node_is(cluster, "True");
    assert_eq!(kept(cluster), before);
    delete(cluster, "statefulset/kept", "kept");
    until_claims(cluster, "kept", 0, |_| true);
    agreed(cluster, NETWORK, PREFIX, &range(7, 1, 254), LONG);
}
