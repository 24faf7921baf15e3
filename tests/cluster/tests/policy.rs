//! What `deploy/` gives to the agent, tried with real tokens: its own node's pods, one annotation, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Output};

use cluster::{Cluster, ClusterSpec};
use cluster_tests::{PATIENCE, Pod, deployment, pods_of, ready_pods, run};
use serde_json::{Value, json};

const STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

fn main() -> ExitCode {
    run(
        ClusterSpec::default(),
        &[
            ("the_manifests_are_taken_twice", manifests_are_taken),
            ("a_nodes_token_writes_the_status_annotation_of_its_own_pods", own_annotation),
            ("a_nodes_token_cannot_change_another_nodes_pod", other_nodes_pod),
            ("a_nodes_token_cannot_change_anything_else_of_its_own_pod", nothing_else),
            ("a_token_without_a_node_cannot_write_anything", unbound_token),
            ("the_service_account_may_do_no_more_than_it_needs", no_more),
            ("kubelets_and_users_are_not_held_up", others_go_on),
        ],
    )
}

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)
}

/// Everything but the DaemonSet: this is about what its token may do, not about what it does.
fn manifests_are_taken(cluster: &mut Cluster) {
    let definition = deploy("network-attachment-definition.yaml");
    let create = || cluster.kubectl_output(["create".as_ref(), "-f".as_ref(), definition.as_os_str()]);
    create().unwrap();
    let again = create().unwrap_err().to_string();
    assert!(again.contains("AlreadyExists"), "{again}");
    let text = fs::read_to_string(deploy("llano.yaml")).unwrap();
    let objects: Vec<&str> =
        text.split("\n---\n").filter(|object| !object.contains("kind: DaemonSet")).collect();
    assert_eq!(objects.len(), 7);
    for _ in 0..2 {
        cluster.apply(&objects.join("\n---\n")).unwrap();
    }
    let said =
        cluster.kubectl_output(["apply", "--dry-run=server", "-f", deploy("llano.yaml").to_str().unwrap()]);
    let said = said.unwrap();
    assert!(said.contains("daemonset.apps/llano-agent created (server dry run)"), "{said}");
    assert!(!said.contains("Warning"), "{said}");
    let warnings = || {
        let field = "jsonpath={.status.observedGeneration} {.status.typeChecking.expressionWarnings}";
        let text =
            cluster.kubectl_output(["get", "validatingadmissionpolicy", "llano-agent", "-o", field])?;
        Ok(text.starts_with('1').then_some(text))
    };
    let checked = Cluster::wait("the policy's types checked", PATIENCE, warnings).unwrap();
    assert_eq!(checked.trim(), "1", "the API server sees nothing wrong with the expressions");
    // kubectl reads what it is about to patch; the agent does not, and has no right to.
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "kubectl-patch"},
        "rules": [{"apiGroups": [""], "resources": ["pods/status"], "verbs": ["get"]}],
    });
    cluster.apply(&role.to_string()).unwrap();
    let bind = ["create", "clusterrolebinding", "kubectl-patch", "--clusterrole=kubectl-patch"];
    cluster.kubectl_output(bind.into_iter().chain(["--serviceaccount=llano:llano-agent"])).unwrap();
    cluster.apply(&deployment("web", 4)).unwrap();
    ready_pods(cluster, "web", 4);
    // A policy counts a moment after it is made: from here on it does.
    let pod = pod_on(cluster, "node2");
    let token = token(cluster, Some("node1"));
    let refused = || {
        let output = patch(cluster, &token, &pod.name, &annotation("a moment"));
        Ok(String::from_utf8_lossy(&output.stderr).contains("own node").then_some(()))
    };
    Cluster::wait("the policy in force", PATIENCE, refused).unwrap();
}

fn pod_on(cluster: &Cluster, node: &str) -> Pod {
    pods_of(cluster, "web").into_iter().find(|pod| pod.node == node).unwrap()
}

/// A token of the agent's service account; on a node it is bound to that node, as a DaemonSet's is.
fn token(cluster: &Cluster, node: Option<&str>) -> String {
    let mut args = vec!["create", "token", "llano-agent", "-n", "llano"];
    if let Some(node) = node {
        args.extend(["--bound-object-kind", "Node", "--bound-object-name", node]);
    }
    cluster.kubectl_output(args).unwrap().trim().to_owned()
}

/// kubectl with this token and nothing else.
fn with_token(cluster: &Cluster, token: &str, args: &[&str]) -> Output {
    let admin = fs::read_to_string(cluster.on_disk("control", "/etc/kubernetes/admin.conf")).unwrap();
    let mut config: Value = serde_json::from_str(&admin).expect("the kubeconfig is JSON");
    config["users"][0]["user"] = json!({ "token": token });
    let path = cluster.on_disk("control", "/etc/kubernetes/token.conf");
    fs::write(&path, config.to_string()).unwrap();
    let mut command = cluster.kubectl().unwrap();
    let output = command.env("KUBECONFIG", &path).args(args).output().unwrap();
    fs::remove_file(&path).unwrap();
    output
}

fn patch(cluster: &Cluster, token: &str, pod: &str, patch: &Value) -> Output {
    let text = patch.to_string();
    with_token(cluster, token, &["patch", "pod", pod, "--subresource=status", "--type=merge", "-p", &text])
}

fn annotation(text: &str) -> Value {
    json!({"metadata": {"annotations": {STATUS: text}}})
}

fn assert_refused(output: &Output, reason: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(reason), "expected {reason:?}: {output:?}");
}

fn object(cluster: &Cluster, pod: &str) -> Value {
    let mut object: Value =
        serde_json::from_str(&cluster.kubectl_output(["get", "pod", pod, "-o", "json"]).unwrap()).unwrap();
    object["metadata"]["managedFields"].take();
    object
}

fn own_annotation(cluster: &mut Cluster) {
    for node in ["node1", "node2"] {
        let token = token(cluster, Some(node));
        let pod = pod_on(cluster, node);
        for text in ["[]", "[{}]"] {
            let output = patch(cluster, &token, &pod.name, &annotation(text));
            assert!(output.status.success(), "{output:?}");
            assert_eq!(object(cluster, &pod.name)["metadata"]["annotations"][STATUS], text);
        }
        // Taken away again, as hot-plug may.
        let output = patch(cluster, &token, &pod.name, &json!({"metadata": {"annotations": {STATUS: null}}}));
        assert!(output.status.success(), "{output:?}");
    }
}

fn other_nodes_pod(cluster: &mut Cluster) {
    let pod = pod_on(cluster, "node2");
    let before = object(cluster, &pod.name);
    let token = token(cluster, Some("node1"));
    assert_refused(&patch(cluster, &token, &pod.name, &annotation("[]")), "not on the agent's own node");
    assert_refused(
        &patch(cluster, &token, &pod.name, &json!({"metadata": {"labels": {"app": "stolen"}}})),
        "not on the agent's own node",
    );
    assert_eq!(object(cluster, &pod.name), before);
}

fn nothing_else(cluster: &mut Cluster) {
    let pod = pod_on(cluster, "node1");
    cluster.kubectl_output(["annotate", "pod", &pod.name, "example.org/mine=1"]).unwrap();
    let before = object(cluster, &pod.name);
    let token = token(cluster, Some("node1"));
    for (change, reason) in [
        (json!({"metadata": {"labels": {"app": "stolen"}}}), "may not change labels"),
        (json!({"metadata": {"labels": {"app": null}}}), "may not change labels"),
        (json!({"metadata": {"annotations": {"example.org/mine": "2"}}}), "no annotation but"),
        (json!({"metadata": {"annotations": {"example.org/mine": null}}}), "no annotation but"),
        (json!({"metadata": {"annotations": {"k8s.v1.cni.cncf.io/networks": "x"}}}), "no annotation but"),
        (json!({"metadata": {"finalizers": ["example.org/held"]}}), "may not change finalizers"),
        (json!({"status": {"phase": "Failed"}}), "may not change a pod's spec or status"),
        (json!({"status": {"conditions": []}}), "may not change a pod's spec or status"),
        // One allowed thing does not carry another.
        (json!({"metadata": {"annotations": {STATUS: "[]"}, "labels": {"a": "b"}}}), "may not change labels"),
    ] {
        assert_refused(&patch(cluster, &token, &pod.name, &change), reason);
        assert_eq!(object(cluster, &pod.name), before, "{change}");
    }
}

fn unbound_token(cluster: &mut Cluster) {
    let token = token(cluster, None);
    for node in ["node1", "node2"] {
        let pod = pod_on(cluster, node);
        assert_refused(&patch(cluster, &token, &pod.name, &annotation("[]")), "not bound to a node");
    }
    // Reading is not the policy's.
    let output = with_token(cluster, &token, &["get", "pods", "-A"]);
    assert!(output.status.success(), "{output:?}");
}

fn no_more(cluster: &mut Cluster) {
    let token = token(cluster, Some("node1"));
    let pod = pod_on(cluster, "node1");
    for args in [
        vec!["delete", "pod", &pod.name, "--wait=false"],
        vec!["annotate", "pod", &pod.name, "a=b"],
        vec!["get", "secrets", "-A"],
        vec!["get", "nodes"],
        vec!["label", "node", "node1", "a=b"],
        vec!["create", "token", "llano-agent", "-n", "llano"],
        vec!["delete", "crd", "network-attachment-definitions.k8s.cni.cncf.io"],
    ] {
        assert_refused(&with_token(cluster, &token, &args), "forbidden");
    }
    for args in [vec!["get", "pods", "-A"], vec!["get", "net-attach-def", "-A"], vec!["get", "nad", "-A"]] {
        let output = with_token(cluster, &token, &args);
        assert!(output.status.success(), "{output:?}");
    }
}

fn others_go_on(cluster: &mut Cluster) {
    // The kubelet writes the status of pods, a user their labels: the policy is about the agent alone.
    cluster.apply(&deployment("later", 2)).unwrap();
    ready_pods(cluster, "later", 2);
    let pod = pod_on(cluster, "node1");
    cluster.kubectl_output(["label", "pod", &pod.name, "example.org/user=1"]).unwrap();
    assert_eq!(object(cluster, &pod.name)["metadata"]["labels"]["example.org/user"], "1");
}
