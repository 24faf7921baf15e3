//! A reservation becomes held claims: which are to be made or changed, and what its status says. No input or output.

use std::net::IpAddr;
use std::sync::Arc;

use api::kinds::{MacvlanReservationStatus, Reservation, Subnet, TakenAddress, What};
use api::{Mac, NetworkRef};
use claims::controller::{Reserve, Reserved, reserve};
use claims::{Claim, Keeper, KeptFor, Time, mac_addr};
use ipam::Addresses;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::core::SelectorExt;

use crate::index::{ClaimKey, Index, KnownClaim, reservation_wants};
use crate::status::{Verdict, first_few};

/// Most claims that are written before something else has its turn.
pub(crate) const BATCH: usize = 128;

/// What was found out about a reservation.
#[derive(Debug)]
pub(crate) struct Look {
    /// Claims to be created, or updated to this; at most [`BATCH`].
    pub(crate) writes: Vec<Write>,
    pub(crate) verdict: Verdict,
    pub(crate) status: MacvlanReservationStatus,
    /// It lacks addresses that may come free.
    pub(crate) waits: bool,
}

/// A claim to be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Create(Claim),
    Update(Claim),
}

/// What is to be done for a reservation; none when there is no such reservation.
pub(crate) fn look(index: &Index, name: &NetworkRef, now: Time) -> Option<Look> {
    let known = index.reservations.get(name)?;
    let keeper = KeptFor {
        kind: Keeper::Reservation,
        namespace: name.namespace().to_owned(),
        name: name.name().to_owned(),
    };
    let generation = known.object.metadata.generation;
    let before = known.object.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let finish = |writes, verdict: Verdict, kept: Vec<(&ClaimKey, &KnownClaim)>, waits| {
        let addresses: Vec<TakenAddress> = kept.into_iter().map(taken).collect();
        let status = status(addresses, &verdict, before, generation);
        Some(Look { writes, verdict, status, waits })
    };
    let reservation = match &known.parsed {
        Ok(reservation) => reservation,
        Err(error) => {
            let kept = index.claims_kept_for(&keeper).collect();
            return finish(Vec::new(), Verdict::not("Invalid", error.to_string()), kept, false);
        }
    };
    let wanted =
        |(key, claim): &(&ClaimKey, &KnownClaim)| reservation_wants(index, reservation, &keeper, key, claim);
    let kept: Vec<_> = index.claims_kept_for(&keeper).filter(wanted).collect();
    if known.object.metadata.deletion_timestamp.is_some() {
        return finish(Vec::new(), Verdict::not("Deleting", "it is being deleted"), kept, false);
    }
    let subnet = match usable_subnet(index, reservation) {
        Ok(subnet) => subnet,
        // What it has it keeps.
        Err(verdict) if kept.len() as u128 == reservation.what.size() && verdict.reason == "SubnetClosed" => {
            return finish(Vec::new(), all_reserved(kept.len()), kept, false);
        }
        Err(verdict) => return finish(Vec::new(), verdict, kept, false),
    };
    let mut found = Found::default();
    let addresses = match &reservation.what {
        What::Count(count) => {
            let lacking = usize::try_from(*count).unwrap_or(usize::MAX).saturating_sub(kept.len());
            let free = free_addresses(index, subnet, lacking);
            found.short = lacking - free.len();
            free.into_iter().map(|address| (address, None)).collect()
        }
        what => listed(what),
    };
    for (address, mac) in addresses.into_iter().filter(|(address, _)| subnet.usable().contains(*address)) {
        let reserved = Reserved {
            network: subnet.network.clone(),
            subnet: subnet.name.clone(),
            address,
            mac: mac.map(mac_addr),
            kept_for: keeper.clone(),
        };
        let key: ClaimKey = (Arc::from(subnet.network.as_str()), address);
        let existing = index.claim(&key);
        match reserve(&reserved, existing.map(|claim| claim.whole(&key)).as_ref(), now) {
            Reserve::Create(claim) => found.writes.push(Write::Create(claim)),
            Reserve::Update(claim) => found.writes.push(Write::Update(claim)),
            Reserve::Done => {}
            Reserve::Busy => found.busy.extend(existing.map(|claim| (address, claim.holder()))),
        }
    }
    let waits = !found.busy.is_empty() || found.short > 0;
    let verdict = found.verdict(reservation, subnet, kept.len());
    found.writes.truncate(BATCH);
    finish(found.writes, verdict, kept, waits)
}

/// What stands between a reservation and its addresses.
#[derive(Debug, Default)]
struct Found {
    writes: Vec<Write>,
    /// Addresses that others have, with who.
    busy: Vec<(IpAddr, String)>,
    /// So many of a count are not to be had.
    short: usize,
}

impl Found {
    fn verdict(&self, reservation: &Reservation, subnet: &Subnet, reserved: usize) -> Verdict {
        let size = reservation.what.size();
        if let Some(address) = reservation.outside(subnet) {
            let message = format!(
                "{address} is none that pods of MacvlanSubnet {} can get: see its ranges, exclude and gateway",
                subnet.name
            );
            return Verdict::not("OutsideSubnet", message);
        }
        if !self.busy.is_empty() {
            let holders = self.busy.iter().map(|(address, holder)| format!("{address} is held by {holder}"));
            let message = format!("{reserved} of {size} are reserved; {}", first_few(holders));
            return Verdict::not("Conflict", message);
        }
        if self.short > 0 {
            let message = format!(
                "{reserved} of {size} are reserved; MacvlanSubnet {} has no more free addresses",
                subnet.name
            );
            return Verdict::not("NoFreeAddress", message);
        }
        if self.writes.iter().any(|write| matches!(write, Write::Create(_))) {
            return Verdict::not("Pending", format!("{reserved} of {size} are reserved so far"));
        }
        all_reserved(reserved)
    }
}

fn all_reserved(count: usize) -> Verdict {
    match count {
        1 => Verdict::ready("its address is reserved"),
        count => Verdict::ready(format!("all {count} addresses are reserved")),
    }
}

/// The subnet, if pods of the reservation's namespace may have new addresses of it.
fn usable_subnet<'a>(index: &'a Index, reservation: &Reservation) -> Result<&'a Subnet, Verdict> {
    let name = &reservation.subnet;
    let Some(known) = index.subnets.get(name.as_str()) else {
        return Err(Verdict::not("NoSubnet", format!("there is no MacvlanSubnet {name}")));
    };
    let subnet = known.parsed.as_ref().map_err(|error| Verdict::not("SubnetInvalid", error.to_string()))?;
    let labels = index.namespaces.get(&reservation.namespace);
    let selected = match (&subnet.namespaces, labels) {
        (None, _) => true,
        (Some(selector), Some(labels)) => selector.matches(labels),
        (Some(_), None) => false,
    };
    if !selected {
        let message = format!(
            "MacvlanSubnet {name} is not for namespace {}: its namespaceSelector does not match",
            reservation.namespace
        );
        return Err(Verdict::not("NotAllowed", message));
    }
    if known.object.metadata.deletion_timestamp.is_some() {
        return Err(Verdict::not("SubnetClosed", format!("MacvlanSubnet {name} is being deleted")));
    }
    if subnet.disabled {
        return Err(Verdict::not("SubnetClosed", format!("MacvlanSubnet {name} is disabled")));
    }
    Ok(subnet)
}

fn listed(what: &What) -> Vec<(IpAddr, Option<Mac>)> {
    match what {
        What::Pairs(pairs) => pairs.iter().map(|pair| (pair.address, pair.mac)).collect(),
        What::Ordinals(pairs) => pairs.values().map(|pair| (pair.address, pair.mac)).collect(),
        What::Set(set) => set.iter().map(|address| (address, None)).collect(),
        What::Count(_) => Vec::new(),
    }
}

/// The lowest addresses that pods of the subnet can get and nobody has.
fn free_addresses(index: &Index, subnet: &Subnet, count: usize) -> Vec<IpAddr> {
    let mut taken = Addresses::new();
    index.claims_in(subnet).for_each(|((_, address), _)| taken.insert(*address));
    let mut free = Vec::new();
    for (from, to) in subnet.usable().runs() {
        while free.len() < count
            && let Some(address) = taken.first_gap(from, to)
        {
            taken.insert(address);
            free.push(address);
        }
    }
    free
}

fn taken((key, claim): (&ClaimKey, &KnownClaim)) -> TakenAddress {
    let active = claim.is_active();
    TakenAddress {
        ip: key.1.to_string(),
        mac: claim.mac.map(|mac| mac.to_string()),
        pod: active.then(|| claim.pod.to_string()),
        interface: active.then(|| claim.interface.to_string()),
    }
}

fn status(
    addresses: Vec<TakenAddress>,
    verdict: &Verdict,
    before: &[Condition],
    generation: Option<i64>,
) -> MacvlanReservationStatus {
    let count = |count: usize| i64::try_from(count).ok();
    MacvlanReservationStatus {
        observed_generation: generation,
        reserved: count(addresses.len()),
        used: count(addresses.iter().filter(|address| address.pod.is_some()).count()),
        addresses,
        conditions: verdict.conditions(before, generation, Timestamp::now()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::changes::State;
    use crate::fixtures::{active, holding, kept, reservation, state_with_subnet, subnet};

    fn look_at(state: &mut State, spec: Value) -> Look {
        let name = state.reservation_applied(reservation(spec)).unwrap();
        look(&state.index, &name, Time(1)).unwrap()
    }

    fn addresses(look: &Look) -> Vec<String> {
        let address = |write: &Write| match write {
            Write::Create(claim) | Write::Update(claim) => claim.address.to_string(),
        };
        look.writes.iter().map(address).collect()
    }

    /// What the controller's writes come to.
    fn write(state: &mut State, look: &Look, version: u64) {
        for (n, write) in (version..).zip(&look.writes) {
            let (Write::Create(claim) | Write::Update(claim)) = write;
            state.claim_written(Claim { version: claims::Version(n), ..claim.clone() });
        }
    }

    #[test]
    fn its_addresses_become_claims_held_for_it() {
        let mut state = state_with_subnet();
        let spec = json!({"subnet": "lan4", "addresses": [{"ip": "10.0.0.9", "mac": "02:00:00:00:00:09"}, {"ip": "10.0.0.7"}]});
        let first = look_at(&mut state, spec.clone());
        assert_eq!(
            (addresses(&first), first.verdict.reason),
            (vec!["10.0.0.9".into(), "10.0.0.7".into()], "Pending")
        );
        write(&mut state, &first, 100);
        let second = look_at(&mut state, spec);
        assert_eq!((second.writes.len(), second.verdict.ready, second.waits), (0, true, false), "{second:?}");
        let ips: Vec<_> =
            second.status.addresses.iter().map(|taken| (taken.ip.as_str(), taken.mac.as_deref())).collect();
        assert_eq!(ips, [("10.0.0.7", None), ("10.0.0.9", Some("02:00:00:00:00:09"))]);
        assert_eq!((second.status.reserved, second.status.used), (Some(2), Some(0)));
    }

    #[test]
    fn the_status_says_which_pod_has_which() {
        let mut state = state_with_subnet();
        state.claim_applied(kept(active("10.0.0.7", "web-x", "u1"), Keeper::Reservation, "team"));
        let look = look_at(&mut state, json!({"subnet": "lan4", "ranges": ["10.0.0.7"]}));
        let taken = &look.status.addresses[0];
        assert_eq!((taken.pod.as_deref(), taken.interface.as_deref()), (Some("web-x"), Some("eth0")));
        assert_eq!((look.verdict.ready, look.status.used), (true, Some(1)));
    }

    #[test]
    fn what_others_have_is_a_conflict_that_names_them() {
        let mut state = state_with_subnet();
        state.claim_applied(active("10.0.0.5", "web", "u1"));
        state.claim_applied(holding(kept(active("10.0.0.6", "db-0", ""), Keeper::StatefulSet, "db")));
        let look = look_at(&mut state, json!({"subnet": "lan4", "ranges": ["10.0.0.5-10.0.0.7"]}));
        assert_eq!(
            (addresses(&look), look.verdict.reason, look.waits),
            (vec!["10.0.0.7".into()], "Conflict", true)
        );
        let message = &look.verdict.message;
        assert!(
            message.contains("10.0.0.5 is held by pod shop/web") && message.contains("StatefulSet shop/db"),
            "{message}"
        );
    }

    #[test]
    fn a_count_takes_the_lowest_free_addresses_and_says_when_there_are_none() {
        let mut state = state_with_subnet();
        state.claim_applied(active("10.0.0.3", "web", "u1"));
        let look = look_at(&mut state, json!({"subnet": "lan4", "count": 3}));
        // The gateway is 10.0.0.1.
        assert_eq!(addresses(&look), ["10.0.0.2", "10.0.0.4", "10.0.0.5"]);
        write(&mut state, &look, 100);
        assert!(look_at(&mut state, json!({"subnet": "lan4", "count": 3})).verdict.ready);
        let look = look_at(&mut state, json!({"subnet": "lan4", "count": 20}));
        assert_eq!((look.writes.len(), look.verdict.reason, look.waits), (9, "NoFreeAddress", true));
    }

    #[test]
    fn many_addresses_are_made_in_batches() {
        let mut state = State::default();
        state.network_applied(crate::fixtures::network_object(json!({"parent": "eth0"})));
        state.subnet_applied(subnet("lan6", json!({"network": "lan", "cidr": "fd00::/64"})));
        let spec = json!({"subnet": "lan6", "count": 300});
        for (round, expected) in [(0, BATCH), (1, BATCH), (2, 300 - 2 * BATCH), (3, 0)] {
            let look = look_at(&mut state, spec.clone());
            assert_eq!((look.writes.len(), look.verdict.ready), (expected, expected == 0));
            write(&mut state, &look, 1000 * (round + 1));
        }
    }

    #[test]
    fn a_subnet_that_is_not_for_it_gives_it_nothing() {
        let spec = || json!({"subnet": "lan4", "ranges": ["10.0.0.5"]});
        let base = json!({"network": "lan", "cidr": "10.0.0.0/28", "gateway": "10.0.0.1"});
        let with = |key: &str, value: Value| {
            let mut spec = base.clone();
            spec[key] = value;
            spec
        };
        for (subnet_spec, reservation_spec, reason) in [
            (with("namespaceSelector", json!({"matchLabels": {"team": "other"}})), spec(), "NotAllowed"),
            (with("namespaceSelector", json!({"matchLabels": {"team": "shop"}})), spec(), "Pending"),
            (with("disabled", json!(true)), spec(), "SubnetClosed"),
            (with("exclude", json!(["10.0.0.5"])), spec(), "OutsideSubnet"),
            (with("gateway", json!("10.9.9.9")), spec(), "SubnetInvalid"),
            (base.clone(), json!({"subnet": "none", "count": 1}), "NoSubnet"),
            (base.clone(), json!({"subnet": "lan4"}), "Invalid"),
        ] {
            let mut state = state_with_subnet();
            state.subnet_applied(subnet("lan4", subnet_spec.clone()));
            state.namespace_changed("shop", Some([("team".to_owned(), "shop".to_owned())].into()));
            let look = look_at(&mut state, reservation_spec);
            assert_eq!(look.verdict.reason, reason, "{subnet_spec}");
            assert_eq!(look.writes.is_empty(), reason != "Pending", "{subnet_spec}");
        }
    }

    #[test]
    fn one_that_is_deleted_takes_nothing_more() {
        let mut state = state_with_subnet();
        let mut object = reservation(json!({"subnet": "lan4", "count": 2}));
        let when = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH);
        object.metadata.deletion_timestamp = Some(when);
        let name = state.reservation_applied(object).unwrap();
        let look = look(&state.index, &name, Time(1)).unwrap();
        assert_eq!((look.writes.len(), look.verdict.reason), (0, "Deleting"));
    }

    #[test]
    fn what_is_reserved_stays_ready_in_a_subnet_that_gives_nothing_new() {
        let mut state = state_with_subnet();
        state.claim_applied(holding(kept(active("10.0.0.5", "", ""), Keeper::Reservation, "team")));
        let spec = json!({"network": "lan", "cidr": "10.0.0.0/28", "disabled": true});
        state.subnet_applied(subnet("lan4", spec));
        assert!(look_at(&mut state, json!({"subnet": "lan4", "ranges": ["10.0.0.5"]})).verdict.ready);
    }

    #[test]
    fn another_mac_changes_what_nobody_uses() {
        let mut state = state_with_subnet();
        state.claim_applied(holding(kept(active("10.0.0.5", "", ""), Keeper::Reservation, "team")));
        let spec = json!({"subnet": "lan4", "addresses": [{"ip": "10.0.0.5", "mac": "02:00:00:00:00:55"}]});
        let look = look_at(&mut state, spec);
        assert!(
            matches!(&look.writes[..], [Write::Update(claim)] if claim.mac.unwrap().0[5] == 0x55),
            "{look:?}"
        );
    }
}
