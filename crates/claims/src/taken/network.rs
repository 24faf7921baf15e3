use std::collections::BTreeMap;
use std::net::IpAddr;

use ipam::Addresses;

use crate::claim::{Claim, KeptFor, Version};
use crate::run::{Run, count_in, gaps, size};
use crate::taken::kept::Kept;
use crate::taken::seen::Seen;

/// What an agent knows of one network's addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Network {
    /// What the watch has shown.
    pub(super) seen: Seen,
    /// What is known beyond the watch.
    pub(super) recent: BTreeMap<IpAddr, Recent>,
}

/// What is known of one address beyond the watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Recent {
    /// What the watch says of this address before this version is old.
    pub(super) at: Version,
    pub(super) what: What,
    /// This agent had deleted the claim of this address when it tried again: what the watch shows of it before this version is
    /// that one.
    pub(super) freed: Option<Version>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// This agent has written this.
    Written(Box<Claim>),
    /// It is being written, or somebody else has written it. With the claim as this agent knew it before, if it did.
    InDoubt(Option<Box<Claim>>),
    /// This agent has deleted it.
    Free,
}

/// How the addresses of a subnet are used. Addresses that nobody may be given do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{usable} usable addresses: {used} used, {held} held, {quarantined} in quarantine")]
pub struct Numbers {
    /// All that could be given. This and the others saturate at 2¹²⁸ − 1.
    pub usable: u128,
    /// Those that pods have.
    pub used: u128,
    /// Those held for a StatefulSet, a reservation or the reuse delay.
    pub held: u128,
    /// Those that somebody else on the wire uses.
    pub quarantined: u128,
}

impl Network {
    pub(super) fn of(seen: Seen) -> Network {
        Network { seen, recent: BTreeMap::new() }
    }

    /// Whether there is a claim of the address, or may be one.
    pub fn is_taken(&self, address: IpAddr) -> bool {
        match self.recent.get(&address) {
            Some(recent) => !matches!(recent.what, What::Free),
            None => self.seen.taken.contains(address),
        }
    }

    /// The addresses of these runs that are not taken, as runs in order. The runs are in order and apart.
    pub fn free(&self, usable: &[Run]) -> Vec<Run> {
        let mut free = Addresses::new();
        gaps(&self.seen.taken, usable).into_iter().for_each(|(from, to)| free.insert_run(from, to));
        let is_usable = |address| usable.iter().any(|run| run.0 <= address && address <= run.1);
        for (address, recent) in &self.recent {
            match recent.what {
                What::Free if is_usable(*address) => free.insert(*address),
                What::Free => {}
                What::Written(_) | What::InDoubt(_) => free.remove(*address),
            }
        }
        free.runs().collect()
    }

    /// The claim of this node for the address. `None` while it is being written.
    pub fn own_of(&self, address: IpAddr) -> Option<&Claim> {
        match self.recent.get(&address) {
            Some(Recent { what: What::Written(claim), .. }) => {
                Some(&**claim).filter(|claim| claim.is_active())
            }
            Some(_) => None,
            None => self.seen.own.get(&address),
        }
    }

    /// All claims of this node, lowest address first.
    pub fn own(&self) -> impl Iterator<Item = &Claim> {
        let mut addresses: Vec<IpAddr> = self.recent.keys().chain(self.seen.own.keys()).copied().collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.into_iter().filter_map(|address| self.own_of(address))
    }

    /// The addresses that are kept for something, active ones as well.
    pub fn kept(&self, kept_for: &KeptFor) -> impl Iterator<Item = (IpAddr, Kept)> {
        let is_shown = |recent: &Recent| recent.what == What::InDoubt(None);
        let shown = self.seen.kept.of(kept_for);
        let shown = shown.filter(move |(address, _)| self.recent.get(address).is_none_or(is_shown));
        let written = self.recent.iter().filter_map(|(address, recent)| match &recent.what {
            What::Written(claim) | What::InDoubt(Some(claim))
                if claim.kept_for.as_ref() == Some(kept_for) =>
            {
                Some((*address, Kept::of(kept_for.clone().into(), claim.subnet.as_str().into(), claim)))
            }
            _ => None,
        });
        shown.map(|(address, kept)| (address, kept.clone())).chain(written)
    }

    /// Whether the address is being written, or has been by somebody else: what the watch has shown of it is old.
    pub fn is_in_doubt(&self, address: IpAddr) -> bool {
        self.recent.get(&address).is_some_and(|recent| matches!(recent.what, What::InDoubt(_)))
    }

    /// How the addresses of these runs are used, which are in order and apart.
    pub fn numbers(&self, usable: &[Run]) -> Numbers {
        let held = count_in(&self.seen.held, usable);
        let quarantined = count_in(&self.seen.quarantined, usable);
        let mut taken = self.seen.taken.clone();
        for (address, recent) in &self.recent {
            match recent.what {
                What::Free => taken.remove(*address),
                What::Written(_) | What::InDoubt(_) => taken.insert(*address),
            }
        }
        let used = count_in(&taken, usable).saturating_sub(held).saturating_sub(quarantined);
        Numbers { usable: size(usable), used, held, quarantined }
    }

    /// The watch shows this version of the address: what was known beyond it may be in it.
    pub(super) fn caught_up(&mut self, address: IpAddr, version: Version) {
        if self.recent.get(&address).is_some_and(|recent| recent.at <= version) {
            self.recent.remove(&address);
        }
    }

    pub(super) fn relisted(&mut self, seen: Seen, version: Version) {
        self.seen = seen;
        self.recent.retain(|_, recent| recent.at > version);
    }
}
