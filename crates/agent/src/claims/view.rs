//! What the watches know of addresses, shared with the calls that want some.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use api::addresses::Labels;
use api::kinds::{Network, Reservation, Subnet};
use claims::{Event, Place, Taken};

use super::turns::Turns;
use super::{ClaimError, Owned};

/// A reservation's namespace and name.
pub(super) type ReservationName = (String, String);

/// What is known. A call looks and notes what it is about to write in one go, so that no two calls choose one address.
pub(super) struct State {
    pub(super) taken: Taken,
    pub(super) subnets: BTreeMap<String, Arc<Subnet>>,
    pub(super) networks: BTreeMap<String, Arc<Network>>,
    pub(super) reservations: BTreeMap<ReservationName, Arc<Reservation>>,
    /// Labels of all namespaces.
    pub(super) namespaces: BTreeMap<String, Labels>,
    /// Labels of this node.
    pub(super) node: Option<Labels>,
    /// Where this node is in each subnet.
    pub(super) places: BTreeMap<String, Place>,
    /// Creates by network.
    pub(super) turns: BTreeMap<String, Turns>,
    pub(super) subnets_listed: bool,
    pub(super) networks_listed: bool,
    reservations_listed: bool,
    namespaces_listed: bool,
}

/// See the [module](self).
pub(super) struct View {
    state: Mutex<State>,
    changed: Condvar,
}

/// What somebody who looks has found.
pub(super) enum Look<T> {
    /// What was looked for.
    Is(T),
    /// It may come, until then.
    Wait(Instant),
}

impl State {
    /// Nothing can be chosen before the watches have been through once. Of a cluster without subnets only these are watched.
    pub(super) fn missing(&self) -> Option<&'static str> {
        let listed = [
            (self.subnets_listed, "the MacvlanSubnets"),
            (self.subnets.is_empty() || self.networks_listed, "the MacvlanNetworks"),
            (self.subnets.is_empty() || self.taken.is_ready(), "the MacvlanIPs"),
            (self.subnets.is_empty() || self.reservations_listed, "the MacvlanReservations"),
            (self.subnets.is_empty() || self.namespaces_listed, "the namespaces"),
            (self.subnets.is_empty() || self.node.is_some(), "this node"),
        ];
        listed.into_iter().find_map(|(listed, what)| (!listed).then_some(what))
    }

    /// This node's claims, as far as they are not being written just now.
    pub(super) fn owned(&self) -> Vec<Owned> {
        self.taken.own().map(Owned::of).collect()
    }
}

impl View {
    pub(super) fn new(node: &str) -> View {
        let state = State {
            taken: Taken::new(node),
            subnets: BTreeMap::new(),
            networks: BTreeMap::new(),
            reservations: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            node: None,
            places: BTreeMap::new(),
            turns: BTreeMap::new(),
            subnets_listed: false,
            networks_listed: false,
            reservations_listed: false,
            namespaces_listed: false,
        };
        View { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known, and wakes who waits for it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let made = change(&mut state);
        self.changed.notify_all();
        made
    }

    /// Looks now and after each change, until something is found or the look itself waits no longer.
    pub(super) fn look<T>(&self, mut look: impl FnMut(&mut State) -> Look<T>) -> Option<T> {
        let mut state = self.lock();
        loop {
            let until = match look(&mut state) {
                Look::Is(found) => return Some(found),
                Look::Wait(until) => until,
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for the first lists.
    pub(super) fn wait_until_listed(&self, until: Instant) -> Result<(), ClaimError> {
        let mut missing = "the MacvlanSubnets";
        let listed = self.look(|state| match state.missing() {
            None => Look::Is(()),
            Some(what) => {
                missing = what;
                Look::Wait(until)
            }
        });
        listed.ok_or(ClaimError::NotListed(missing))
    }

    /// What the watch of the claims says. True when that is news about a claim of this node: somebody else has changed it, or it
    /// has come without our knowing.
    pub(super) fn claim_event(&self, event: Event) -> bool {
        let about = match &event {
            Event::Applied(claim) | Event::Deleted(claim) => Some((claim.network.clone(), claim.address)),
            Event::ListBegun | Event::Listed(_) | Event::ListEnded(_) => None,
        };
        let ended = matches!(event, Event::ListEnded(_));
        self.change(|state| {
            let own = |state: &State| {
                let (network, address) = about.as_ref()?;
                state.taken.network(network).own_of(*address).map(|claim| claim.owner.clone())
            };
            let before = own(state);
            state.taken.apply(event);
            ended || before != own(state)
        })
    }

    pub(super) fn subnet_applied(&self, subnet: Subnet) {
        self.change(|state| state.subnets.insert(subnet.name.clone(), Arc::new(subnet)));
    }

    pub(super) fn subnet_deleted(&self, name: &str) {
        self.change(|state| {
            state.subnets.remove(name);
            state.places.remove(name);
        });
    }

    pub(super) fn subnets_listed(&self, names: &BTreeSet<String>) {
        self.change(|state| {
            state.subnets.retain(|name, _| names.contains(name));
            state.subnets_listed = true;
        });
    }

    /// True when it was not so before; most changes are of its status.
    pub(super) fn network_applied(&self, network: Network) -> bool {
        self.change(|state| {
            let network = Arc::new(network);
            let before = state.networks.insert(network.name.clone(), Arc::clone(&network));
            before.as_ref() != Some(&network)
        })
    }

    pub(super) fn network_deleted(&self, name: &str) {
        self.change(|state| state.networks.remove(name));
    }

    pub(super) fn networks_listed(&self, names: &BTreeSet<String>) {
        self.change(|state| {
            state.networks.retain(|name, _| names.contains(name));
            state.networks_listed = true;
        });
    }

    pub(super) fn reservation_applied(&self, reservation: Reservation) {
        let name = (reservation.namespace.clone(), reservation.name.clone());
        self.change(|state| state.reservations.insert(name, Arc::new(reservation)));
    }

    pub(super) fn reservation_deleted(&self, name: &ReservationName) {
        self.change(|state| state.reservations.remove(name));
    }

    pub(super) fn reservations_listed(&self, names: &BTreeSet<ReservationName>) {
        self.change(|state| {
            state.reservations.retain(|name, _| names.contains(name));
            state.reservations_listed = true;
        });
    }

    pub(super) fn namespace_applied(&self, name: String, labels: Labels) {
        self.change(|state| state.namespaces.insert(name, labels));
    }

    pub(super) fn namespace_deleted(&self, name: &str) {
        self.change(|state| state.namespaces.remove(name));
    }

    pub(super) fn namespaces_listed(&self, names: &BTreeSet<String>) {
        self.change(|state| {
            state.namespaces.retain(|name, _| names.contains(name));
            state.namespaces_listed = true;
        });
    }

    /// True when the labels are others than before.
    pub(super) fn node_applied(&self, labels: Labels) -> bool {
        self.change(|state| {
            let is_other = state.node.as_ref() != Some(&labels);
            state.node = Some(labels);
            is_other
        })
    }
}
