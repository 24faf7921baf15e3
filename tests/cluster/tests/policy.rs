//! What `deploy/` gives to the agent, tried with real tokens: its own node's pods, one annotation, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Output};

use cluster::{Cluster, ClusterSpec};
use cluster_tests::{PATIENCE, Pod, controller, deployment, pods_of, ready_pods, run, without_kind};
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
            ("a_nodes_token_is_kept_to_its_own_addresses", own_claims),
            ("a_nodes_token_makes_no_subnets", no_subnets),
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
    controller::kinds(cluster);
    let definition = deploy("network-attachment-definition.yaml");
    let create = || cluster.kubectl_output(["create".as_ref(), "-f".as_ref(), definition.as_os_str()]);
    create().unwrap();
    let again = create().unwrap_err().to_string();
    assert!(again.contains("AlreadyExists"), "{again}");
    let objects = without_kind(&fs::read_to_string(deploy("llano.yaml")).unwrap(), "DaemonSet");
    assert_eq!(objects.matches("\nkind: ").count(), 11);
    let rights = without_kind(&fs::read_to_string(deploy("controller.yaml")).unwrap(), "Deployment");
    for _ in 0..2 {
        cluster.apply(&objects).unwrap();
        cluster.apply(&rights).unwrap();
    }
    let said =
        cluster.kubectl_output(["apply", "--dry-run=server", "-f", deploy("llano.yaml").to_str().unwrap()]);
    let said = said.unwrap();
    assert!(said.contains("daemonset.apps/llano-agent created (server dry run)"), "{said}");
    assert!(!said.contains("Warning"), "{said}");
    for policy in ["llano-agent", "llano-claims", "llano-claims-others"] {
        let warnings = || {
            let field = "jsonpath={.status.observedGeneration} {.status.typeChecking.expressionWarnings}";
            let text = cluster.kubectl_output(["get", "validatingadmissionpolicy", policy, "-o", field])?;
            Ok(text.starts_with(|first: char| first.is_ascii_digit()).then_some(text))
        };
        let checked = Cluster::wait("the policy's types checked", PATIENCE, warnings).unwrap();
        assert_eq!(checked.trim(), "1", "the API server sees nothing wrong with the expressions of {policy}");
    }
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

/// A claim as the agent of a node makes it; a hold's reason, and nobody's then.
fn claim(address: &str, node: &str, pod: &str, hold: Option<&str>) -> Value {
    let owner = json!({
        "namespace": "default", "pod": pod, "uid": format!("uid-{pod}"), "node": if hold.is_some() { "" } else { node },
        "containerID": "c0ffee", "interface": "net1",
    });
    let mut object = json!({
        "apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanIP",
        "metadata": {
            "name": format!("lan.{address}"), "labels": {"llano.dev/network": "lan", "llano.dev/subnet": "lan-a"},
        },
        "spec": {"network": "lan", "subnet": "lan-a", "address": address, "owner": owner},
    });
    if let Some(reason) = hold {
        object["spec"]["hold"] = json!({"reason": reason, "since": "2026-01-01T00:00:00Z"});
        object["spec"]["keptFor"] = json!({"kind": reason, "namespace": "default", "name": "db"});
    }
    object
}

/// What a node's agent says to the API server about an address: the answer to its token alone.
fn says(cluster: &Cluster, token: &str, verb: &str, object: &Value) -> Output {
    let file = cluster.on_disk("control", "/etc/kubernetes/claim.json");
    fs::write(&file, object.to_string()).unwrap();
    let verb = verb.split(' ');
    let output = with_token(cluster, token, &verb.chain(["-f", file.to_str().unwrap()]).collect::<Vec<_>>());
    fs::remove_file(&file).unwrap();
    output
}

/// What the kind's own rules say before the policy is asked.
const IN_USE: &str = "cannot go to another pod or node";

fn own_claims(cluster: &mut Cluster) {
    let tokens = ["node1", "node2"].map(|node| token(cluster, Some(node)));
    let done = |token: &str, verb: &str, object: &Value| {
        let output = says(cluster, token, verb, object);
        assert!(output.status.success(), "{verb} {object}: {output:?}");
    };
    let refused = |token: &str, verb: &str, object: &Value, text: &str| {
        assert_refused(&says(cluster, token, verb, object), text);
    };
    let [own, other] = &tokens;
    let mine = claim("10.0.0.5", "node1", "web-0", None);
    refused(other, "create", &mine, "must be the agent's own node");
    let held = claim("10.0.0.6", "node1", "db-0", Some("StatefulSet"));
    refused(own, "create", &held, "must be the agent's own node");
    done(own, "create", &mine);
    refused(other, "delete", &mine, "not the agent's own node");
    refused(other, "replace", &claim("10.0.0.5", "node2", "web-0", None), IN_USE);
    refused(own, "replace", &claim("10.0.0.5", "node2", "web-0", None), IN_USE);
    refused(own, "replace", &claim("10.0.0.5", "node1", "web-1", None), IN_USE);
    let mut bare = claim("10.0.0.5", "node1", "web-0", Some("ReuseDelay"));
    bare["spec"].as_object_mut().unwrap().remove("keptFor");
    bare["spec"]["hold"]["until"] = json!("2036-01-01T00:00:00Z");
    refused(other, "replace", &bare, "may only become empty");
    done(own, "replace", &bare);
    refused(own, "replace", &mine, "cannot be taken");
    refused(own, "delete", &bare, "only the controller deletes");
    // One that is kept for a StatefulSet, as the controller leaves it: its own pod's node takes it, nobody else.
    let made = controller::create(cluster, &[], &held.to_string()).unwrap_err();
    assert!(made.contains("made by agents and the controller only"), "{made}");
    controller::create(cluster, &["--as", "system:serviceaccount:llano:llano-controller"], &held.to_string())
        .unwrap();
    let kept = |node: &str, pod: &str| {
        let mut taken = claim("10.0.0.6", node, pod, None);
        taken["spec"]["keptFor"] = held["spec"]["keptFor"].clone();
        taken
    };
    refused(own, "replace", &kept("node2", "db-0"), "may only become empty");
    refused(own, "replace", &kept("node1", "db-1"), "kept for the pod of that name");
    refused(own, "replace", &claim("10.0.0.6", "node1", "db-0", None), "spec.keptFor");
    done(other, "replace", &kept("node2", "db-0"));
    refused(own, "replace", &kept("node1", "db-0"), IN_USE);
    refused(own, "delete", &kept("node2", "db-0"), "not the agent's own node");
    done(other, "delete", &kept("node2", "db-0"));
    cluster.kubectl_output(["delete", "mip", "--all"]).unwrap();
}

fn no_subnets(cluster: &mut Cluster) {
    let token = token(cluster, Some("node1"));
    for (kind, spec) in [
        ("MacvlanSubnet", json!({"network": "lan", "cidr": "10.0.0.0/24"})),
        ("MacvlanNetwork", json!({"parent": "eth1"})),
        ("MacvlanReservation", json!({"subnet": "lan-a", "count": 1})),
    ] {
        let metadata =
            json!({"name": "stolen", "namespace": (kind == "MacvlanReservation").then_some("default")});
        let object =
            json!({"apiVersion": "llano.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        assert_refused(&says(cluster, &token, "create", &object), "forbidden");
    }
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
        vec!["delete", "node", "node2"],
        vec!["delete", "msubnet", "lan-a"],
        vec!["delete", "mvn", "lan"],
        vec!["delete", "mres", "own"],
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
