use std::collections::BTreeMap;
use std::net::IpAddr;

use ipam::Addresses;

use crate::claim::{Claim, Reason, Version};
use crate::taken::kept::AllKept;

/// What the watch has shown of one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    pub(super) taken: Addresses,
    /// Those of `taken` that are held, quarantine left out.
    pub(super) held: Addresses,
    /// Those of `taken` that are in quarantine.
    pub(super) quarantined: Addresses,
    pub(super) own: BTreeMap<IpAddr, Claim>,
    pub(super) kept: AllKept,
}

impl Seen {
    pub(super) fn apply(&mut self, claim: Claim, node: &str) {
        let address = claim.address;
        self.remove(address);
        self.taken.insert(address);
        match &claim.hold {
            None => {}
            Some(hold) if hold.reason == Reason::Quarantine => self.quarantined.insert(address),
            Some(_) => self.held.insert(address),
        }
        if let Some(kept_for) = &claim.kept_for {
            self.kept.insert(kept_for, &claim);
        }
        if claim.is_active() && claim.owner.node == node {
            self.own.insert(address, claim);
        }
    }

    /// The version of an own or a kept claim; of others it is not remembered.
    pub(super) fn version_of(&self, address: IpAddr) -> Option<Version> {
        self.own.get(&address).map(|claim| claim.version).or_else(|| self.kept.version_of(address))
    }

    pub(super) fn remove(&mut self, address: IpAddr) {
        self.taken.remove(address);
        self.held.remove(address);
        self.quarantined.remove(address);
        self.own.remove(&address);
        self.kept.remove(address);
    }
}
