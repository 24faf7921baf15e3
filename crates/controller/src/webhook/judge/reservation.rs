//! `MacvlanReservation`. Who writes one may see one namespace only: nothing here tells who is in another.

use std::collections::{BTreeMap, BTreeSet};

use api::Mac;
use api::addresses::Family;
use api::kinds::{
    HoldReason, KeeperKind, MacvlanReservation, Pair, Reservation, Subnet, What, Who, WorkloadKind,
};
use ipam::Addresses;
use kube::core::SelectorExt;

use super::sets::{common, named};
use super::words::{listed, refuse, run, usable};
use super::{Change, Judged};
use crate::webhook::{Taken, World};

pub(super) fn judge(change: &Change<MacvlanReservation>, world: &dyn World) -> Judged {
    let reservation = Reservation::parse(&change.after).map_err(|error| error.to_string())?;
    let Some(subnet) = world.subnet(&reservation.subnet) else {
        let name = &reservation.subnet;
        return Ok(vec![format!(
            "spec.subnet: there is no MacvlanSubnet {name} yet; nothing is reserved until there is"
        )]);
    };
    // What was there before is not judged anew: a change of something else must not fail for it.
    let before = change.before.as_ref().and_then(|before| Reservation::parse(before).ok());
    let case = Case {
        reservation: &reservation,
        subnet,
        world,
        added: added(&reservation, before.as_ref()),
        pairs: added_pairs(&reservation, before.as_ref()),
    };
    case.namespace()?;
    case.inside()?;
    case.others()?;
    case.macs()?;
    let mut warnings = case.claims()?;
    warnings.extend(case.room()?);
    Ok(warnings)
}

/// Whether the subnet is for namespaces with these labels.
pub(super) fn admits(subnet: &Subnet, labels: &BTreeMap<String, String>) -> bool {
    subnet.namespaces.as_ref().is_none_or(|selector| selector.matches(labels))
}

/// The addresses that were not the reservation's before.
fn added(reservation: &Reservation, before: Option<&Reservation>) -> Addresses {
    let mut added = named(&reservation.what);
    if let Some(before) = before {
        named(&before.what).runs().for_each(|(from, to)| added.remove_run(from, to));
    }
    added
}

/// The pairs that were not the reservation's before, by their MACs.
fn added_pairs(reservation: &Reservation, before: Option<&Reservation>) -> BTreeMap<Mac, Pair> {
    let before = before.map_or_else(Vec::new, |before| pairs(&before.what));
    let added = pairs(&reservation.what).into_iter().filter(|pair| !before.contains(pair));
    added.filter_map(|pair| Some((pair.mac?, pair))).collect()
}

/// Addresses with their MACs, where it names them.
fn pairs(what: &What) -> Vec<Pair> {
    match what {
        What::Pairs(pairs) => pairs.clone(),
        What::Ordinals(pairs) => pairs.values().copied().collect(),
        What::Set(_) | What::Count(_) => Vec::new(),
    }
}

struct Case<'a> {
    reservation: &'a Reservation,
    subnet: &'a Subnet,
    world: &'a dyn World,
    added: Addresses,
    pairs: BTreeMap<Mac, Pair>,
}

impl Case<'_> {
    fn wrong(&self, path: &str, problem: String) -> String {
        let Reservation { namespace, name, .. } = self.reservation;
        refuse("MacvlanReservation", format!("{namespace}/{name}"), path, problem)
    }

    /// The field with the addresses.
    fn path(&self) -> &'static str {
        match &self.reservation.what {
            What::Pairs(_) => "spec.addresses",
            What::Set(_) => "spec.ranges",
            What::Count(_) => "spec.count",
            What::Ordinals(_) => "spec.ordinals",
        }
    }

    fn namespace(&self) -> Result<(), String> {
        let Reservation { namespace, subnet, .. } = self.reservation;
        match self.world.namespace(namespace) {
            Some(labels) if !admits(self.subnet, labels) => Err(self.wrong(
                "spec.subnet",
                format!(
                    "{subnet} is not for namespace {namespace} (its namespaceSelector); name another, or ask who runs the network for \
                     this one"
                ),
            )),
            _ => Ok(()),
        }
    }

    fn inside(&self) -> Result<(), String> {
        let Some(address) =
            self.reservation.outside(self.subnet).filter(|address| self.added.contains(*address))
        else {
            return Ok(());
        };
        let problem = format!(
            "{address} is not among the addresses that pods of subnet {} get ({})",
            self.subnet.name,
            usable(self.subnet)
        );
        Err(self.wrong(self.path(), problem))
    }

    /// The other reservations on the same network, each with its subnet.
    fn neighbours(&self) -> impl Iterator<Item = (&Reservation, &Subnet)> {
        let own = (&self.reservation.namespace, &self.reservation.name);
        let others = self.world.reservations().filter(move |other| (&other.namespace, &other.name) != own);
        others.filter_map(|other| {
            let subnet = self.world.subnet(&other.subnet)?;
            (subnet.network == self.subnet.network).then_some((other, subnet))
        })
    }

    /// Another reservation, for who writes this one.
    fn called(&self, other: &Reservation) -> String {
        if other.namespace == self.reservation.namespace {
            format!("MacvlanReservation {}", other.name)
        } else {
            "a MacvlanReservation of another namespace".to_owned()
        }
    }

    fn others(&self) -> Result<(), String> {
        for (other, _) in self.neighbours() {
            if let Some(both) = common(&self.added, &named(&other.what)) {
                let problem =
                    format!("{} belongs to {} already; leave it out", run(both), self.called(other));
                return Err(self.wrong(self.path(), problem));
            }
        }
        Ok(())
    }

    /// No MAC is twice on a network, but for the two families of one interface.
    fn macs(&self) -> Result<(), String> {
        let own = &self.pairs;
        if own.is_empty() {
            return Ok(());
        }
        let twice = |mac: Mac, whose: &str| {
            let problem =
                format!("{mac} is the MAC of {whose} on this network; choose another, or leave it out");
            Err(self.wrong(self.path(), problem))
        };
        let may_share =
            |pair: &Pair, family: Family, is_own: bool| is_own && Family::of(pair.address) != family;
        for (other, _) in self.neighbours() {
            for theirs in pairs(&other.what) {
                let Some((mac, pair)) = theirs.mac.and_then(|mac| own.get_key_value(&mac)) else { continue };
                if !may_share(pair, Family::of(theirs.address), other.namespace == self.reservation.namespace)
                {
                    return twice(*mac, &self.called(other));
                }
            }
        }
        for claim in self.world.claims(&self.subnet.network) {
            let Some((mac, pair)) = claim.mac.and_then(|mac| own.get_key_value(&mac)) else { continue };
            let same = claim.address == pair.address || self.is_kept_here(&claim);
            if !same && claim.is_wanted() && !may_share(pair, claim.family(), self.is_own(&claim)) {
                return twice(*mac, &self.holder(&claim));
            }
        }
        Ok(())
    }

    /// Whether the claim is this reservation's.
    fn is_kept_here(&self, claim: &Taken) -> bool {
        let Reservation { namespace, name, .. } = self.reservation;
        claim.kept_for.as_ref().is_some_and(|kept| {
            kept.kind == KeeperKind::Reservation && kept.namespace == *namespace && kept.name == *name
        })
    }

    fn is_own(&self, claim: &Taken) -> bool {
        let keeper = claim.kept_for.as_ref().map(|kept| &kept.namespace);
        claim.namespace == self.reservation.namespace || keeper == Some(&self.reservation.namespace)
    }

    fn holder(&self, claim: &Taken) -> String {
        if self.is_own(claim) { claim.holder() } else { "an address in another namespace".to_owned() }
    }

    /// What is in use or kept already.
    fn claims(&self) -> Judged {
        let mut later = Vec::new();
        for claim in self.world.claims(&self.subnet.network) {
            if !self.added.contains(claim.address) || self.is_kept_here(&claim) {
                continue;
            }
            match claim.hold {
                Some(HoldReason::ReuseDelay) => {}
                // Its own pods may have it: the reservation takes it over then.
                None if self.is_own(&claim) && claim.kept_for.is_none() => later.push(claim.holder()),
                Some(HoldReason::Quarantine) => later.push(claim.holder()),
                _ if self.is_of_its_set(&claim) => later.push(claim.holder()),
                _ if self.is_own(&claim) => {
                    let problem =
                        format!("{} is not free; leave it out, or delete what has it", claim.holder());
                    return Err(self.wrong(self.path(), problem));
                }
                _ => {
                    let problem =
                        format!("{} is not free, another namespace has it; leave it out", claim.address);
                    return Err(self.wrong(self.path(), problem));
                }
            }
        }
        let warning =
            format!("{}: not free yet, reserved as soon as they are: {}", self.path(), listed(&later));
        Ok(if later.is_empty() { Vec::new() } else { vec![warning] })
    }

    /// Whether the claim is kept for the StatefulSet that the reservation is for.
    fn is_of_its_set(&self, claim: &Taken) -> bool {
        let Who::Workload(workload) = &self.reservation.who else { return false };
        claim.kept_for.as_ref().is_some_and(|kept| {
            kept.kind == KeeperKind::StatefulSet
                && workload.kind == WorkloadKind::StatefulSet
                && kept.namespace == self.reservation.namespace
                && kept.name == workload.name
        })
    }

    /// A count fits into the subnet, and better into what is free.
    fn room(&self) -> Judged {
        let What::Count(count) = self.reservation.what else { return Ok(Vec::new()) };
        let (count, all) = (u128::from(count), self.subnet.usable().len());
        if count > all {
            let problem = format!("{count} addresses, and pods of subnet {} get {all}", self.subnet.name);
            return Err(self.wrong("spec.count", problem));
        }
        let taken: BTreeSet<_> = self
            .world
            .claims(&self.subnet.network)
            .filter(|claim| self.subnet.usable().contains(claim.address) && !self.is_kept_here(claim))
            .map(|claim| claim.address)
            .collect();
        let free = all.saturating_sub(taken.len() as u128);
        if count <= free {
            return Ok(Vec::new());
        }
        Ok(vec![format!(
            "spec.count: {free} of {count} addresses are free in subnet {} now",
            self.subnet.name
        )])
    }
}
