//! What the cluster's addresses are, by kubectl.

use std::collections::BTreeMap;

use cluster::Cluster;
use serde_json::{Value, json};

/// kubectl with this on its standard input. What it printed.
///
/// # Errors
/// What it said, when it failed.
pub fn kubectl(cluster: &Cluster, args: &[&str], input: &str) -> Result<String, String> {
    let output = crate::kubectl(cluster, args, input);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// All objects of a kind, in all namespaces.
pub fn objects(cluster: &Cluster, kind: &str) -> Vec<Value> {
    let text = cluster.kubectl_output(["get", kind, "-A", "-o", "json"]).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    list["items"].as_array().cloned().unwrap_or_default()
}

/// All claims.
pub fn claims(cluster: &Cluster) -> Vec<Value> {
    objects(cluster, "macvlanips")
}

/// A claim that a pod has: who, where, what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Active {
    /// `NAMESPACE/POD`.
    pub pod: String,
    /// The node.
    pub node: String,
    /// The interface in the pod.
    pub interface: String,
    /// The address.
    pub address: String,
    /// The interface's MAC.
    pub mac: String,
    /// The subnet.
    pub subnet: String,
}

/// The claims that pods have, by address; not those that are held.
pub fn active(cluster: &Cluster) -> Vec<Active> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |claim: &Value| {
        let spec = &claim["spec"];
        let owner = &spec["owner"];
        spec["hold"].is_null().then(|| Active {
            pod: format!("{}/{}", text(&owner["namespace"]), text(&owner["pod"])),
            node: text(&owner["node"]),
            interface: text(&owner["interface"]),
            address: text(&spec["address"]),
            mac: text(&spec["mac"]),
            subnet: text(&spec["subnet"]),
        })
    };
    claims(cluster).iter().filter_map(of).collect()
}

/// The address of that family that a pod's interface has, by its claim.
///
/// # Panics
/// When it has none.
pub fn address_of(cluster: &Cluster, pod: &str, interface: &str, ipv6: bool) -> Active {
    let all = active(cluster);
    let found = all
        .iter()
        .find(|one| one.pod == pod && one.interface == interface && one.address.contains(':') == ipv6);
    found.cloned().unwrap_or_else(|| panic!("{pod} {interface} has no claim: {all:#?}"))
}

/// How many claims are held, by reason.
pub fn held(cluster: &Cluster) -> BTreeMap<String, usize> {
    let mut held = BTreeMap::new();
    for claim in claims(cluster) {
        if let Some(reason) = claim["spec"]["hold"]["reason"].as_str() {
            *held.entry(reason.to_owned()).or_default() += 1;
        }
    }
    held
}

/// A MacvlanNetwork on a link of the nodes, attached in each of these namespaces under the network's own name.
pub fn network(name: &str, parent: &str, attach_as: &[(&str, &str)]) -> String {
    let attach_as: Vec<Value> = attach_as
        .iter()
        .map(|(namespace, role)| json!({"name": name, "namespace": namespace, "role": role}))
        .collect();
    json!({
        "apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanNetwork", "metadata": {"name": name},
        "spec": {"parent": parent, "attachAs": attach_as},
    })
    .to_string()
}

/// A MacvlanSubnet with these further keys of its spec.
pub fn subnet(name: &str, network: &str, cidr: &str, more: &Value) -> String {
    let mut spec = json!({"network": network, "cidr": cidr});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({
        "apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanSubnet", "metadata": {"name": name}, "spec": spec,
    })
    .to_string()
}
