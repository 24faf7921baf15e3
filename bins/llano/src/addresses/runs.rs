//! A subnet as runs of addresses that follow each other and are the same: what its map is drawn from.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use api::kinds::{HoldReason, Holder};
use serde::Serialize;

use super::entry::Entry;
use super::known::Known;

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    /// A pod has it.
    Used,
    /// Kept for a pod of a StatefulSet, or resting.
    Held,
    /// A reservation has it, and no pod.
    Reserved,
    /// Somebody else on the LAN uses it.
    Quarantined,
    /// Pods can get it.
    Free,
    /// The subnet's router.
    Gateway,
    /// In the subnet, and not for pods: outside of ranges, excluded, the subnet's own.
    Excluded,
}

/// Every state, in the order of legends.
pub(super) const STATES: [State; 7] = [
    State::Used,
    State::Held,
    State::Reserved,
    State::Quarantined,
    State::Free,
    State::Gateway,
    State::Excluded,
];

/// Addresses that follow each other, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The first, as a number.
    pub(super) from: u128,
    /// The last, as a number.
    pub(super) to: u128,
    pub(super) state: State,
}

/// All addresses of a subnet's CIDR: runs in order, without gaps, each of another state than the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Runs {
    is_ipv4: bool,
    runs: Vec<Run>,
}

impl State {
    pub(super) fn of(entry: &Entry) -> State {
        match &entry.claim.holder {
            Holder::Active(_) => State::Used,
            Holder::Held { reason: HoldReason::Reservation, .. } => State::Reserved,
            Holder::Held { reason: HoldReason::Quarantine, .. } => State::Quarantined,
            Holder::Held { reason: HoldReason::StatefulSet | HoldReason::ReuseDelay, .. } => State::Held,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            State::Used => "used",
            State::Held => "held",
            State::Reserved => "reserved",
            State::Quarantined => "quarantined",
            State::Free => "free",
            State::Gateway => "gateway",
            State::Excluded => "not for pods",
        }
    }

    /// Whether nobody else can have it now.
    pub(super) fn is_taken(self) -> bool {
        matches!(self, State::Used | State::Held | State::Reserved | State::Quarantined)
    }
}

impl Run {
    pub(super) fn count(&self) -> u128 {
        (self.to - self.from).saturating_add(1)
    }
}

impl Runs {
    /// The subnet with these claims. One outside of the CIDR, which cannot be, does not count.
    pub(super) fn of(known: &Known, entries: &[Entry]) -> Runs {
        let cidr = known.subnet.cidr;
        let is_ipv4 = cidr.addr().is_ipv4();
        let mut single: BTreeMap<u128, State> = BTreeMap::new();
        single.extend(
            known.subnet.gateway.filter(|ip| cidr.contains(ip)).map(|ip| (number(ip), State::Gateway)),
        );
        let inside = entries.iter().filter(|entry| cidr.contains(&entry.claim.address));
        single.extend(inside.map(|entry| (number(entry.claim.address), State::of(entry))));

        let mut runs = Runs { is_ipv4, runs: Vec::new() };
        let mut next = number(cidr.network());
        let last = number(cidr.broadcast());
        for (from, to) in known.subnet.usable().runs() {
            let (from, to) = (number(from), number(to));
            if next < from {
                runs.lay(next, from - 1, State::Excluded, &single);
            }
            runs.lay(from, to, State::Free, &single);
            next = to + 1;
        }
        if next <= last {
            runs.lay(next, last, State::Excluded, &single);
        }
        runs
    }

    pub(super) fn all(&self) -> &[Run] {
        &self.runs
    }

    /// How many addresses there are.
    pub(super) fn len(&self) -> u128 {
        self.runs.iter().map(Run::count).fold(0, u128::saturating_add)
    }

    /// How many are of this state.
    pub(super) fn count(&self, state: State) -> u128 {
        let of_state = self.runs.iter().filter(|run| run.state == state);
        of_state.map(Run::count).fold(0, u128::saturating_add)
    }

    /// The first address, as a number.
    pub(super) fn first(&self) -> u128 {
        self.runs.first().map_or(0, |run| run.from)
    }

    /// The address of a number of these runs.
    pub(super) fn address(&self, number: u128) -> IpAddr {
        match (self.is_ipv4, u32::try_from(number)) {
            (true, Ok(number)) => Ipv4Addr::from(number).into(),
            _ => Ipv6Addr::from(number).into(),
        }
    }

    /// Adds what comes next, cut by the single addresses that are something else.
    fn lay(&mut self, from: u128, to: u128, state: State, single: &BTreeMap<u128, State>) {
        let mut next = from;
        for (at, other) in single.range(from..=to) {
            if next < *at {
                self.push(next, at - 1, state);
            }
            self.push(*at, *at, *other);
            next = at + 1;
        }
        if next <= to {
            self.push(next, to, state);
        }
    }

    fn push(&mut self, from: u128, to: u128, state: State) {
        match self.runs.last_mut() {
            Some(run) if run.state == state => run.to = to,
            _ => self.runs.push(Run { from, to, state }),
        }
    }
}

/// An address as a number; those of one subnet keep their order and distances.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::super::samples::{active, entries, held, lan4, subnet};
    use super::*;

    proptest! {
        /// Whatever is excluded and taken, each address has the state that it has when looked at alone.
        #[test]
        fn runs_say_of_each_address_what_it_is(
            excluded in prop::collection::vec((0u8..64, 0u8..64), 0..4),
            taken in prop::collection::btree_set(0u8..64, 0..20),
            gateway in 1u8..63,
        ) {
            let exclude: Vec<String> = excluded
                .iter()
                .map(|(a, b)| format!("10.30.0.{}-10.30.0.{}", a.min(b), a.max(b)))
                .collect();
            let more = json!({"exclude": exclude, "gateway": format!("10.30.0.{gateway}")});
            let known = subnet("any", "10.30.0.0/26", &more);
            let claims: Vec<_> = taken.iter().map(|n| active(&format!("10.30.0.{n}"), "a")).collect();
            let runs = Runs::of(&known, &entries(&claims));
            let taken: BTreeSet<u8> = taken;
            let expected = |n: u8| match Ipv4Addr::new(10, 30, 0, n).into() {
                _ if taken.contains(&n) => State::Used,
                _ if n == gateway => State::Gateway,
                address if known.subnet.usable().contains(address) => State::Free,
                _ => State::Excluded,
            };
            let each = runs.all().iter().flat_map(|run| (run.from..=run.to).map(|at| (runs.address(at), run.state)));
            let wanted = (0..64).map(|n| (IpAddr::from([10, 30, 0, n]), expected(n)));
            prop_assert_eq!(each.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
            prop_assert!(runs.all().windows(2).all(|two| two[0].state != two[1].state));
        }
    }

    #[test]
    fn runs_cover_the_subnet_once() {
        let entries = entries(&[
            active("10.20.0.2", "web-0"),
            active("10.20.0.3", "web-1"),
            held("10.20.0.4", "Reservation", ""),
            // It was given before spec.exclude had it.
            held("10.20.0.64", "StatefulSet", "web-2"),
            held("10.20.0.199", "Quarantine", ""),
        ]);
        let runs = Runs::of(&lan4(), &entries);
        let said: Vec<String> = runs
            .all()
            .iter()
            .map(|run| format!("{}-{} {}", runs.address(run.from), runs.address(run.to), run.state.name()))
            .collect();
        assert_eq!(
            said,
            [
                "10.20.0.0-10.20.0.0 not for pods",
                "10.20.0.1-10.20.0.1 gateway",
                "10.20.0.2-10.20.0.3 used",
                "10.20.0.4-10.20.0.4 reserved",
                "10.20.0.5-10.20.0.63 free",
                "10.20.0.64-10.20.0.64 held",
                "10.20.0.65-10.20.0.79 not for pods",
                "10.20.0.80-10.20.0.98 free",
                "10.20.0.99-10.20.0.99 not for pods",
                "10.20.0.100-10.20.0.198 free",
                "10.20.0.199-10.20.0.199 quarantined",
                "10.20.0.200-10.20.0.255 not for pods",
            ]
        );
        let sum: u128 = STATES.iter().map(|state| runs.count(*state)).sum();
        assert_eq!((runs.len(), sum), (256, 256));
    }
}
