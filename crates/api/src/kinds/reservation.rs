//! `MacvlanReservation`, the object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Which addresses, and for which pods.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "llano.dev",
    version = "v1alpha1",
    kind = "MacvlanReservation",
    plural = "macvlanreservations",
    singular = "macvlanreservation",
    shortname = "mres",
    category = "llano",
    namespaced,
    status = "MacvlanReservationStatus",
    derive = "PartialEq",
    doc = "MacvlanReservation keeps addresses, and MACs if wanted, of a MacvlanSubnet for pods of its namespace: from the moment it is \
           Ready nobody else gets them, pod or no pod. Pods of spec.workload or spec.podSelector get one each without asking; without \
           both, pods that name the reservation in the annotation llano.dev/addresses do. Deleting it frees what no pod has.",
    printcolumn(name = "Subnet", type_ = "string", json_path = ".spec.subnet"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.workload.kind"),
    printcolumn(name = "Workload", type_ = "string", json_path = ".spec.workload.name"),
    printcolumn(name = "Reserved", type_ = "integer", json_path = ".status.reserved"),
    printcolumn(name = "Used", type_ = "integer", json_path = ".status.used"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    selectable = ".spec.subnet",
    selectable = ".spec.workload.kind",
    selectable = ".spec.workload.name"
)]
#[x_kube(
    validation = Rule::new("self.subnet == oldSelf.subnet")
        .message("spec.subnet cannot change, since addresses of it are reserved; make another MacvlanReservation")
        .field_path(".subnet"),
    validation = Rule::new("!(has(self.workload) && has(self.podSelector))")
        .message("spec.workload and spec.podSelector cannot both be given; leave one out, or both for pods that name the reservation in \
                  llano.dev/addresses"),
    validation = Rule::new("[has(self.addresses), has(self.ranges), has(self.count), has(self.ordinals)].filter(given, given).size() == 1")
        .message("exactly one of spec.addresses, spec.ranges, spec.count and spec.ordinals must be given"),
    validation = Rule::new("!has(self.ordinals) || (!has(self.podSelector) \
                            && (!has(self.workload) || self.workload.kind == 'StatefulSet'))")
        .message("spec.ordinals is for the pods of one StatefulSet, which have ordinals: set spec.workload.kind: StatefulSet, or use \
                  spec.addresses")
        .field_path(".ordinals"),
    validation = Rule::new("!has(self.addresses) || self.addresses.all(a, a.ip.contains(':')) \
                            || self.addresses.all(a, !a.ip.contains(':'))")
        .message("spec.addresses must all be IPv4 or all IPv6, as the subnet is; make a second MacvlanReservation for the other family")
        .field_path(".addresses"),
    validation = Rule::new("!has(self.ordinals) || self.ordinals.all(o, o.ip.contains(':')) \
                            || self.ordinals.all(o, !o.ip.contains(':'))")
        .message("spec.ordinals must all be IPv4 or all IPv6, as the subnet is; make a second MacvlanReservation for the other family")
        .field_path(".ordinals"),
    validation = Rule::new("!has(self.ranges) || self.ranges.all(r, r.contains(':')) || self.ranges.all(r, !r.contains(':'))")
        .message("spec.ranges must all be IPv4 or all IPv6, as the subnet is; make a second MacvlanReservation for the other family")
        .field_path(".ranges")
)]
#[serde(rename_all = "camelCase")]
pub struct MacvlanReservationSpec {
    /// The MacvlanSubnet whose addresses are reserved. Cannot be changed.
    #[schemars(schema_with = "schema::label")]
    pub subnet: String,
    /// For the pods of this workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<ReservedWorkload>,
    /// For pods of this namespace with these labels: for kinds of workloads that workload does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::selector")]
    pub pod_selector: Option<LabelSelector>,
    /// These addresses, in this order, each with its MAC if wanted. A pod gets the first that is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 4096),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["ip"])
    )]
    pub addresses: Option<Vec<ReservedAddress>>,
    /// The addresses of these ranges, at most 4096, such as 10.0.0.50 or 10.0.0.100-10.0.0.199.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::reserved_ranges")]
    pub ranges: Option<Vec<String>>,
    /// So many addresses, whichever are free when the reservation is made. status.addresses says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub count: Option<u32>,
    /// For a StatefulSet: the address of each pod by its ordinal, the number at the end of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 4096),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["ordinal"])
    )]
    pub ordinals: Option<Vec<ReservedOrdinal>>,
}

/// A workload of the reservation's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservedWorkload {
    /// The kind of the workload itself, not of what it makes: Deployment and not ReplicaSet, CronJob and not Job.
    pub kind: WorkloadKind,
    /// Its name.
    #[schemars(schema_with = "schema::subdomain")]
    pub name: String,
}

/// Kinds of workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "these are Kubernetes' own")]
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    Job,
    CronJob,
    Pod,
}

/// An address and its MAC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservedAddress {
    /// The address, without a prefix length.
    #[schemars(schema_with = "schema::address")]
    pub ip: String,
    /// The MAC that whoever has the address gets. Left out: Llano chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::mac")]
    pub mac: Option<String>,
}

/// The address of one pod of a StatefulSet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservedOrdinal {
    /// The number at the end of the pod's name: 2 for web-2.
    #[schemars(range(min = 0, max = 2147483647))]
    pub ordinal: u32,
    /// Its address, without a prefix length.
    #[schemars(schema_with = "schema::address")]
    pub ip: String,
    /// Its MAC. Left out: Llano chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::mac")]
    pub mac: Option<String>,
}

/// What the controller made of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MacvlanReservationStatus {
    /// The metadata.generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many addresses are reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<i64>,
    /// How many of them pods have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<i64>,
    /// Which addresses are reserved, and which pod has which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 4096),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["ip"])
    )]
    pub addresses: Vec<TakenAddress>,
    /// Ready: every address that is asked for is reserved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// A reserved address, and who has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakenAddress {
    /// The address.
    #[schemars(length(max = 39))]
    pub ip: String,
    /// Its MAC, as soon as it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 17))]
    pub mac: Option<String>,
    /// The pod that has it. Left out: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod: Option<String>,
    /// The interface in the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15))]
    pub interface: Option<String>,
}
