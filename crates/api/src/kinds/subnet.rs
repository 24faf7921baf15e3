//! `MacvlanSubnet`, the object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Which addresses it has, for whom, and what goes with them.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "llano.dev",
    version = "v1alpha1",
    kind = "MacvlanSubnet",
    plural = "macvlansubnets",
    singular = "macvlansubnet",
    shortname = "msubnet",
    category = "llano",
    status = "MacvlanSubnetStatus",
    derive = "PartialEq",
    doc = "MacvlanSubnet is a subnet of a MacvlanNetwork, and says which of its addresses pods get. Pods name it in the annotation \
           llano.dev/addresses; those that name none get the default of their namespace or of the cluster. Every address that is in use \
           or reserved is a MacvlanIP.",
    printcolumn(name = "Network", type_ = "string", json_path = ".spec.network"),
    printcolumn(name = "CIDR", type_ = "string", json_path = ".spec.cidr"),
    printcolumn(name = "Gateway", type_ = "string", json_path = ".spec.gateway"),
    printcolumn(name = "Total", type_ = "integer", json_path = ".status.total"),
    printcolumn(name = "Used", type_ = "integer", json_path = ".status.used"),
    printcolumn(name = "Held", type_ = "integer", json_path = ".status.held"),
    printcolumn(name = "Free", type_ = "integer", json_path = ".status.free"),
    printcolumn(name = "Default", type_ = "boolean", json_path = ".spec.default", priority = "1"),
    printcolumn(name = "Disabled", type_ = "boolean", json_path = ".spec.disabled", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    selectable = ".spec.network",
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must have no dot: lower-case letters, digits and -, such as lan or vlan-100-v6")
        .field_path(".metadata.name"),
    validation = Rule::new("!has(self.spec.pairWith) || self.spec.pairWith != self.metadata.name")
        .message("spec.pairWith must name another subnet, of the other family; leave it out when there is none")
        .field_path(".spec.pairWith")
)]
#[x_kube(
    validation = Rule::new("self.network == oldSelf.network")
        .message("spec.network cannot change, since addresses of this subnet are in use on it; make another MacvlanSubnet")
        .field_path(".network"),
    validation = Rule::new("self.cidr == oldSelf.cidr")
        .message("spec.cidr cannot change, since its addresses are in use; make another MacvlanSubnet, or narrow this one with \
                  spec.ranges and spec.exclude")
        .field_path(".cidr"),
    validation = Rule::new("!isCIDR(self.cidr) || (cidr(self.cidr).prefixLength() >= 8 && cidr(self.cidr).ip().isGlobalUnicast())")
        .message("spec.cidr must be of addresses that interfaces can have, /8 or smaller: not loopback, link-local, multicast or \
                  unspecified ones")
        .field_path(".cidr"),
    validation = Rule::new("!has(self.gateway) || !isIP(self.gateway) || !isCIDR(self.cidr) \
                            || cidr(self.cidr).containsIP(self.gateway) \
                            || (cidr(self.cidr).ip().family() == 6 && ip(self.gateway).family() == 6 \
                                && ip(self.gateway).isLinkLocalUnicast())")
        .message("spec.gateway must be an address of spec.cidr, or for IPv6 the router's link-local address (fe80::…)")
        .field_path(".gateway"),
    validation = Rule::new("!has(self.gateway) || !isIP(self.gateway) || !isCIDR(self.cidr) || ip(self.gateway).family() == 6 \
                            || cidr(self.cidr).prefixLength() >= 31 || self.gateway != string(cidr(self.cidr).ip())")
        .message("spec.gateway must not be the network's own address, the first of spec.cidr; usually it is the one after")
        .field_path(".gateway"),
    validation = Rule::new("!has(self.ranges) || !isCIDR(self.cidr) || self.ranges.all(r, r.split('-', 2).all(a, !isIP(a) \
                            || cidr(self.cidr).containsIP(a)))")
        .message(Message::Expression("'spec.ranges: ' + self.ranges.filter(r, !r.split('-', 2).all(a, !isIP(a) \
                                      || cidr(self.cidr).containsIP(a)))[0] + ' must be within spec.cidr, which is ' + self.cidr".into()))
        .field_path(".ranges"),
    validation = Rule::new("!has(self.exclude) || !isCIDR(self.cidr) || self.exclude.all(e, e.contains('/') \
                            ? !isCIDR(e) || cidr(self.cidr).containsCIDR(e) \
                            : e.split('-', 2).all(a, !isIP(a) || cidr(self.cidr).containsIP(a)))")
        .message(Message::Expression("'spec.exclude: ' + self.exclude.filter(e, !(e.contains('/') \
                                      ? !isCIDR(e) || cidr(self.cidr).containsCIDR(e) \
                                      : e.split('-', 2).all(a, !isIP(a) || cidr(self.cidr).containsIP(a))))[0] \
                                      + ' must be within spec.cidr, which is ' + self.cidr".into()))
        .field_path(".exclude"),
    validation = Rule::new("!has(self.routes) || !isCIDR(self.cidr) || self.routes.all(r, !isCIDR(r.dst) \
                            || cidr(r.dst).ip().family() == cidr(self.cidr).ip().family())")
        .message("spec.routes: dst must be of the same family as spec.cidr; routes of the other family belong to the subnet of \
                  spec.pairWith")
        .field_path(".routes"),
    validation = Rule::new("!has(self.routes) || !isCIDR(self.cidr) || self.routes.all(r, !has(r.gw) || !isIP(r.gw) \
                            || cidr(self.cidr).containsIP(r.gw) || (cidr(self.cidr).ip().family() == 6 && ip(r.gw).family() == 6 \
                            && ip(r.gw).isLinkLocalUnicast()))")
        .message("spec.routes: gw must be an address of spec.cidr, or for IPv6 a router's link-local address (fe80::…); leave it out \
                  for spec.gateway")
        .field_path(".routes")
)]
#[serde(rename_all = "camelCase")]
pub struct MacvlanSubnetSpec {
    /// The MacvlanNetwork that the subnet is on. Cannot be changed.
    #[schemars(schema_with = "schema::label")]
    pub network: String,
    /// The subnet, IPv4 or IPv6, such as 10.0.0.0/24 or fd00::/64. Cannot be changed. Subnets of one network must not overlap unless
    /// their ranges are apart.
    #[schemars(schema_with = "schema::subnet")]
    pub cidr: String,
    /// The subnet of the other family that goes with this one: a pod that gets an address here gets one there as well. One of the
    /// two has to name the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label")]
    pub pair_with: Option<String>,
    /// The router on this subnet. It is given to no pod. Left out: routes need a gw of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::address")]
    pub gateway: Option<String>,
    /// What pods get: addresses, or first and last of several, such as 10.0.0.50 or 10.0.0.100-10.0.0.199. Left out: every address of
    /// cidr. The gateway is never given, nor an IPv4 subnet's own and broadcast address, nor the first address of an IPv6 subnet,
    /// which belongs to its routers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::ranges")]
    pub ranges: Vec<String>,
    /// What pods do not get although ranges has it: addresses, first and last of several, or subnets, such as 10.0.0.8/29.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::excluded")]
    pub exclude: Vec<String>,
    /// Routes of pods that have an address here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["dst"])
    )]
    pub routes: Vec<RouteVia>,
    /// Name servers of pods whose eth0 has an address here. Pods on a cluster's own network keep the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<SubnetDns>,
    /// Only pods in namespaces with these labels get addresses. Left out: every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::selector")]
    pub namespace_selector: Option<LabelSelector>,
    /// Only pods with these labels get addresses. Left out: every pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::selector")]
    pub pod_selector: Option<LabelSelector>,
    /// Only pods on nodes with these labels get addresses. Left out: every node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::selector")]
    pub node_selector: Option<LabelSelector>,
    /// Whether pods that name no subnet get their addresses here. With namespaceSelector it is the default of those namespaces, which
    /// goes before the default of the cluster.
    #[serde(default)]
    pub default: bool,
    /// How long an address rests before another pod gets it, for neighbours that remember the old MAC: 30s, 10m, 1h30m.
    #[serde(default = "at_once")]
    #[schemars(schema_with = "schema::duration")]
    pub reuse_delay: String,
    /// Whether to give no new addresses. Pods keep those that they have.
    #[serde(default)]
    pub disabled: bool,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteVia {
    /// Where to, such as 0.0.0.0/0 or 192.168.0.0/16.
    #[schemars(schema_with = "schema::subnet")]
    pub dst: String,
    /// Through which router. Left out: spec.gateway; without that too, dst is on this LAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::address")]
    pub gw: Option<String>,
}

/// What goes into a pod's resolv.conf.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubnetDns {
    /// Name servers, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::nameservers")]
    pub nameservers: Vec<String>,
    /// The local domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::subdomain")]
    pub domain: Option<String>,
    /// Domains in which names without a dot are looked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::search")]
    pub search: Vec<String>,
    /// Options such as ndots:2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub options: Vec<String>,
}

/// What the controller counted. Numbers that do not fit into 63 bits, as of an IPv6 /64, are the largest that does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MacvlanSubnetStatus {
    /// The metadata.generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many addresses pods can get: ranges without exclude, gateway and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
    /// How many of them pods have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<i64>,
    /// How many nobody has or holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<i64>,
    /// How many are held for a StatefulSet or a reservation, or rest for reuseDelay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<i64>,
    /// How many somebody else on the LAN was found to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<i64>,
    /// Ready: the network is there, and pods can get addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

fn at_once() -> String {
    "0s".to_owned()
}
