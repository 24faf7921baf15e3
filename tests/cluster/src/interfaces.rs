//! What pods really have, by the kernels and runtimes of the nodes, beside what the API server says that they have.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use cluster::Cluster;
use serde_json::{Deserializer, Value};

use crate::addresses::claims;
use crate::on;
use crate::wire::answers;

/// Between two looks, each of which asks every sandbox.
const GRAIN: Duration = Duration::from_secs(2);

/// An address and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Has {
    /// The address, without prefix length.
    pub address: Ipv4Addr,
    /// The interface's MAC.
    pub mac: String,
    /// `NAMESPACE/NAME` of the pod.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
    /// The node.
    pub node: String,
    /// The sandbox.
    pub container: String,
    /// The interface.
    pub interface: String,
}

/// What the API server says: the active claims of a network.
pub fn claimed(cluster: &Cluster, network: &str) -> BTreeSet<Has> {
    let active = |claim: &Value| claim["spec"]["network"] == network && claim["spec"]["hold"].is_null();
    claims(cluster).iter().filter(|claim| active(claim)).map(|claim| of_claim(&claim["spec"])).collect()
}

fn of_claim(spec: &Value) -> Has {
    let owner = &spec["owner"];
    Has {
        address: text(&spec["address"]).parse().unwrap_or_else(|_| panic!("an IPv4 address: {spec}")),
        mac: text(&spec["mac"]),
        pod: format!("{}/{}", text(&owner["namespace"]), text(&owner["pod"])),
        uid: text(&owner["uid"]),
        node: text(&owner["node"]),
        container: text(&owner["containerID"]),
        interface: text(&owner["interface"]),
    }
}

/// What is there: the interfaces in all named network namespaces of the nodes with an address that begins with `prefix`. One
/// that no sandbox has is there with an empty pod.
pub fn existing(cluster: &Cluster, prefix: &str) -> BTreeSet<Has> {
    cluster.spec().nodes().iter().flat_map(|node| existing_on(cluster, node, prefix)).collect()
}

/// As [`existing`], of one node.
pub fn existing_on(cluster: &Cluster, node: &str, prefix: &str) -> Vec<Has> {
    let sandboxes = sandboxes(cluster, node);
    let mut found = Vec::new();
    for namespace in namespaces(cluster, node) {
        let sandbox = sandboxes.get(&text(&namespace["namespace"])).unwrap_or(&Value::Null);
        let label = |key: &str| text(&sandbox["Labels"][key]);
        for link in list(&namespace["links"]) {
            let addresses = list(&link["addr_info"]).map(|info| text(&info["local"]));
            for address in addresses.filter(|address| address.starts_with(prefix)) {
                found.push(Has {
                    address: address.parse().unwrap_or_else(|_| panic!("an IPv4 address: {link}")),
                    mac: text(&link["address"]),
                    pod: format!(
                        "{}/{}",
                        label("io.kubernetes.pod.namespace"),
                        label("io.kubernetes.pod.name")
                    ),
                    uid: label("io.kubernetes.pod.uid"),
                    node: node.to_owned(),
                    container: text(&sandbox["ID"]),
                    interface: text(&link["ifname"]),
                });
            }
        }
    }
    found
}

/// What a node's containerd knows of its sandboxes, by the names of their network namespaces.
fn sandboxes(cluster: &Cluster, node: &str) -> BTreeMap<String, Value> {
    // One that ends between the list and the question is none.
    const ALL: &str = r#"for id in $("$0" -n k8s.io containers ls -q 'labels."io.cri-containerd.kind"==sandbox'); do
        "$0" -n k8s.io containers info "$id" 2>/dev/null; done; true"#;
    let ctr = cluster.program("ctr").display().to_string();
    let said = on(cluster, node, &["sh", "-c", ALL, &ctr]).unwrap_or_else(|error| panic!("{node}: {error}"));
    let namespace = |sandbox: &Value| {
        let mut all = list(&sandbox["Spec"]["linux"]["namespaces"]);
        let path = text(&all.find(|one| one["type"] == "network")?["path"]);
        Some(path.rsplit('/').next()?.to_owned()).filter(|name| !name.is_empty())
    };
    values(&said).into_iter().filter_map(|sandbox| Some((namespace(&sandbox)?, sandbox))).collect()
}

/// Every named network namespace of a node, with its links.
fn namespaces(cluster: &Cluster, node: &str) -> Vec<Value> {
    const ALL: &str = r#"for file in /run/netns/*; do
        links=$(nsenter --net="$file" ip -j address 2>/dev/null) || continue
        printf '{"namespace": "%s", "links": %s}\n' "${file##*/}" "${links:-[]}"; done"#;
    values(&on(cluster, node, &["sh", "-c", ALL]).unwrap_or_else(|error| panic!("{node}: {error}")))
}

fn values(text: &str) -> Vec<Value> {
    let all = Deserializer::from_str(text).into_iter::<Value>();
    all.map(|value| value.unwrap_or_else(|error| panic!("{error}: {text}"))).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Waits until claims, interfaces and the wire say the same of a network's addresses, and gives it. Of `range`, what is claimed
/// answers once and from its MAC, and nothing else answers.
///
/// # Panics
/// When they do not by the end of `patience`; says what is different.
pub fn agreed(
    cluster: &Cluster,
    network: &str,
    prefix: &str,
    range: &[Ipv4Addr],
    patience: Duration,
) -> BTreeSet<Has> {
    let mut differences = Vec::new();
    let look = || {
        let all = claimed(cluster, network);
        differences = compare(cluster, &all, prefix, range);
        if !differences.is_empty() {
            std::thread::sleep(GRAIN);
        }
        Ok(differences.is_empty().then_some(all))
    };
    Cluster::wait("claims, interfaces and the wire to say the same", patience, look)
        .unwrap_or_else(|error| panic!("{error}:\n{}", differences.join("\n")))
}

fn compare(cluster: &Cluster, claimed: &BTreeSet<Has>, prefix: &str, range: &[Ipv4Addr]) -> Vec<String> {
    let existing = existing(cluster, prefix);
    let only = |what: &str, these: &BTreeSet<Has>, those: &BTreeSet<Has>| -> Vec<String> {
        these.difference(those).map(|one| format!("{what}: {one:?}")).collect()
    };
    let mut differences =
        [only("only claimed", claimed, &existing), only("only there", &existing, claimed)].concat();
    // The wire says nothing new while these differ.
    if differences.is_empty() {
        let heard = answers(cluster, range);
        let nobody = Vec::new();
        for address in range {
            let macs = claimed.iter().filter(|one| one.address == *address).map(|one| one.mac.clone());
            let heard: Vec<String> =
                heard.get(address).unwrap_or(&nobody).iter().map(ToString::to_string).collect();
            let expected: Vec<String> = macs.collect();
            if heard != expected {
                differences.push(format!("{address}: {heard:?} answer, expected {expected:?}"));
            }
        }
    }
    differences
}
