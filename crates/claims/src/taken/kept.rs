use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use kernel::MacAddr;

use crate::claim::{Claim, Hold, KeptFor, Owner, Reason, Time, Version};

/// A claim that is kept for something, as far as an agent needs it. Texts that many share are there once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kept {
    /// What it is kept for.
    pub kept_for: Arc<KeptFor>,
    /// The subnet.
    pub subnet: Arc<str>,
    /// The pod that has or had it.
    pub pod: Box<str>,
    /// That pod's interface.
    pub interface: Box<str>,
    /// That pod's UID, as in `Owner`.
    pub uid: Box<str>,
    /// The node that has it; empty when it is held.
    pub node: Box<str>,
    /// The interface's address.
    pub mac: Option<MacAddr>,
    /// Whether it is in quarantine.
    pub quarantined: bool,
    /// The version that was seen.
    pub version: Version,
}

impl Kept {
    pub(super) fn of(kept_for: Arc<KeptFor>, subnet: Arc<str>, claim: &Claim) -> Kept {
        let owner = &claim.owner;
        Kept {
            kept_for,
            subnet,
            pod: owner.pod.as_str().into(),
            interface: owner.interface.as_str().into(),
            uid: owner.uid.as_str().into(),
            node: owner.node.as_str().into(),
            mac: claim.mac,
            quarantined: claim.hold.as_ref().is_some_and(|hold| hold.reason == Reason::Quarantine),
            version: claim.version,
        }
    }

    /// The claim, when it is held. When it was held and until when is not remembered.
    pub fn claim(&self, network: &str, address: IpAddr) -> Option<Claim> {
        if !self.node.is_empty() {
            return None;
        }
        let reason = if self.quarantined { Reason::Quarantine } else { self.kept_for.reason() };
        Some(Claim {
            network: network.to_owned(),
            subnet: self.subnet.to_string(),
            address,
            mac: self.mac,
            owner: Owner {
                namespace: self.kept_for.namespace.clone(),
                pod: self.pod.to_string(),
                uid: self.uid.to_string(),
                interface: self.interface.to_string(),
                ..Owner::default()
            },
            kept_for: Some(KeptFor::clone(&self.kept_for)),
            hold: Some(Hold { reason, since: Time::default(), until: None, message: None }),
            version: self.version,
        })
    }
}

/// All kept claims of one network, by address and by what they are kept for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct AllKept {
    claims: BTreeMap<IpAddr, Kept>,
    of: BTreeMap<Arc<KeptFor>, BTreeSet<IpAddr>>,
    subnets: BTreeSet<Arc<str>>,
}

impl AllKept {
    pub(super) fn of<'a>(&'a self, kept_for: &KeptFor) -> impl Iterator<Item = (IpAddr, &'a Kept)> {
        let addresses = self.of.get(kept_for).into_iter().flatten();
        addresses.filter_map(|address| Some((*address, self.claims.get(address)?)))
    }

    pub(super) fn version_of(&self, address: IpAddr) -> Option<Version> {
        Some(self.claims.get(&address)?.version)
    }

    pub(super) fn insert(&mut self, kept_for: &KeptFor, claim: &Claim) {
        let kept_for = match self.of.get_key_value(kept_for) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::new(kept_for.clone()),
        };
        self.of.entry(Arc::clone(&kept_for)).or_default().insert(claim.address);
        let subnet = self.subnets.get(claim.subnet.as_str()).cloned();
        let subnet = subnet.unwrap_or_else(|| Arc::from(claim.subnet.as_str()));
        self.subnets.insert(Arc::clone(&subnet));
        self.claims.insert(claim.address, Kept::of(kept_for, subnet, claim));
    }

    pub(super) fn remove(&mut self, address: IpAddr) {
        let Some(kept) = self.claims.remove(&address) else { return };
        if let Some(addresses) = self.of.get_mut(&kept.kept_for) {
            addresses.remove(&address);
            if addresses.is_empty() {
                self.of.remove(&kept.kept_for);
            }
        }
    }
}
