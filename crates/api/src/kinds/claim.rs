//! `MacvlanIP`, the object, and its name.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// The name of the [`MacvlanIP`] of an address: the network, a dot, and the address. An IPv6 address has `-` for `:`, and since a
/// part of a name begins and ends with a letter or digit, `0` before a leading `::` and after a trailing one. Different addresses
/// have different names; an IPv4 address in IPv6 form is the IPv4 address.
///
/// ```
/// assert_eq!(api::kinds::claim_name("lan", "10.0.0.5".parse()?), "lan.10.0.0.5");
/// assert_eq!(api::kinds::claim_name("lan", "fd00::5".parse()?), "lan.fd00--5");
/// assert_eq!(api::kinds::claim_name("lan", "::1".parse()?), "lan.0--1");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn claim_name(network: &str, address: IpAddr) -> String {
    let text = address.to_canonical().to_string();
    let before = if text.starts_with("::") { "0" } else { "" };
    let after = if text.ends_with("::") { "0" } else { "" };
    format!("{network}.{before}{}{after}", text.replace(':', "-"))
}

/// The network and the address of a name that [`claim_name`] made; `None` for every other text.
pub fn parse_claim_name(name: &str) -> Option<(&str, IpAddr)> {
    let (network, written) = name.split_once('.')?;
    let address: IpAddr = if written.contains('.') {
        written.parse().ok()?
    } else {
        let text = written.replace('-', ":");
        let text = text.strip_prefix('0').filter(|rest| rest.starts_with("::")).unwrap_or(&text);
        let text = text.strip_suffix('0').filter(|rest| rest.ends_with("::")).unwrap_or(text);
        text.parse().ok()?
    };
    // What reads as an address may still be written in another way than we do.
    (claim_name(network, address) == name).then_some((network, address))
}

/// Whose the address is, or why it is kept.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "llano.dev",
    version = "v1alpha1",
    kind = "MacvlanIP",
    plural = "macvlanips",
    singular = "macvlanip",
    shortname = "mip",
    category = "llano",
    derive = "PartialEq",
    doc = "MacvlanIP is one address of a MacvlanNetwork that a pod has, or that is kept. Its name is made of the network and the address, \
           so there cannot be two for one address: creating it is taking the address. Agents and the controller write these; to keep \
           addresses for a workload make a MacvlanReservation, to keep addresses from everybody use spec.exclude of the MacvlanSubnet.",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address"),
    printcolumn(name = "MAC", type_ = "string", json_path = ".spec.mac"),
    printcolumn(name = "Namespace", type_ = "string", json_path = ".spec.owner.namespace"),
    printcolumn(name = "Pod", type_ = "string", json_path = ".spec.owner.pod"),
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.owner.node"),
    printcolumn(name = "Hold", type_ = "string", json_path = ".spec.hold.reason"),
    printcolumn(name = "Subnet", type_ = "string", json_path = ".spec.subnet"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    selectable = ".spec.network",
    selectable = ".spec.subnet",
    selectable = ".spec.address",
    selectable = ".spec.mac",
    selectable = ".spec.owner.namespace",
    selectable = ".spec.owner.pod",
    selectable = ".spec.owner.node",
    selectable = ".spec.hold.reason",
    validation = Rule::new("!isIP(self.spec.address) || self.metadata.name == self.spec.network + '.' + (self.spec.address.startsWith('::') ? '0' : '') \
                            + self.spec.address.replace(':', '-') + (self.spec.address.endsWith('::') ? '0' : '')")
        .message(Message::Expression("'metadata.name must be ' + self.spec.network + '.' \
                                      + (self.spec.address.startsWith('::') ? '0' : '') + self.spec.address.replace(':', '-') \
                                      + (self.spec.address.endsWith('::') ? '0' : '') \
                                      + ', which is made of spec.network and spec.address'".into()))
        .field_path(".metadata.name")
)]
#[x_kube(
    validation = Rule::new("self.network == oldSelf.network && self.subnet == oldSelf.subnet && self.address == oldSelf.address")
        .message("spec.network, spec.subnet and spec.address cannot change; delete this claim and create the other"),
    validation = Rule::new("has(self.hold) || (has(self.owner) && has(self.owner.node) && self.owner.node != '')")
        .message("spec.owner.node must be the pod's node, since without spec.hold the address is in use; say in spec.hold why nobody \
                  has it")
        .field_path(".owner"),
    validation = Rule::new("!has(self.hold) || !has(self.owner) || !has(self.owner.node) || self.owner.node == ''")
        .message("spec.owner.node must be empty while spec.hold says why nobody has the address; take spec.hold away to use it")
        .field_path(".owner.node"),
    validation = Rule::new("has(self.hold) || !has(self.owner) || (has(self.owner.__namespace__) && self.owner.__namespace__ != '' \
                            && has(self.owner.pod) && self.owner.pod != '' && has(self.owner.uid) && self.owner.uid != '' \
                            && has(self.owner.containerID) && self.owner.containerID != '' && has(self.owner.interface) \
                            && self.owner.interface != '')")
        .message("spec.owner must have namespace, pod, uid, containerID and interface, since the address is in use")
        .field_path(".owner"),
    validation = Rule::new("!has(self.hold) || !(self.hold.reason in ['StatefulSet', 'Reservation']) \
                            || (has(self.keptFor) && self.keptFor.kind == self.hold.reason)")
        .message("spec.keptFor must name the StatefulSet or MacvlanReservation that spec.hold.reason is about")
        .field_path(".keptFor"),
    validation = Rule::new("!has(self.keptFor) || !has(self.owner) || !has(self.owner.__namespace__) \
                            || self.owner.__namespace__ == '' || self.owner.__namespace__ == self.keptFor.__namespace__")
        .message("spec.owner.namespace must be that of spec.keptFor: nothing is kept for pods of another namespace")
        .field_path(".owner.namespace"),
    validation = Rule::new("has(self.hold) || has(oldSelf.hold) || !has(self.owner) || !has(oldSelf.owner) \
                            || (has(self.owner.uid) && has(oldSelf.owner.uid) && self.owner.uid == oldSelf.owner.uid \
                                && has(self.owner.node) && has(oldSelf.owner.node) && self.owner.node == oldSelf.owner.node)")
        .message("spec.owner: the address is in use, and cannot go to another pod or node before spec.hold says that nobody has it, \
                  or the claim is deleted")
        .field_path(".owner"),
    validation = Rule::new("has(self.hold) || !has(oldSelf.hold) || (oldSelf.hold.reason in ['StatefulSet', 'Reservation'])")
        .message("spec.hold: an address that rests or is quarantined cannot be taken; it is free when this claim is deleted")
        .field_path(".hold"),
    validation = Rule::new("has(self.hold) || !has(oldSelf.hold) || !has(oldSelf.keptFor) \
                            || (has(self.keptFor) && self.keptFor == oldSelf.keptFor)")
        .message("spec.keptFor cannot change when a pod takes the address, which stays kept for the same StatefulSet or \
                  MacvlanReservation")
        .field_path(".keptFor"),
    validation = Rule::new("has(self.hold) || !has(oldSelf.hold) || oldSelf.hold.reason != 'StatefulSet' || !has(self.owner) \
                            || (has(oldSelf.owner) && has(oldSelf.owner.pod) && has(self.owner.pod) \
                                && self.owner.pod == oldSelf.owner.pod)")
        .message("spec.owner.pod must be the pod that had the address before: a StatefulSet's address is kept for the pod of that name")
        .field_path(".owner")
)]
#[serde(rename_all = "camelCase")]
pub struct MacvlanIPSpec {
    /// The MacvlanNetwork in which the address is taken. Cannot be changed.
    #[schemars(schema_with = "schema::label")]
    pub network: String,
    /// The MacvlanSubnet that the address is of. Cannot be changed.
    #[schemars(schema_with = "schema::label")]
    pub subnet: String,
    /// The address, without a prefix length. Cannot be changed.
    #[schemars(schema_with = "schema::address")]
    pub address: String,
    /// The MAC that goes with the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::mac")]
    pub mac: Option<String>,
    /// The pod's interface that has the address. While it is held: which had it last, if any, with node empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<ClaimOwner>,
    /// What the address is kept for, in use or not. Left out: it is free when its pod has gone and reuseDelay is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_for: Option<ClaimKeeper>,
    /// Why the address is not free although no pod has it. Left out: a pod has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<ClaimHold>,
}

/// The interface of a pod. A text that is left out is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimOwner {
    /// The pod's namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// The pod's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub pod: String,
    /// The pod's UID. While a pod with it exists, the address is no other pod's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub uid: String,
    /// The pod's node, whose agent alone may write this claim. Empty: any agent may take it, if it is kept for one of its pods.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub node: String,
    /// The pod's sandbox, as the container runtime calls it.
    #[serde(default, rename = "containerID", skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub container_id: String,
    /// The interface in the pod.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 15))]
    pub interface: String,
}

/// What an address is kept for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimKeeper {
    /// StatefulSet: for the pod of the same name. Reservation: for the pods of a MacvlanReservation.
    pub kind: KeeperKind,
    /// Its namespace.
    #[schemars(schema_with = "schema::label")]
    pub namespace: String,
    /// Its name.
    #[schemars(schema_with = "schema::subdomain")]
    pub name: String,
}

/// What keeps addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the description of the field has them all: a schema has no place for them")]
pub enum KeeperKind {
    StatefulSet,
    Reservation,
}

/// Why an address that no pod has is not free.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.until) == (self.reason in ['ReuseDelay', 'Quarantine'])")
        .message("until must be given with reason ReuseDelay or Quarantine, and left out with StatefulSet or Reservation, which keep \
                  the address until they are gone")
        .field_path(".until"),
    validation = Rule::new("!has(self.until) || self.until >= self.since")
        .message("until must not be before since")
        .field_path(".until")
)]
#[serde(rename_all = "camelCase")]
pub struct ClaimHold {
    /// StatefulSet: for the pod of the same name, until the set has gone or shrunk. Reservation: for its pods, until it has gone.
    /// ReuseDelay: it rests for the subnet's reuseDelay. Quarantine: somebody else on the LAN uses it.
    pub reason: HoldReason,
    /// Since when.
    pub since: Time,
    /// Until when it rests or is quarantined; then the controller deletes this claim, and the address is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// More for people, such as whose MAC answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// Why an address is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the description of the field has them all: a schema has no place for them")]
pub enum HoldReason {
    StatefulSet,
    Reservation,
    ReuseDelay,
    Quarantine,
}
