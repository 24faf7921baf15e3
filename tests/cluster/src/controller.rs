//! Addresses as objects, as users install them: the kinds, the agents, the controller with its webhook, the roles.

use cluster::Cluster;
use serde_json::Value;

use crate::daemon::{self, IMAGE};
use crate::{PATIENCE, agent, wait_for, without_kind};

const KINDS: &str = include_str!("../../../deploy/crds.yaml");
const CONTROLLER: &str = include_str!("../../../deploy/controller.yaml");
const ROLES: &str = include_str!("../../../deploy/roles.yaml");
const WEBHOOK: &str = include_str!("../../../deploy/webhook.yaml");

/// The controllers' label.
pub const LABEL: &str = "app.kubernetes.io/name=llano-controller";

/// Installs everything of `deploy/` and waits until agents and controllers are ready, one of these leads, and the webhook answers.
///
/// # Panics
/// When that does not come.
pub fn apply(cluster: &Cluster) {
    if !daemon::images(cluster, "node1").iter().any(|name| name == IMAGE) {
        cluster.import(&daemon::archive()).unwrap();
    }
    kinds(cluster);
    assert!(CONTROLLER.contains(IMAGE), "the manifest names {IMAGE}");
    daemon::begin(cluster, IMAGE);
    for manifest in [&impatient(), ROLES, WEBHOOK] {
        cluster.apply(manifest).unwrap_or_else(|error| panic!("{error}"));
    }
    daemon::apply(cluster, IMAGE);
    let timeout = format!("--timeout={}s", PATIENCE.as_secs());
    let rollout = ["-n", "llano", "rollout", "status", "deployment/llano-controller", &timeout];
    cluster.kubectl_output(rollout).unwrap_or_else(|error| panic!("{error}\n{}", daemon::logs(cluster)));
    Cluster::wait("a controller that leads", PATIENCE, || Ok(leader(cluster))).unwrap();
    webhook_answers(cluster);
}

/// A kubeconfig, for every host of the cluster, with a token of the controllers' account, which has its rights then but no
/// Deployment. The namespace is the agents'.
///
/// # Panics
/// When the API server gives none.
pub fn credentials(cluster: &Cluster) -> String {
    cluster.apply(&without_kind(CONTROLLER, "Deployment")).unwrap_or_else(|error| panic!("{error}"));
    let token = ["-n", "llano", "create", "token", "llano-controller", "--duration=24h"];
    agent::kubeconfig(&cluster.kubectl_output(token).unwrap_or_else(|error| panic!("{error}")))
}

/// The manifest with a controller that waits five seconds, not a minute, for a StatefulSet or reservation that is gone.
fn impatient() -> String {
    let first = "            - controller\n";
    assert!(CONTROLLER.contains(first), "the manifest has {first}");
    CONTROLLER.replace(first, &format!("{first}            - --keeper-grace=5s\n"))
}

/// The kinds alone, established.
///
/// # Panics
/// When the API server does not take them.
pub fn kinds(cluster: &Cluster) {
    cluster.apply(KINDS).unwrap_or_else(|error| panic!("{error}"));
    let names =
        ["networks", "subnets", "ips", "reservations"].map(|kind| format!("crd/macvlan{kind}.llano.dev"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    wait_for(cluster, &names, "condition=Established", PATIENCE);
}

/// The pod that has the lease.
pub fn leader(cluster: &Cluster) -> Option<String> {
    let field = "jsonpath={.spec.holderIdentity}";
    let said =
        cluster.kubectl_output(["-n", "llano", "get", "lease", "llano-controller", "-o", field]).ok()?;
    Some(said.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The webhook refuses what only it can see.
fn webhook_answers(cluster: &Cluster) {
    // That the network is not there is no more than a warning.
    let backwards = r#"{"apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanSubnet", "metadata": {"name": "try"},
        "spec": {"network": "nobodys", "cidr": "192.0.2.0/24", "ranges": ["192.0.2.9-192.0.2.5"]}}"#;
    let answers = || {
        let output = create(cluster, &["--dry-run=server"], backwards);
        Ok(output
            .is_err_and(|said| said.contains("admission webhook") && said.contains("denied"))
            .then_some(()))
    };
    Cluster::wait("the webhook's answer", PATIENCE, answers).unwrap_or_else(|error| {
        panic!("{error}: {:?}\n{}", create(cluster, &["--dry-run=server"], backwards), daemon::logs(cluster))
    });
}

/// `kubectl create` of an object, with further arguments. What it printed.
///
/// # Errors
/// What it said when it was refused.
pub fn create(cluster: &Cluster, args: &[&str], object: &str) -> Result<String, String> {
    crate::addresses::kubectl(cluster, &[&["create", "-f", "-"], args].concat(), object)
}

/// The controllers' pods.
pub fn pods(cluster: &Cluster) -> Vec<Value> {
    let words = ["-n", "llano", "get", "pods", "-l", LABEL, "-o", "json"];
    let list: Value = serde_json::from_str(&cluster.kubectl_output(words).unwrap()).unwrap();
    list["items"].as_array().cloned().unwrap_or_default()
}
