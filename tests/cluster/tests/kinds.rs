//! The kinds on a real API server: their definitions are taken, and it says about every object of the table what the table says.

#![allow(clippy::unwrap_used, clippy::expect_used)]

// The unit tests of `crates/api` try the same table without an API server.
#[allow(dead_code, reason = "they look at what parsing says as well")]
#[path = "../../../crates/api/tests/kinds/table.rs"]
mod table;

use std::path::Path;
use std::process::{ExitCode, Output};

use cluster::{Cluster, ClusterSpec};
use cluster_tests::{PATIENCE, kubectl, run};
use serde_json::{Value, json};
use table::{Case, cases};

fn main() -> ExitCode {
    run(
        ClusterSpec::default(),
        &[
            ("the_definitions_are_taken_twice_without_a_warning", definitions_are_taken),
            ("the_api_server_takes_and_refuses_what_the_table_says", every_case),
            ("the_largest_objects_stay_within_the_budget_of_rules", largest),
            ("kubectl_finds_and_explains_the_kinds", found_and_explained),
        ],
    )
}

fn definitions_are_taken(cluster: &mut Cluster) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds.yaml");
    for verb in ["created", "unchanged"] {
        let output = kubectl(cluster, &["apply", "-f", file.to_str().unwrap()], "");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        // A rule that costs too much or a format that is unknown would be told here.
        assert!(output.status.success() && err.is_empty(), "{out}{err}");
        assert_eq!(out.lines().filter(|line| line.ends_with(verb)).count(), 4, "{out}");
    }
    let established = || {
        let field = "jsonpath={.items[?(@.spec.group=='llano.dev')].status.conditions[?(@.type=='Established')].status}";
        let said = cluster.kubectl_output(["get", "crd", "-o", field])?;
        Ok((said.trim() == "True True True True").then_some(()))
    };
    Cluster::wait("the kinds established", PATIENCE, established).unwrap();
}

fn every_case(cluster: &mut Cluster) {
    let cases = cases();
    for case in &cases {
        match (&case.then, &case.refused) {
            (None, Some(text)) => {
                let output =
                    kubectl(cluster, &["create", "--dry-run=server", "-f", "-"], &case.object.to_string());
                assert_refused(case, &output, text);
            }
            (None, None) => {
                assert_done(case, &kubectl(cluster, &["create", "-f", "-"], &case.object.to_string()));
                delete(cluster, case);
            }
            (Some(then), refused) => {
                assert_done(case, &kubectl(cluster, &["create", "-f", "-"], &case.object.to_string()));
                let output = kubectl(cluster, &["replace", "-f", "-"], &then.to_string());
                match refused {
                    None => assert_done(case, &output),
                    Some(text) => assert_refused(case, &output, text),
                }
                delete(cluster, case);
            }
        }
    }
    assert!(cases.len() > 150, "{} cases", cases.len());
}

fn delete(cluster: &Cluster, case: &Case) {
    assert_done(case, &kubectl(cluster, &["delete", "--wait=true", "-f", "-"], &case.object.to_string()));
}

fn assert_done(case: &Case, output: &Output) {
    assert!(output.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
}

fn assert_refused(case: &Case, output: &Output, text: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{} is taken", case.name);
    assert!(said.contains(text), "{}: {text:?} is not in {said}", case.name);
}

/// The API server counts what rules cost while it runs them, and refuses an object that costs too much.
fn largest(cluster: &mut Cluster) {
    let long =
        |n: u32| format!("fd00:1111:2222:3333:4444:5555:{:x}:{:x}", 0x1000 + (n >> 8), 0x1000 + (n & 255));
    let ranges = |first: u32| -> Vec<String> {
        (0..1024).map(|n| first + 2 * n).map(|n| format!("{}-{}", long(n), long(n + 1))).collect()
    };
    let routes: Vec<Value> =
        (0..64).map(|n| json!({"dst": format!("{}/128", long(n)), "gw": long(n)})).collect();
    let pairs = || -> Vec<Value> {
        (0u32..4096)
            .map(|n| json!({"ip": long(n), "mac": format!("02:00:5e:10:{:02x}:{:02x}", n >> 8, n & 255), "ordinal": n}))
            .collect()
    };
    let addresses: Vec<Value> =
        pairs().iter().map(|pair| json!({"ip": pair["ip"], "mac": pair["mac"]})).collect();
    for (kind, spec) in [
        (
            "MacvlanSubnet",
            json!({"network": "lan", "cidr": "fd00::/16", "gateway": "fd00::1", "ranges": ranges(0), "exclude": ranges(3000),
                "routes": routes}),
        ),
        ("MacvlanReservation", json!({"subnet": "lan-a", "addresses": addresses})),
        ("MacvlanReservation", json!({"subnet": "lan-a", "ordinals": pairs()})),
        ("MacvlanReservation", json!({"subnet": "lan-a", "ranges": ranges(0)})),
    ] {
        let object = json!({"apiVersion": "llano.dev/v1alpha1", "kind": kind, "metadata": {"name": "large"}, "spec": spec});
        let output = kubectl(cluster, &["create", "--dry-run=server", "-f", "-"], &object.to_string());
        assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn found_and_explained(cluster: &mut Cluster) {
    let claim = |name: &str, address: &str, node: &str| {
        let owner = json!({
            "namespace": "default", "pod": "web-0", "uid": "8f1c", "node": node, "containerID": "c0ffee", "interface": "net1",
        });
        json!({
            "apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanIP", "metadata": {"name": name},
            "spec": {"network": "lan", "subnet": "lan-a", "address": address, "mac": "02:00:5e:10:00:01", "owner": owner},
        })
    };
    cluster.apply(&claim("lan.10.0.0.5", "10.0.0.5", "node1").to_string()).unwrap();
    cluster.apply(&claim("lan.fd00--5", "fd00::5", "node2").to_string()).unwrap();
    let get = |args: &[&str]| cluster.kubectl_output(["get"].iter().chain(args)).unwrap();
    let lines = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let table = lines(&get(&["mip"]));
    assert_eq!(table[0], ["NAME", "ADDRESS", "MAC", "NAMESPACE", "POD", "NODE", "HOLD", "SUBNET", "AGE"]);
    let first = ["lan.10.0.0.5", "10.0.0.5", "02:00:5e:10:00:01", "default", "web-0", "node1", "lan-a"];
    assert_eq!(table[1][..7], first);
    for (selector, name) in [
        ("spec.owner.node=node2", "lan.fd00--5"),
        ("spec.address=10.0.0.5", "lan.10.0.0.5"),
        ("spec.network=lan,spec.owner.node=node1,spec.owner.pod=web-0", "lan.10.0.0.5"),
    ] {
        let said = get(&["mip", "--field-selector", selector, "-o", "name"]);
        assert_eq!(said.trim(), format!("macvlanip.llano.dev/{name}"), "{selector}");
    }
    // The category: all of Llano at once.
    assert_eq!(get(&["llano", "-A", "-o", "name"]).lines().count(), 2);
    for kind in ["mvn", "msubnet", "mip", "mres"] {
        let said = cluster.kubectl_output(["explain", kind]).unwrap();
        assert!(said.contains("DESCRIPTION:\n    Macvlan"), "{said}");
        let said = cluster.kubectl_output(["explain", &format!("{kind}.spec"), "--recursive"]).unwrap();
        assert!(said.contains("FIELDS:"), "{said}");
    }
    // What is left out has its default.
    let subnet: Value = json!({
        "apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanSubnet", "metadata": {"name": "lan-a"},
        "spec": {"network": "lan", "cidr": "10.0.0.0/24"},
    });
    cluster.apply(&subnet.to_string()).unwrap();
    let said: Value = serde_json::from_str(&get(&["msubnet", "lan-a", "-o", "json"])).unwrap();
    let spec = &said["spec"];
    assert_eq!(
        (&spec["reuseDelay"], &spec["default"], &spec["disabled"]),
        (&json!("0s"), &json!(false), &json!(false))
    );
}
