//! A claim in few bytes, whole: a decision writes it back.

use std::net::IpAddr;
use std::sync::Arc;

use claims::{Claim, Hold, KeptFor, Owner, Reason, Time, Version};
use kernel::MacAddr;

use super::names::Names;
use super::uid::Uid;

/// Which claim: its network and its address.
pub(crate) type ClaimKey = (Arc<str>, IpAddr);

/// A claim as it is kept. What many claims have in common is there once.
#[derive(Debug, Clone)]
pub(crate) struct KnownClaim {
    pub(crate) subnet: Arc<str>,
    pub(crate) namespace: Arc<str>,
    pub(crate) node: Arc<str>,
    pub(crate) interface: Arc<str>,
    pub(crate) pod: Box<str>,
    pub(crate) container_id: Box<str>,
    pub(crate) uid: Uid,
    pub(crate) mac: Option<MacAddr>,
    pub(crate) kept_for: Option<Arc<KeptFor>>,
    pub(crate) hold: Option<Box<Hold>>,
    pub(crate) version: Version,
    /// Since when the pod of `uid` is not there; forgotten when it is there again.
    pub(crate) pod_missing: Option<Time>,
    /// The same of what it is kept for.
    pub(crate) keeper_missing: Option<Time>,
}

impl KnownClaim {
    pub(crate) fn new(claim: Claim, kept_for: Option<Arc<KeptFor>>, names: &mut Names) -> KnownClaim {
        let owner = claim.owner;
        KnownClaim {
            subnet: names.get(&claim.subnet),
            namespace: names.get(&owner.namespace),
            node: names.get(&owner.node),
            interface: names.get(&owner.interface),
            pod: owner.pod.into_boxed_str(),
            container_id: owner.container_id.into_boxed_str(),
            uid: Uid::new(&owner.uid),
            mac: claim.mac,
            kept_for,
            hold: claim.hold.map(Box::new),
            version: claim.version,
            pod_missing: None,
            keeper_missing: None,
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.hold.is_none()
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        self.hold.as_ref().map(|hold| hold.reason)
    }

    /// The claim as decisions take it.
    pub(crate) fn whole(&self, (network, address): &ClaimKey) -> Claim {
        Claim {
            network: network.to_string(),
            subnet: self.subnet.to_string(),
            address: *address,
            mac: self.mac,
            owner: Owner {
                namespace: self.namespace.to_string(),
                pod: self.pod.to_string(),
                uid: self.uid.to_string(),
                node: self.node.to_string(),
                container_id: self.container_id.to_string(),
                interface: self.interface.to_string(),
            },
            kept_for: self.kept_for.as_deref().cloned(),
            hold: self.hold.as_deref().cloned(),
            version: self.version,
        }
    }

    /// Who has the address, for people.
    pub(crate) fn holder(&self) -> String {
        let pod = format!("pod {}/{}", self.namespace, self.pod);
        let kept = self.kept_for.as_ref().map(|keeper| match keeper.kind {
            claims::Keeper::StatefulSet => format!("StatefulSet {}/{}", keeper.namespace, keeper.name),
            claims::Keeper::Reservation => format!("MacvlanReservation {}/{}", keeper.namespace, keeper.name),
        });
        match (self.reason(), kept) {
            (None, _) => pod,
            (Some(_), Some(kept)) if self.pod.is_empty() => kept,
            (Some(_), Some(kept)) => format!("{kept}, last {pod}"),
            (Some(Reason::Quarantine), None) => "quarantine: somebody else on the LAN uses it".to_owned(),
            (Some(_), None) => format!("reuseDelay, last {pod}"),
        }
    }
}
