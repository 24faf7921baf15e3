//! `llano status` of the cluster.

use cluster::Cluster;
use cluster_tests::networks::{NETWORKS, pod};
use cluster_tests::{PATIENCE, event, wait_for};
use serde_json::{Value, json};

use crate::{back_to, delete, ready};

/// What `llano status` says of the cluster, and whether all is well.
fn overview(cluster: &Cluster) -> (Value, bool) {
    let mut command = cluster.host("control").unwrap().command(netns_tests::bin_dir().join("llano")).unwrap();
    command.args(["status", "--kubeconfig", "/etc/kubernetes/admin.conf", "--output", "json"]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text:?} {}", String::from_utf8_lossy(&output.stderr)));
    (said, output.status.success())
}

pub(crate) fn shown(cluster: &mut Cluster) {
    let before = ready(cluster);
    let (said, well) = overview(cluster);
    assert!(well, "{said:#}");
    assert_eq!(
        said["nodes"][1],
        json!({
            "name": "node2", "ready": true, "agent": null, "pods": 0, "attachments": 0,
        })
    );
    cluster.apply(&pod("seen", "node2", &[(NETWORKS, "lan-a,lan-a,team-a/own")])).unwrap();
    cluster.apply(&pod("waits", "node2", &[(NETWORKS, "lan-z")])).unwrap();
    cluster.apply(&pod("agent", "node2", &[])).unwrap();
    cluster.kubectl_output(["label", "pod", "agent", "app.kubernetes.io/name=llano-agent"]).unwrap();
    wait_for(cluster, &["pod", "seen", "agent"], "condition=Ready", PATIENCE);
    let told = event(cluster, "waits", "NoNetworkFound", PATIENCE);
    let (said, well) = overview(cluster);
    assert!(!well, "{said:#}");
    assert_eq!(
        said["nodes"][1],
        json!({
            "name": "node2", "ready": true, "pods": 2, "attachments": 3,
            "agent": {"pod": "default/agent", "ready": true, "version": "1"},
        })
    );
    assert_eq!(
        said["refused"],
        json!([
            {"pod": "default/waits", "node": "node2", "reason": "NoNetworkFound", "message": told},
        ])
    );
    let definition = |name: &str| -> Value {
        let all = said["definitions"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).cloned().unwrap_or_else(|| panic!("no {name}: {said:#}"))
    };
    assert_eq!(
        definition("default/lan-a"),
        json!({
            "name": "default/lan-a", "role": null, "plugin": "macvlan", "pods": 1, "problem": null,
        })
    );
    assert_eq!(definition("kube-system/beside")["role"], "overlay");
    assert_eq!(
        (&definition("default/lan-6")["pods"], &definition("default/on-disk")["plugin"]),
        (&json!(0), &Value::Null)
    );
    let problems: Vec<&str> = said["problems"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(problems.iter().any(|one| one.starts_with("node1: no agent")), "{problems:?}");
    delete(cluster, &["seen", "waits", "agent"]);
    back_to(cluster, &before);
}
