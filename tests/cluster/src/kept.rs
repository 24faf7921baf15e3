//! Pods that stay while things happen to Llano.

use cluster::Cluster;
use serde_json::{Value, json};

use crate::networks::{Footprint, NETWORKS, STATUS, leases, pod};
use crate::{PATIENCE, ask, exec, wait_for};

/// The nodes.
pub const NODES: [&str; 2] = ["node1", "node2"];

/// A pod that stays: what it must keep whatever happens to the agents.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name, `kept-NODE`.
    pub name: String,
    /// The annotation with what it has got.
    pub status: String,
    /// Identity, restarts and readiness of its containers.
    pub containers: Value,
    /// Its interfaces with their addresses, by itself.
    pub interfaces: String,
}

impl Kept {
    /// Makes one on each node, with two networks of definitions.
    pub fn all(cluster: &Cluster) -> Vec<Kept> {
        let name = |node: &str| format!("kept-{node}");
        for node in NODES {
            let asked = [node, node].join(",");
            cluster.apply(&pod(&name(node), node, &[(NETWORKS, &asked)])).unwrap();
        }
        for node in NODES {
            wait_for(cluster, &["pod", &name(node)], "condition=Ready", PATIENCE);
        }
        NODES.iter().map(|node| Kept::look(cluster, &name(node))).collect()
    }

    /// As it is now.
    pub fn look(cluster: &Cluster, name: &str) -> Kept {
        let object = object(cluster, name);
        let containers = object["status"]["containerStatuses"].as_array().into_iter().flatten();
        let containers = containers.map(|one| json!([one["containerID"], one["restartCount"], one["ready"]]));
        Kept {
            name: name.to_owned(),
            status: object["metadata"]["annotations"][STATUS].as_str().unwrap_or_default().to_owned(),
            containers: containers.collect(),
            interfaces: addresses(cluster, name),
        }
    }

    /// It is the same, and works.
    ///
    /// # Panics
    /// Otherwise.
    pub fn assert_same(&self, cluster: &Cluster) {
        assert_eq!(*self, Kept::look(cluster, &self.name));
        assert_eq!(ask(cluster, &self.name, "http://127.0.0.1:8080/")["host"], self.name.as_str());
    }
}

/// A pod as the API server has it.
pub fn object(cluster: &Cluster, pod: &str) -> Value {
    serde_json::from_str(&cluster.kubectl_output(["get", "pod", pod, "-o", "json"]).unwrap()).unwrap()
}

/// The pod's interfaces with their addresses, by itself.
fn addresses(cluster: &Cluster, pod: &str) -> String {
    exec(cluster, pod, &["ip", "-o", "-4", "address"]).unwrap()
}

/// Deletes pods and waits until they are gone.
///
/// # Panics
/// When one does not end.
pub fn delete(cluster: &Cluster, pods: &[&str]) {
    let words = ["delete", "pod", "--timeout=60s"].into_iter().chain(pods.iter().copied());
    cluster.kubectl_output(words).unwrap_or_else(|error| panic!("{error}"));
}

/// Waits until a node has what it had.
///
/// # Panics
/// When it has not.
pub fn back_to(cluster: &Cluster, node: &str, before: &Footprint) {
    let look = || Ok((Footprint::of(cluster, node) == *before).then_some(()));
    Cluster::wait(&format!("{node} as before"), PATIENCE, look).unwrap_or_else(|error| {
        panic!("{error}: {:#?} instead of {before:#?}", Footprint::of(cluster, node))
    });
}

/// Of its network, how many addresses are given out on a node.
pub fn leased(cluster: &Cluster, node: &str) -> usize {
    leases(cluster, node).iter().filter(|lease| lease.starts_with(&format!("{node}/"))).count()
}
