//! What the choice of subnets is made from, and what it comes to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
pub use kube::core::Selector;
use kube::core::SelectorExt;

use super::Family;
use crate::kinds::Subnet;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// What is to be known of a MacvlanSubnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetFacts {
    /// Its name.
    pub name: String,
    /// Its MacvlanNetwork's name.
    pub network: String,
    /// Its addresses.
    pub cidr: IpNet,
    /// Those of them that pods get, as runs in order: another subnet may have the rest.
    pub usable: Vec<(IpAddr, IpAddr)>,
    /// `namespaceSelector`; with `default`, it makes the subnet the default of the namespaces it selects.
    pub namespace_selector: Option<Selector>,
    /// `podSelector`.
    pub pod_selector: Option<Selector>,
    /// `nodeSelector`.
    pub node_selector: Option<Selector>,
    /// `default`: for pods that ask for no subnet.
    pub default: bool,
    /// Why it gives nothing new, as [`Subnet::closed`] says.
    pub closed: Option<&'static str>,
    /// `pairWith`: the subnet of the other family. It is enough when one of the two names the other.
    pub pair: Option<String>,
}

impl SubnetFacts {
    /// What counts here of a subnet.
    pub fn of(subnet: &Subnet) -> SubnetFacts {
        SubnetFacts {
            name: subnet.name.clone(),
            network: subnet.network.clone(),
            cidr: subnet.cidr,
            usable: subnet.usable().runs().collect(),
            namespace_selector: subnet.namespaces.clone(),
            pod_selector: subnet.pods.clone(),
            node_selector: subnet.nodes.clone(),
            default: subnet.default,
            closed: subnet.closed(),
            pair: subnet.pair_with.clone(),
        }
    }

    /// The family of its addresses.
    pub fn family(&self) -> Family {
        Family::of(self.cidr.addr())
    }

    /// Why a pod may not have an address of it now; `None` when it may.
    pub(super) fn refusal(&self, pod: &PodFacts<'_>) -> Option<String> {
        let unselected = |selector: &Option<Selector>, labels: &Labels| {
            selector.as_ref().is_some_and(|selector| !selector.matches(labels))
        };
        let why = if let Some(why) = self.closed {
            why
        } else if unselected(&self.namespace_selector, pod.namespace_labels) {
            "is not for this namespace (namespaceSelector)"
        } else if unselected(&self.pod_selector, pod.pod_labels) {
            "is not for this pod (podSelector)"
        } else if unselected(&self.node_selector, pod.node_labels) {
            "is not for this node (nodeSelector)"
        } else {
            return None;
        };
        Some(format!("{} {why}", self.name))
    }

    /// Whether the two are the two families of one thing.
    pub(super) fn is_pair_of(&self, other: &SubnetFacts) -> bool {
        let names = |a: &SubnetFacts, b: &SubnetFacts| a.pair.as_deref() == Some(b.name.as_str());
        self.family() != other.family()
            && self.network == other.network
            && (names(self, other) || names(other, self))
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct PodFacts<'a> {
    /// The MacvlanNetwork of the interface.
    pub network: &'a str,
    /// The pod's labels.
    pub pod_labels: &'a Labels,
    /// Its namespace's labels.
    pub namespace_labels: &'a Labels,
    /// Its node's labels.
    pub node_labels: &'a Labels,
    /// The subnet of the MacvlanReservation that the pod names or belongs to, if any.
    pub reservation_subnet: Option<&'a str>,
}

/// Subnets to try, in this order, by family. The pod gets one address of each family that has subnets here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice<'a> {
    /// Subnets of IPv4 addresses.
    pub v4: Vec<&'a SubnetFacts>,
    /// Subnets of IPv6 addresses.
    pub v6: Vec<&'a SubnetFacts>,
}

impl<'a> Choice<'a> {
    /// The subnets of a family.
    pub fn of(&self, family: Family) -> &[&'a SubnetFacts] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// The subnets of the other family for a pod that has its first address from `taken`: the pair of that one first.
    pub fn beside(&self, taken: &SubnetFacts) -> Vec<&'a SubnetFacts> {
        let mut subnets = self.of(taken.family().other()).to_vec();
        // Stable: the others keep their order.
        subnets.sort_by_key(|subnet| !subnet.is_pair_of(taken));
        subnets
    }

    pub(super) fn of_mut(&mut self, family: Family) -> &mut Vec<&'a SubnetFacts> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Adds a subnet at the end of its family's, once.
    pub(super) fn push(&mut self, subnet: &'a SubnetFacts) {
        let subnets = self.of_mut(subnet.family());
        if !subnets.iter().any(|own| own.name == subnet.name) {
            subnets.push(subnet);
        }
    }
}
