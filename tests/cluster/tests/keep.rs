//! Workloads keep their addresses over updates. What is kept for nobody any more is free.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::process::ExitCode;

use cluster::{Cluster, ClusterSpec};
use cluster_tests::addresses_keeping::{
    ADDRESSES, ALONE, BESIDE, LONG, NETWORK, PREFIX, apply, bare, delete, kubectl, patch, range, ready,
    reservation, rolled_out, running, subnet, until_claims, workload,
};
use cluster_tests::interfaces::agreed;
use cluster_tests::{PATIENCE, event, pods_of, run, size, wait_for, watch};
use serde_json::{Value, json};

fn main() -> ExitCode {
    run(
        ClusterSpec::default(),
        &[
            ("an_address_rests_before_another_pod_gets_it", rests),
            ("a_subnet_that_is_deleted_waits_for_its_claims_and_names_the_holders", subnet_waits),
            ("a_reservation_that_is_deleted_gives_back_what_no_pod_has", reservation_ends),
            ("a_stateful_set_gives_back_what_it_is_scaled_below", scaled_down),
            ("a_reservation_of_many_pairs_stays_a_deployments", reserved_pairs),
            ("pairs_listed_on_a_deployment_stay_its_own", listed_pairs),
        ],
    )
}

/// An address and its MAC.
type Pair = (Ipv4Addr, String);

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn rests(cluster: &mut Cluster) {
    ready(cluster);
    subnet(cluster, "single", "10.62.3.0/24", &json!({"ranges": ["10.62.3.1"], "reuseDelay": "20s"}));
    let asked = [BESIDE, (ADDRESSES, r#"{"subnet": "single"}"#)];
    let is_of = |pod: &'static str| move |spec: &Value| spec["owner"]["pod"] == pod;
    apply(cluster, &bare("one", "one", &asked));
    running(cluster, "one", 1, None);
    until_claims(cluster, "single", 1, is_of("one"));
    delete(cluster, "pod/one", "one");
    let resting = |spec: &Value| is_of("one")(spec) && spec["hold"]["reason"] == "ReuseDelay";
    let held = until_claims(cluster, "single", 1, resting).remove(0);
    let until = text(&held["spec"]["hold"]["until"]);
    assert!(!until.is_empty(), "{held:#}");

    apply(cluster, &bare("two", "two", &asked));
    let said = event(cluster, "two", "AddressesExhausted", PATIENCE);
    assert!(said.contains("single"), "{said}");
    running(cluster, "two", 1, None);
    let taken = until_claims(cluster, "single", 1, is_of("two")).remove(0);
    // Both are of the API server's clock, to the second.
    assert!(text(&taken["metadata"]["creationTimestamp"]) >= until, "{taken:#}, free since {until}");
    agreed(cluster, NETWORK, PREFIX, &range(3, 1, 1), LONG);
    delete(cluster, "pod/two", "two");
    until_claims(cluster, "single", 0, |_| true);
    kubectl(cluster, &["delete", "macvlansubnet", "single", "--timeout=120s"]);
}

fn subnet_waits(cluster: &mut Cluster) {
    ready(cluster);
    subnet(cluster, "going", "10.62.4.0/24", &json!({}));
    apply(cluster, &bare("stays", "stays", &[BESIDE, (ADDRESSES, r#"{"subnet": "going"}"#)]));
    running(cluster, "stays", 1, None);
    let claim = until_claims(cluster, "going", 1, |_| true).remove(0);
    // The controller has put its finalizer there by now, or would have none to hold the subnet with.
    let finalizer = "jsonpath={.metadata.finalizers[0]}=llano.dev/claims";
    wait_for(cluster, &["macvlansubnet", "going"], finalizer, PATIENCE);
    kubectl(cluster, &["delete", "macvlansubnet", "going", "--wait=false"]);
    let said = watch(cluster, &["macvlansubnet", "going"], PATIENCE, |subnet| {
        let conditions = subnet["status"]["conditions"].as_array()?;
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
        (ready["reason"] == "Deleting").then(|| text(&ready["message"]).to_owned())
    });
    let address = text(&claim["spec"]["address"]);
    assert!(said.contains(address) && said.contains("default/stays"), "{said}");
    // What is there stays there meanwhile.
    agreed(cluster, NETWORK, PREFIX, &[address.parse().unwrap()], LONG);
    delete(cluster, "pod/stays", "stays");
    wait_for(cluster, &["macvlansubnet", "going"], "delete", PATIENCE);
    until_claims(cluster, "going", 0, |_| true);
}

fn reservation_ends(cluster: &mut Cluster) {
    ready(cluster);
    subnet(cluster, "team", "10.62.5.0/24", &json!({}));
    reservation(cluster, "team", &json!({"subnet": "team", "count": 3}));
    let kept = |spec: &Value| spec["keptFor"]["kind"] == "Reservation" && spec["keptFor"]["name"] == "team";
    until_claims(cluster, "team", 3, |spec| kept(spec) && spec["hold"]["reason"] == "Reservation");
    apply(cluster, &bare("member", "member", &[BESIDE, (ADDRESSES, r#"{"reservation": "team"}"#)]));
    running(cluster, "member", 1, None);
    until_claims(cluster, "team", 1, |spec| kept(spec) && spec["owner"]["pod"] == "member");
    kubectl(cluster, &["delete", "macvlanreservation", "team"]);
    // The pod's own stays as long as the pod.
    until_claims(cluster, "team", 0, |spec| !spec["hold"].is_null());
    until_claims(cluster, "team", 1, |spec| spec["owner"]["pod"] == "member" && spec["hold"].is_null());
    delete(cluster, "pod/member", "member");
    until_claims(cluster, "team", 0, |_| true);
    kubectl(cluster, &["delete", "macvlansubnet", "team", "--timeout=120s"]);
}

fn scaled_down(cluster: &mut Cluster) {
    ready(cluster);
    subnet(cluster, "few", "10.62.6.0/24", &json!({}));
    apply(cluster, &workload("StatefulSet", "few", 3, &[BESIDE, (ADDRESSES, r#"{"subnet": "few"}"#)]));
    running(cluster, "few", 3, None);
    let before = agreed(cluster, NETWORK, PREFIX, &range(6, 1, 254), LONG);
    kubectl(cluster, &["scale", "statefulset/few", "--replicas=1"]);
    let left = until_claims(cluster, "few", 1, |_| true).remove(0);
    let first = before.iter().find(|one| one.pod == "default/few-0").unwrap();
    assert_eq!(text(&left["spec"]["owner"]["pod"]), "few-0");
    assert_eq!(text(&left["spec"]["address"]), first.address.to_string());
    delete(cluster, "statefulset/few", "few");
    until_claims(cluster, "few", 0, |_| true);
    kubectl(cluster, &["delete", "macvlansubnet", "few", "--timeout=120s"]);
}

/// Pods of the Deployments.
fn pods() -> u8 {
    size(20, 100)
}

/// So many pairs, from 10.62.`net`.1 on.
fn pairs(net: u8, count: u8) -> BTreeSet<Pair> {
    let mac = |address: Ipv4Addr| format!("02:00:5e:62:{net:02x}:{:02x}", address.octets()[3]);
    range(net, 1, count).into_iter().map(|address| (address, mac(address))).collect()
}

/// A Deployment on a standalone network, so that the pods' own addresses are those of the pairs.
fn deployment(name: &str, pods: usize, asked: &[(&str, &str)]) -> Value {
    let annotations: Vec<_> = [ALONE].iter().chain(asked).copied().collect();
    let mut deployment = workload("Deployment", name, pods, &annotations);
    deployment["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "50%"}});
    deployment
}

/// Each pod has one of the pairs, and all of them are had: by the claims, in the pods, on the wire, and by the pods' status.
fn assert_pairs(cluster: &Cluster, name: &str, pairs: &BTreeSet<Pair>) {
    let addresses: Vec<Ipv4Addr> = pairs.iter().map(|(address, _)| *address).collect();
    // An update is over before the last of its old pods is gone.
    running(cluster, name, pairs.len(), None);
    let has = agreed(cluster, NETWORK, PREFIX, &addresses, LONG);
    let had: BTreeSet<Pair> = has.iter().map(|one| (one.address, one.mac.clone())).collect();
    assert_eq!(had, *pairs);
    let by_pod: BTreeMap<String, String> = has
        .iter()
        .map(|one| (one.pod.trim_start_matches("default/").to_owned(), one.address.to_string()))
        .collect();
    let known = pods_of(cluster, name).into_iter().map(|pod| (pod.name, pod.address)).collect();
    assert_eq!(by_pod, known);
    assert!(has.iter().all(|one| one.interface == "eth0"), "{has:#?}");
}

/// A new template, as by any change of it.
fn roll(cluster: &Cluster, name: &str, number: u8, strategy: &Value) {
    let template = json!({"metadata": {"annotations": {"roll": number.to_string()}}});
    let spec = json!({"strategy": {"rollingUpdate": strategy}, "template": template});
    patch(cluster, &format!("deployment/{name}"), &json!({"spec": spec}));
}

fn reserved_pairs(cluster: &mut Cluster) {
    ready(cluster);
    subnet(cluster, "reserved", "10.62.1.0/24", &json!({}));
    let pairs = pairs(1, pods());
    let listed: Vec<Value> = pairs.iter().map(|(ip, mac)| json!({"ip": ip, "mac": mac})).collect();
    let workload = json!({"kind": "Deployment", "name": "reserved"});
    let spec = json!({"subnet": "reserved", "workload": workload, "addresses": listed});
    reservation(cluster, "reserved", &spec);
    let all = pairs.len();
    until_claims(cluster, "reserved", all, |spec| spec["hold"]["reason"] == "Reservation");
    apply(cluster, &deployment("reserved", all, &[]));
    rolled_out(cluster, "deployment/reserved");
    assert_pairs(cluster, "reserved", &pairs);

    roll(cluster, "reserved", 1, &json!({"maxSurge": 0, "maxUnavailable": "50%"}));
    rolled_out(cluster, "deployment/reserved");
    assert_pairs(cluster, "reserved", &pairs);

    // More pods than addresses, and none of the old ones goes: the new ones wait, and say for what.
    roll(cluster, "reserved", 2, &json!({"maxSurge": "25%", "maxUnavailable": 0}));
    let waiting = ["events", "--field-selector", "reason=WaitingForAddress"];
    let said = watch(cluster, &waiting, LONG, |event| {
        let is_ours = text(&event["involvedObject"]["name"]).starts_with("reserved-");
        is_ours.then(|| text(&event["message"]).to_owned())
    });
    assert!(said.contains("reservation reserved"), "{said}");
    // As soon as old ones may go, they take over.
    patch(
        cluster,
        "deployment/reserved",
        &json!({"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": "25%"}}}}),
    );
    rolled_out(cluster, "deployment/reserved");
    assert_pairs(cluster, "reserved", &pairs);

    let said = kubectl(cluster, &["get", "macvlanreservation", "reserved", "-o", "json"]);
    let status = serde_json::from_str::<Value>(&said).unwrap()["status"].take();
    let used: BTreeSet<&str> =
        status["addresses"].as_array().unwrap().iter().map(|address| text(&address["pod"])).collect();
    assert_eq!(used.len(), all, "{status:#}");

    delete(cluster, "deployment/reserved", "reserved");
    until_claims(cluster, "reserved", all, |spec| spec["hold"]["reason"] == "Reservation");
    kubectl(cluster, &["delete", "macvlanreservation", "reserved"]);
    until_claims(cluster, "reserved", 0, |_| true);
    kubectl(cluster, &["delete", "macvlansubnet", "reserved", "--timeout=120s"]);
}

fn listed_pairs(cluster: &mut Cluster) {
    ready(cluster);
    subnet(cluster, "listed", "10.62.2.0/24", &json!({}));
    // The way to a pair is another one than a reservation's, not what a hundred of them do.
    let pairs = pairs(2, pods().div_ceil(5));
    let macs: Vec<&String> = pairs.iter().map(|(_, mac)| mac).collect();
    let (first, last) = (pairs.first().unwrap().0, pairs.last().unwrap().0);
    let asked = json!({"subnet": "listed", "ips": [format!("{first}-{last}")], "macs": macs}).to_string();
    apply(cluster, &deployment("listed", pairs.len(), &[(ADDRESSES, &asked)]));
    rolled_out(cluster, "deployment/listed");
    assert_pairs(cluster, "listed", &pairs);
    roll(cluster, "listed", 1, &json!({"maxSurge": 0, "maxUnavailable": "50%"}));
    rolled_out(cluster, "deployment/listed");
    assert_pairs(cluster, "listed", &pairs);
    delete(cluster, "deployment/listed", "listed");
    until_claims(cluster, "listed", 0, |_| true);
    kubectl(cluster, &["delete", "macvlansubnet", "listed", "--timeout=120s"]);
}
