//! What the watches know, in as few bytes as decisions allow: a cluster has tens of thousands of claims and pods.

mod claim;
mod definition;
mod facts;
mod names;
mod uid;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use api::NetworkRef;
use api::kinds::{self, MacvlanNetwork, MacvlanReservation, MacvlanSubnet};
use claims::{Claim, KeptFor, Reason, Version};

pub(crate) use claim::{ClaimKey, KnownClaim};
pub(crate) use definition::{Definition, attachment};
pub(crate) use facts::{reservation_wants, set_wants};
pub(crate) use uid::Uid;

use crate::objects::StatefulSet;
use crate::webhook::PodNetworks;
use names::Names;

/// An object with its parsed form, or what is wrong with it.
#[derive(Debug)]
pub(crate) struct Known<O, P> {
    pub(crate) object: O,
    pub(crate) parsed: api::Result<P>,
}

/// Everything that is known.
#[derive(Debug, Default)]
pub(crate) struct Index {
    names: Names,
    /// Boxed, since a map that grows in order is half empty.
    claims: BTreeMap<ClaimKey, Box<KnownClaim>>,
    by_uid: BTreeSet<(Uid, ClaimKey)>,
    by_keeper: BTreeMap<Arc<KeptFor>, BTreeSet<ClaimKey>>,
    /// The newest version that the claims' watch has shown.
    seen: Version,
    pub(crate) pods: BTreeSet<Uid>,
    pub(crate) sets: BTreeMap<NetworkRef, StatefulSet>,
    /// By name, whether they are ready.
    pub(crate) nodes: BTreeMap<Box<str>, bool>,
    /// By name, their labels.
    pub(crate) namespaces: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) definitions: BTreeMap<NetworkRef, Definition>,
    /// What pods get without asking; none where that is not known.
    pub(crate) pod_networks: Option<PodNetworks>,
    pub(crate) networks: BTreeMap<Arc<str>, Known<MacvlanNetwork, kinds::Network>>,
    pub(crate) subnets: BTreeMap<Arc<str>, Known<MacvlanSubnet, kinds::Subnet>>,
    pub(crate) reservations: BTreeMap<NetworkRef, Known<MacvlanReservation, kinds::Reservation>>,
}

/// How claims of a subnet are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) used: i64,
    pub(crate) held: i64,
    pub(crate) quarantined: i64,
}

impl Counts {
    /// What is left of so many.
    pub(crate) fn free(&self, total: i64) -> i64 {
        (total - self.used - self.held - self.quarantined).max(0)
    }
}

/// Every address of both families.
const ALL: (IpAddr, IpAddr) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)));

impl Index {
    /// The one copy of a name.
    pub(crate) fn name(&mut self, name: &str) -> Arc<str> {
        self.names.get(name)
    }

    /// The watch shows a claim. False: it is known already.
    pub(crate) fn show_claim(&mut self, claim: Claim) -> bool {
        self.seen = self.seen.max(claim.version);
        self.put_claim(claim)
    }

    /// We wrote a claim, and the API server answered with this. What the watch shows counts for more: it may have shown the claim's end.
    pub(crate) fn wrote_claim(&mut self, claim: Claim) -> bool {
        claim.version > self.seen && self.put_claim(claim)
    }

    fn put_claim(&mut self, claim: Claim) -> bool {
        let key = (self.names.get(&claim.network), claim.address);
        let before = self.claims.get(&key);
        if before.is_some_and(|known| known.version >= claim.version) {
            return false;
        }
        let missing = before.map(|known| {
            (known.uid.clone(), known.pod_missing, known.kept_for.clone(), known.keeper_missing)
        });
        self.take_claim(&key);
        let kept_for = claim.kept_for.clone().map(|kept_for| match self.by_keeper.get_key_value(&kept_for) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::new(kept_for),
        });
        let mut known = KnownClaim::new(claim, kept_for, &mut self.names);
        if let Some((uid, pod, keeper, since)) = missing {
            known.pod_missing = pod.filter(|_| uid == known.uid);
            known.keeper_missing = since.filter(|_| keeper == known.kept_for);
        }
        if !known.uid.is_empty() {
            self.by_uid.insert((known.uid.clone(), key.clone()));
        }
        if let Some(keeper) = &known.kept_for {
            self.by_keeper.entry(Arc::clone(keeper)).or_default().insert(key.clone());
        }
        self.claims.insert(key, Box::new(known));
        true
    }

    /// A claim is gone; gives what it was.
    pub(crate) fn take_claim(&mut self, key: &ClaimKey) -> Option<Box<KnownClaim>> {
        let known = self.claims.remove(key)?;
        self.by_uid.remove(&(known.uid.clone(), key.clone()));
        if let Some(keeper) = &known.kept_for
            && let Some(keys) = self.by_keeper.get_mut(keeper)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.by_keeper.remove(keeper);
            }
        }
        Some(known)
    }

    pub(crate) fn claim(&self, key: &ClaimKey) -> Option<&KnownClaim> {
        self.claims.get(key).map(Box::as_ref)
    }

    pub(crate) fn claims(&self) -> impl Iterator<Item = (&ClaimKey, &KnownClaim)> {
        self.claims.iter().map(|(key, claim)| (key, claim.as_ref()))
    }

    /// The claims of a pod.
    pub(crate) fn claims_of_pod<'a>(&'a self, uid: &'a Uid) -> impl Iterator<Item = &'a ClaimKey> {
        // No name sorts before the empty one.
        let first = (uid.clone(), ("".into(), ALL.0));
        self.by_uid.range(first..).take_while(move |(of, _)| of == uid).map(|(_, key)| key)
    }

    /// The claims that are kept for something, lowest address first.
    pub(crate) fn claims_kept_for(&self, keeper: &KeptFor) -> impl Iterator<Item = (&ClaimKey, &KnownClaim)> {
        let keys = self.by_keeper.get(keeper).into_iter().flatten();
        keys.filter_map(|key| Some((key, self.claims.get(key)?.as_ref())))
    }

    /// The claims of a network from one address to another.
    fn claims_between<'a>(
        &'a self,
        network: &str,
        (from, to): (IpAddr, IpAddr),
    ) -> impl Iterator<Item = (&'a ClaimKey, &'a KnownClaim)> + use<'a> {
        let network: Arc<str> = network.into();
        let range = self.claims.range((Arc::clone(&network), from)..=(network, to));
        range.map(|(key, claim)| (key, claim.as_ref()))
    }

    /// All claims of a network.
    pub(crate) fn claims_on<'a>(
        &'a self,
        network: &str,
    ) -> impl Iterator<Item = (&'a ClaimKey, &'a KnownClaim)> + use<'a> {
        self.claims_between(network, ALL)
    }

    /// The claims of a subnet's addresses, lowest address first, whichever subnet they were given from.
    pub(crate) fn claims_in(&self, subnet: &kinds::Subnet) -> impl Iterator<Item = (&ClaimKey, &KnownClaim)> {
        self.claims_between(&subnet.network, (subnet.cidr.network(), subnet.cidr.broadcast()))
    }

    /// Those that were given from it.
    pub(crate) fn claims_of_subnet(
        &self,
        subnet: &kinds::Subnet,
    ) -> impl Iterator<Item = (&ClaimKey, &KnownClaim)> {
        self.claims_in(subnet).filter(|(_, claim)| *claim.subnet == *subnet.name)
    }

    /// How the addresses that pods of a subnet can get are used.
    pub(crate) fn counts(&self, subnet: &kinds::Subnet) -> Counts {
        let mut counts = Counts::default();
        let usable = subnet.usable();
        for ((_, address), claim) in self.claims_in(subnet) {
            if !usable.contains(*address) {
                continue;
            }
            match claim.reason() {
                None => counts.used += 1,
                Some(Reason::Quarantine) => counts.quarantined += 1,
                Some(_) => counts.held += 1,
            }
        }
        counts
    }

    /// How many pods have an interface on a network.
    pub(crate) fn pods_on(&self, network: &str) -> i64 {
        let active = self.claims_on(network).filter(|(_, claim)| claim.is_active());
        let uids: BTreeSet<&Uid> = active.map(|(_, claim)| &claim.uid).collect();
        i64::try_from(uids.len()).unwrap_or(i64::MAX)
    }

    /// How many claims there are of each state.
    pub(crate) fn states(&self) -> BTreeMap<&'static str, i64> {
        let mut states: BTreeMap<&'static str, i64> = STATES.map(|state| (state, 0)).into();
        for claim in self.claims.values() {
            let state = match claim.reason() {
                None => STATES[0],
                Some(Reason::StatefulSet) => STATES[1],
                Some(Reason::Reservation) => STATES[2],
                Some(Reason::ReuseDelay) => STATES[3],
                Some(Reason::Quarantine) => STATES[4],
            };
            *states.entry(state).or_default() += 1;
        }
        states
    }
}

/// States of claims, as metrics call them.
const STATES: [&str; 5] = ["active", "stateful_set", "reservation", "reuse_delay", "quarantine"];
