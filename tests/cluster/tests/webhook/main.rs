//! The webhook on a real API server: every rule of its own takes one object and refuses another, and what happens while it is away.
//!
//! `crates/controller/tests/webhook` has the rules' finer cases.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod tables;

use std::process::ExitCode;

use cluster::{Cluster, ClusterSpec};
use cluster_tests::addresses::{active, claims, network, subnet};
use cluster_tests::networks::definition;
use cluster_tests::{PATIENCE, controller, daemon, on, run, wait_for};
use serde_json::{Value, json};

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
const FIRST: &str = "v1.multus-cni.io/default-network";
const ADDRESSES: &str = "llano.dev/addresses";

fn main() -> ExitCode {
    run(
        ClusterSpec::default(),
        &[
            ("a_cluster_with_networks_subnets_reservations_and_pods", world),
            ("the_table_of_networks", tables::networks),
            ("the_table_of_subnets", tables::subnets),
            ("the_table_of_reservations", tables::reservations),
            ("the_table_of_pods", tables::pods),
            ("an_update_is_judged_by_what_it_changes", updates),
            ("a_subnet_that_is_deleted_waits_and_names_who_has_its_addresses", deletion),
            ("pods_start_without_a_controller_and_subnets_wait_for_one", away),
            ("the_others_go_on_when_the_one_that_leads_is_killed", killed),
        ],
    )
}

fn apply(cluster: &Cluster, object: &str) {
    cluster.apply(object).unwrap_or_else(|error| panic!("{error}\n{object}\n{}", daemon::logs(cluster)));
}

/// kubectl with this on its standard input: whether it succeeded, and what it said on standard error, warnings too.
fn kubectl(cluster: &Cluster, args: &[&str], input: &str) -> (bool, String) {
    let output = cluster_tests::kubectl(cluster, args, input);
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What becomes of an object.
enum Then {
    /// Taken, and nothing is said.
    Taken,
    /// Taken, with this warning.
    Warned(&'static str),
    /// Refused by the webhook with all these parts: the field, and the way out.
    Refused(&'static [&'static str]),
}
use Then::{Refused, Taken, Warned};

/// Asks about each object without making it: the API server asks the webhook all the same.
fn check(cluster: &Cluster, cases: &[(&str, String, Then)]) {
    for (case, object, then) in cases {
        let (taken, said) = kubectl(cluster, &["create", "--dry-run=server", "-f", "-"], object);
        assert_as_expected(case, taken, &said, then);
    }
}

fn assert_as_expected(case: &str, taken: bool, said: &str, then: &Then) {
    match then {
        Taken => assert!(taken && said.is_empty(), "{case}: {said}"),
        Warned(part) => {
            assert!(taken && said.contains("Warning: ") && said.contains(part), "{case}: {part:?} in {said}");
        }
        Refused(parts) => {
            assert!(!taken, "{case} is taken");
            for part in ["admission webhook", "denied the request"].iter().chain(*parts) {
                assert!(said.contains(part), "{case}: {part:?} in {said}");
            }
        }
    }
}

fn network_with(name: &str, spec: &Value) -> String {
    json!({"apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanNetwork", "metadata": {"name": name}, "spec": spec})
        .to_string()
}

fn reservation(namespace: &str, name: &str, spec: &Value) -> String {
    json!({
        "apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanReservation",
        "metadata": {"namespace": namespace, "name": name}, "spec": spec,
    })
    .to_string()
}

/// A pod with these annotations, and the label `app` of its name.
fn pod(namespace: &str, name: &str, annotations: &[(&str, &str)]) -> String {
    let mut pod = cluster_tests::pod(name, name, annotations);
    pod["metadata"]["namespace"] = json!(namespace);
    pod.to_string()
}

/// Makes the pod and waits until it runs.
fn start(cluster: &Cluster, namespace: &str, name: &str, annotations: &[(&str, &str)]) {
    apply(cluster, &pod(namespace, name, annotations));
    wait_for(cluster, &["-n", namespace, &format!("pod/{name}")], "condition=Ready", PATIENCE);
}

/// Waits until the controller says of an object that all is well: it knows it then.
fn wait_ready(cluster: &Cluster, words: &[&str]) {
    wait_for(cluster, words, "condition=Ready", PATIENCE);
}

fn world(cluster: &mut Cluster) {
    controller::apply(cluster);
    for namespace in ["shop", "bank"] {
        apply(
            cluster,
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"team": namespace}}})
                .to_string(),
        );
    }
    apply(cluster, &network("lan", "eth1", &[("shop", "overlay"), ("bank", "overlay")]));
    apply(cluster, &network("wan", "eth1", &[("shop", "standalone")]));
    let foreign = json!({"cniVersion": "1.0.0", "type": "bridge", "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"}});
    apply(cluster, &definition("shop", "foreign", None, Some(&foreign)));
    let shop = json!({"namespaceSelector": {"matchLabels": {"team": "shop"}}});
    for object in [
        subnet(
            "a",
            "lan",
            "10.60.0.0/24",
            &json!({"gateway": "10.60.0.1", "ranges": ["10.60.0.10-10.60.0.99"], "default": true}),
        ),
        subnet("a6", "lan", "fd60::/64", &json!({"pairWith": "a"})),
        subnet("shop-only", "lan", "10.61.0.0/24", &shop),
        subnet("web-only", "lan", "10.62.0.0/24", &json!({"podSelector": {"matchLabels": {"app": "web"}}})),
        subnet("off", "lan", "10.63.0.0/24", &json!({"disabled": true})),
        subnet("lonely", "lan", "10.64.0.0/29", &json!({"ranges": ["10.64.0.2-10.64.0.5"]})),
        subnet("w", "wan", "10.60.0.0/24", &json!({})),
    ] {
        apply(cluster, &object);
    }
    let front = json!({"subnet": "a", "addresses": [{"ip": "10.60.0.40", "mac": "02:00:00:00:00:40"}, {"ip": "10.60.0.41"}]});
    apply(cluster, &reservation("shop", "front", &front));
    apply(
        cluster,
        &reservation("bank", "vault", &json!({"subnet": "a", "ranges": ["10.60.0.50-10.60.0.52"]})),
    );
    apply(cluster, &reservation("shop", "wide", &json!({"subnet": "w", "ranges": ["10.60.0.60"]})));
    wait_ready(cluster, &["-n", "shop", "macvlanreservation/front", "macvlanreservation/wide"]);
    wait_ready(cluster, &["-n", "bank", "macvlanreservation/vault"]);
    wait_ready(cluster, &["macvlannetwork/lan", "macvlannetwork/wan"]);
    for (namespace, name) in [("shop", "web-0"), ("bank", "other")] {
        start(cluster, namespace, name, &[(NETWORKS, "lan"), (ADDRESSES, r#"{"subnet": "lonely"}"#)]);
    }
    let lonely: Vec<_> = active(cluster).into_iter().filter(|claim| claim.subnet == "lonely").collect();
    assert_eq!(lonely.len(), 2, "{lonely:?}");
    let reserved =
        claims(cluster).iter().filter(|claim| claim["spec"]["hold"]["reason"] == "Reservation").count();
    assert_eq!(reserved, 6);
}

/// The address of subnet `lonely` that a pod has.
fn address_of(cluster: &Cluster, pod: &str) -> String {
    let found = active(cluster).into_iter().find(|claim| claim.pod == pod && claim.subnet == "lonely");
    found.unwrap_or_else(|| panic!("{pod} has no address")).address
}

/// A change of a subnet's spec, without making it.
fn change(cluster: &Cluster, case: &str, what: &str, spec: &Value, then: &Then) {
    let patch = json!({"spec": spec}).to_string();
    let words = ["patch", what, "--dry-run=server", "--type=merge", "-p", &patch];
    let (taken, said) = kubectl(cluster, &words, "");
    assert_as_expected(case, taken, &said, then);
}

fn updates(cluster: &mut Cluster) {
    let own = address_of(cluster, "shop/web-0");
    for (case, what, spec, then) in [
        ("a wider range", "msubnet/lonely", json!({"ranges": ["10.64.0.2-10.64.0.6"]}), Taken),
        (
            "an address in use left out",
            "msubnet/lonely",
            json!({"exclude": [own]}),
            Refused(&["spec.exclude", "pod shop/web-0", "keep them in, or delete what has them first"]),
        ),
        (
            "a router in the place of a pod",
            "msubnet/lonely",
            json!({"gateway": own}),
            Refused(&["spec.gateway", "pod shop/web-0"]),
        ),
        (
            "reserved addresses left out",
            "msubnet/a",
            json!({"ranges": ["10.60.0.10-10.60.0.49"]}),
            Refused(&["10.60.0.50"]),
        ),
        ("what nobody has left out", "msubnet/a", json!({"exclude": ["10.60.0.98-10.60.0.99"]}), Taken),
        (
            "a namespace with addresses left out",
            "msubnet/lonely",
            json!({"namespaceSelector": {"matchLabels": {"team": "shop"}}}),
            Warned("spec.namespaceSelector leaves out bank"),
        ),
        (
            "another VLAN under pods",
            "mvn/lan",
            json!({"vlan": 100}),
            Warned("addresses of this network are in use"),
        ),
        ("another VLAN without pods", "mvn/wan", json!({"vlan": 100}), Taken),
    ] {
        change(cluster, case, what, &spec, &then);
    }
}

fn deletion(cluster: &mut Cluster) {
    cluster.kubectl_output(["delete", "msubnet", "lonely", "--wait=false"]).unwrap();
    let field = "jsonpath={.status.conditions[?(@.type=='Ready')].message}";
    let told = || {
        let said = cluster.kubectl_output(["get", "msubnet", "lonely", "-o", field])?;
        Ok((said.contains("shop/web-0") && said.contains("bank/other")).then_some(()))
    };
    Cluster::wait("the holders in the subnet's status", PATIENCE, told).unwrap();
    for (namespace, name) in [("shop", "web-0"), ("bank", "other")] {
        cluster.kubectl_output(["-n", namespace, "delete", "pod", name, "--timeout=60s"]).unwrap();
    }
    wait_for(cluster, &["msubnet/lonely"], "delete", PATIENCE);
}

/// So many controllers, none more.
fn scale(cluster: &Cluster, replicas: usize) {
    let words = ["-n", "llano", "scale", "deployment/llano-controller", &format!("--replicas={replicas}")];
    cluster.kubectl_output(words).unwrap();
    let there = || Ok((controller::pods(cluster).len() == replicas).then_some(()));
    Cluster::wait(&format!("{replicas} controllers"), PATIENCE, there).unwrap();
}

fn away(cluster: &mut Cluster) {
    scale(cluster, 0);
    // Open: the agent gives an address without the controller.
    start(cluster, "shop", "alone", &[(NETWORKS, "lan")]);
    assert!(active(cluster).iter().any(|claim| claim.pod == "shop/alone"), "{:?}", active(cluster));
    // Closed, and it says whose webhook it is.
    let new = subnet("new", "lan", "10.69.0.0/24", &json!({}));
    let (taken, said) = kubectl(cluster, &["create", "-f", "-"], &new);
    assert!(!taken && said.contains(r#"failed calling webhook "kinds.llano.dev""#), "{said}");
    // What needs no other object goes on: labels, and deletions.
    cluster.kubectl_output(["label", "msubnet", "off", "seen=yes"]).unwrap();
    cluster.kubectl_output(["delete", "msubnet", "web-only", "--wait=false"]).unwrap();
    scale(cluster, 2);
    let answers = || {
        let (taken, said) = kubectl(cluster, &["create", "--dry-run=server", "-f", "-"], &new);
        Ok((taken && said.is_empty()).then_some(()))
    };
    Cluster::wait("the webhook's answer", PATIENCE, answers).unwrap();
    wait_for(cluster, &["msubnet/web-only"], "delete", PATIENCE);
}

/// Killed, not asked to end: nobody gives the lease back.
fn killed(cluster: &mut Cluster) {
    let timeout = format!("--timeout={}s", PATIENCE.as_secs());
    let rollout = ["-n", "llano", "rollout", "status", "deployment/llano-controller", &timeout];
    cluster.kubectl_output(rollout).unwrap();
    let leader =
        Cluster::wait("a controller that leads", PATIENCE, || Ok(controller::leader(cluster))).unwrap();
    let pods = controller::pods(cluster);
    let pod = pods.iter().find(|pod| pod["metadata"]["name"] == *leader).unwrap();
    let container = pod["status"]["containerStatuses"][0]["containerID"].as_str().unwrap();
    let container = container.strip_prefix("containerd://").unwrap();
    let (node, ctr) =
        (pod["spec"]["nodeName"].as_str().unwrap(), cluster.program("ctr").display().to_string());
    on(cluster, node, &[&ctr, "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", container]).unwrap();
    // The other one answers meanwhile.
    let object = subnet("new", "lan", "10.60.0.0/24", &json!({"ranges": ["10.60.0.90"]}));
    let refused = || {
        let (taken, said) = kubectl(cluster, &["create", "--dry-run=server", "-f", "-"], &object);
        assert!(!taken, "an overlap is taken");
        Ok(said.contains("is given by subnet a").then_some(()))
    };
    Cluster::wait("the other's answer", PATIENCE, refused).unwrap();
    // Until the one that is gone is no endpoint any more, the API server may still ask it.
    let next = subnet("next", "wan", "10.70.0.0/24", &json!({}));
    Cluster::wait("a subnet taken", PATIENCE, || Ok(cluster.apply(&next).ok())).unwrap();
    let counted = || {
        let said = cluster.kubectl_output(["get", "msubnet", "next", "-o", "jsonpath={.status.total}"])?;
        Ok((said == "254").then_some(()))
    };
    Cluster::wait("the status that a leader writes", PATIENCE, counted).unwrap();
}
