//! `MacvlanNetwork`, the object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::Role;

/// What the network is, and how pods hang on it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "llano.dev",
    version = "v1alpha1",
    kind = "MacvlanNetwork",
    plural = "macvlannetworks",
    singular = "macvlannetwork",
    shortname = "mvn",
    category = "llano",
    status = "MacvlanNetworkStatus",
    derive = "PartialEq",
    doc = "MacvlanNetwork is one LAN: an interface of each node, or a VLAN on it, on which pods get interfaces with MACs and addresses of \
           their own. Addresses and MACs are unique in it. Its addresses come from MacvlanSubnets; pods reach it through the \
           NetworkAttachmentDefinitions of spec.attachAs.",
    printcolumn(name = "Parent", type_ = "string", json_path = ".spec.parent"),
    printcolumn(name = "VLAN", type_ = "integer", json_path = ".spec.vlan"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Pods", type_ = "integer", json_path = ".status.pods"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must have no dot, since it is a part of the names of MacvlanIPs: lower-case letters, digits and -, \
                  such as lan or vlan-100")
        .field_path(".metadata.name")
)]
#[x_kube(
    validation = Rule::new("has(self.parent) != has(self.parents)")
        .message("exactly one of spec.parent and spec.parents must be given: parent when the interface has the same name on every \
                  node, parents when it has not"),
    validation = Rule::new("has(self.flags) && 'nopromisc' in self.flags ? self.mode == 'passthru' : true")
        .message("spec.flags: nopromisc counts in mode passthru alone; leave it out, or set spec.mode: passthru")
        .field_path(".flags"),
    validation = Rule::new("has(self.flags) && 'nodst' in self.flags ? self.mode == 'source' : true")
        .message("spec.flags: nodst counts in mode source alone; leave it out, or set spec.mode: source")
        .field_path(".flags"),
    validation = Rule::new("(self.mode == 'source') == (has(self.sourceMacs) && self.sourceMacs.size() > 0)")
        .message("spec.sourceMacs must be given in mode source, where frames of no other sender pass, and left out in every other \
                  mode")
        .field_path(".sourceMacs"),
    validation = Rule::new("has(self.hostAccess) && self.hostAccess ? self.mode == 'bridge' : true")
        .message("spec.hostAccess: true works in mode bridge alone; leave it out, or set spec.mode: bridge")
        .field_path(".hostAccess")
)]
#[serde(rename_all = "camelCase")]
pub struct MacvlanNetworkSpec {
    /// The host interface under the pods' interfaces, the same on every node: eth0, bond0. With vlan it is what carries the VLAN.
    /// Where nodes differ, use parents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::interface")]
    pub parent: Option<String>,
    /// The host interface by node: the first entry whose nodeSelector matches a node's labels counts. A node that none matches has
    /// no pods on this network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub parents: Option<Vec<ParentOn>>,
    /// The VLAN on the parent, 1 to 4094; its link is made on the nodes where pods need it. 0 is the untagged LAN.
    #[serde(default)]
    #[schemars(range(min = 0, max = 4094))]
    pub vlan: u16,
    /// How pods on one node reach each other. bridge: directly. private: not at all. vepa: through a switch that sends frames back.
    /// passthru: one pod a node has the parent for itself. source: pods get frames of sourceMacs only.
    #[serde(default)]
    pub mode: MacvlanMode,
    /// The kernel's flags. nopromisc: in mode passthru the parent is not made promiscuous. nodst: in mode source a listed
    /// sender's frames go to the pod alone, and not to their destination too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub flags: Vec<MacvlanFlag>,
    /// In mode source: the senders whose frames pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::macs")]
    pub source_macs: Vec<String>,
    /// The MTU of the pods' interfaces in bytes, no more than the parent's. Left out: the parent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 68, max = 65535))]
    pub mtu: Option<u32>,
    /// Whether a node and its own pods reach each other, which macvlan alone forbids. Left out: yes in mode bridge, and in no other
    /// mode, where it cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_access: Option<bool>,
    /// Whether the LAN is asked before an address is used (RFC 5227, RFC 4862). An address that answers is quarantined, and the pod
    /// gets another; one that is kept for it is waited for.
    #[serde(default = "yes")]
    pub probe: bool,
    /// Whether pods may send with their own MACs and addresses only.
    #[serde(default)]
    pub anti_spoof: bool,
    /// The NetworkAttachmentDefinitions that are made for this network and kept as they should be. Their names are what pods write
    /// into their annotations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace", "name"])
    )]
    pub attach_as: Vec<AttachAs>,
}

/// The parent on some nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentOn {
    /// The nodes, by their labels. An empty selector is every node: a good last entry.
    #[schemars(schema_with = "schema::selector")]
    pub node_selector: LabelSelector,
    /// The host interface on these nodes.
    #[schemars(schema_with = "schema::interface")]
    pub parent: String,
}

/// A NetworkAttachmentDefinition that is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachAs {
    /// Its name.
    #[schemars(schema_with = "schema::subdomain")]
    pub name: String,
    /// Its namespace. Pods of other namespaces name it with the namespace in front, where isolation allows that.
    #[schemars(schema_with = "schema::label")]
    pub namespace: String,
    /// overlay: an extra interface beside another network's eth0. standalone: the pod's eth0, or one more beside a standalone eth0.
    #[serde(default = "overlay")]
    pub role: Role,
}

/// A macvlan's mode; the kernel's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the description of the field has them all: a schema has no place for them")]
pub enum MacvlanMode {
    #[default]
    Bridge,
    Private,
    Vepa,
    Passthru,
    Source,
}

impl MacvlanMode {
    /// The kernel's name, as configurations have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MacvlanMode::Bridge => "bridge",
            MacvlanMode::Private => "private",
            MacvlanMode::Vepa => "vepa",
            MacvlanMode::Passthru => "passthru",
            MacvlanMode::Source => "source",
        }
    }
}

/// A macvlan's flags; the kernel's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the description of the field has them all: a schema has no place for them")]
pub enum MacvlanFlag {
    Nopromisc,
    Nodst,
}

/// What the controller saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MacvlanNetworkStatus {
    /// The metadata.generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many pods have an interface on this network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<i64>,
    /// Ready: everything of spec.attachAs is there, and the parent is on every node that needs it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

fn yes() -> bool {
    true
}

fn overlay() -> Role {
    Role::Overlay
}
