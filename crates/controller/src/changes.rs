//! What the watches show, put into the index, and what has to be looked at because of it. No input or output.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use api::NetworkRef;
use api::kinds::{self, MacvlanNetwork, MacvlanReservation, MacvlanSubnet};
use claims::controller::{Facts, Presence};
use claims::{Claim, Keeper, KeptFor, Reason, Time};

use crate::index::{ClaimKey, Definition, Index, Known, KnownClaim, Uid};
use crate::objects::StatefulSet;
use crate::queue::{Key, Queue};

/// All that is known, and all that is to be done.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) index: Index,
    pub(crate) queue: Queue,
    /// Reservations that lack addresses which others have, or a subnet that has them.
    pub(crate) waiting: BTreeSet<NetworkRef>,
    /// The watches that have read a whole list.
    listed: BTreeSet<&'static str>,
    /// Whether this controller is the one that works: else nothing is to be done.
    leads: bool,
}

/// How many watches there are.
pub(crate) const WATCHES: usize = 9;

impl State {
    /// Whether all watches have read their lists. Before, pods that exist would look as if they were gone.
    pub(crate) fn is_whole(&self) -> bool {
        self.listed.len() >= WATCHES
    }

    /// A watch has read a whole list.
    pub(crate) fn list_read(&mut self, watch: &'static str, now: Time) {
        if self.listed.insert(watch) {
            self.look_at_everything(now);
        }
    }

    /// From now on this controller works.
    pub(crate) fn lead(&mut self, now: Time) {
        self.leads = true;
        self.look_at_everything(now);
    }

    /// Everything but claims with which all is well: there may be tens of thousands.
    fn look_at_everything(&mut self, now: Time) {
        // Who asks for the facts of a claim begins to wait for its pod: that is for the one who works.
        if !self.leads || !self.is_whole() {
            return;
        }
        let keys: Vec<ClaimKey> = self.index.claims().map(|(key, _)| key.clone()).collect();
        for key in keys {
            if self.index.facts(&key, now).is_some_and(|(claim, facts)| has_to_do(&claim, &facts)) {
                self.look_at([Key::Claim(key)]);
            }
        }
        let networks: Vec<Key> = self.index.networks.keys().cloned().map(Key::Network).collect();
        let subnets: Vec<Key> = self.index.subnets.keys().cloned().map(Key::Subnet).collect();
        let reservations: Vec<Key> = self.index.reservations.keys().cloned().map(Key::Reservation).collect();
        // Definitions of networks that are gone have nobody else who names them.
        let of_gone = self.index.definitions.values().filter_map(|definition| match definition {
            Definition::Ours { network, .. } => Some(Key::Network(Arc::clone(network))),
            Definition::Foreign(_) => None,
        });
        let definitions: Vec<Key> = of_gone.collect();
        self.look_at([networks, subnets, reservations, definitions].into_iter().flatten());
    }

    fn look_at(&mut self, keys: impl IntoIterator<Item = Key>) {
        if !self.leads || !self.is_whole() {
            return;
        }
        let now = Instant::now();
        for key in keys {
            self.queue.push(key, now);
        }
    }

    // Claims.

    /// The watch shows a claim.
    pub(crate) fn claim_applied(&mut self, claim: Claim) {
        let key = (self.index.name(&claim.network), claim.address);
        if self.index.show_claim(claim) {
            self.claim_changed(&key);
        }
    }

    /// We wrote a claim.
    pub(crate) fn claim_written(&mut self, claim: Claim) {
        let key = (self.index.name(&claim.network), claim.address);
        if self.index.wrote_claim(claim) {
            self.claim_changed(&key);
        }
    }

    fn claim_changed(&mut self, key: &ClaimKey) {
        let Some(claim) = self.index.claim(key) else { return };
        let mut keys = vec![Key::Claim(key.clone())];
        keys.extend(around(key, claim));
        if let Some(keeper) = claim.kept_for.as_deref() {
            // One that was held for the same pod may have been replaced.
            let siblings = self.index.claims_kept_for(keeper);
            let siblings = siblings
                .filter(|(_, other)| other.pod == claim.pod && other.reason() == Some(Reason::StatefulSet));
            keys.extend(siblings.map(|(key, _)| Key::Claim(key.clone())));
        }
        self.look_at(keys);
    }

    /// The watch shows that a claim is gone.
    pub(crate) fn claim_deleted(&mut self, key: &ClaimKey) {
        let Some(claim) = self.index.take_claim(key) else { return };
        self.look_at(around(key, &claim));
        let waiting: Vec<Key> = self.waiting.iter().cloned().map(Key::Reservation).collect();
        self.look_at(waiting);
    }

    /// These claims are all there are.
    pub(crate) fn claims_listed(&mut self, there: &BTreeSet<ClaimKey>) {
        let gone: Vec<ClaimKey> =
            self.index.claims().map(|(key, _)| key).filter(|key| !there.contains(*key)).cloned().collect();
        gone.iter().for_each(|key| self.claim_deleted(key));
    }

    // What claims are for.

    /// A pod is there, or is gone, by all its UIDs.
    pub(crate) fn pod_changed<'a>(&mut self, uids: impl Iterator<Item = &'a str>, is_there: bool) {
        for uid in uids.map(Uid::new) {
            let changed =
                if is_there { self.index.pods.insert(uid.clone()) } else { self.index.pods.remove(&uid) };
            if changed {
                let keys: Vec<Key> = self.index.claims_of_pod(&uid).cloned().map(Key::Claim).collect();
                self.look_at(keys);
            }
        }
    }

    /// These pods are all there are.
    pub(crate) fn pods_listed(&mut self, there: &BTreeSet<Uid>) {
        let gone: Vec<String> =
            self.index.pods.iter().filter(|uid| !there.contains(*uid)).map(Uid::to_string).collect();
        self.pod_changed(gone.iter().map(String::as_str), false);
    }

    /// A StatefulSet has these pods, or is gone.
    pub(crate) fn set_changed(&mut self, name: &NetworkRef, set: Option<StatefulSet>) {
        let before = match set {
            Some(set) => self.index.sets.insert(name.clone(), set),
            None => self.index.sets.remove(name),
        };
        if before != set {
            self.look_at_claims_kept_for(Keeper::StatefulSet, name);
        }
    }

    /// A node is ready or not; none for one that is gone.
    pub(crate) fn node_changed(&mut self, name: &str, ready: Option<bool>) {
        let before = match ready {
            Some(ready) => self.index.nodes.insert(name.into(), ready),
            None => self.index.nodes.remove(name),
        };
        if before != ready {
            // For how long its agent may still let go by itself depends on it.
            let of_node =
                |(_, claim): &(&ClaimKey, &KnownClaim)| *claim.node == *name && claim.pod_missing.is_some();
            let keys: Vec<Key> =
                self.index.claims().filter(of_node).map(|(key, _)| Key::Claim(key.clone())).collect();
            self.look_at(keys);
        }
    }

    /// A namespace has these labels, or is gone.
    pub(crate) fn namespace_changed(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) {
        let before = self.index.namespaces.get(name);
        if before == labels.as_ref() {
            return;
        }
        match labels {
            Some(labels) => self.index.namespaces.insert(name.to_owned(), labels),
            None => self.index.namespaces.remove(name),
        };
        let of_namespace = self.index.reservations.keys().filter(|of| of.namespace() == name);
        let mut keys: Vec<Key> = of_namespace.cloned().map(Key::Reservation).collect();
        // Definitions may have waited for it.
        let attaches = |known: &Known<MacvlanNetwork, kinds::Network>| {
            known.object.spec.attach_as.iter().any(|entry| entry.namespace == name)
        };
        let networks = self.index.networks.iter().filter(|(_, known)| attaches(known));
        keys.extend(networks.map(|(network, _)| Key::Network(Arc::clone(network))));
        self.look_at(keys);
    }

    // Our own kinds.

    pub(crate) fn network_applied(&mut self, object: MacvlanNetwork) -> Option<Arc<str>> {
        let name = self.index.name(object.metadata.name.as_deref()?);
        let parsed = kinds::Network::parse(&object);
        self.index.networks.insert(Arc::clone(&name), Known { object, parsed });
        self.network_changed(&name);
        Some(name)
    }

    pub(crate) fn network_deleted(&mut self, name: &str) {
        if self.index.networks.remove(name).is_some() {
            self.network_changed(name);
        }
    }

    fn network_changed(&mut self, name: &str) {
        let subnets = self.subnets_on(name);
        self.look_at(subnets);
        self.look_at([Key::Network(name.into())]);
    }

    fn subnets_on(&self, network: &str) -> Vec<Key> {
        let on = self.index.subnets.iter().filter(|(_, known)| known.object.spec.network == network);
        on.map(|(name, _)| Key::Subnet(Arc::clone(name))).collect()
    }

    pub(crate) fn subnet_applied(&mut self, object: MacvlanSubnet) -> Option<Arc<str>> {
        let name = self.index.name(object.metadata.name.as_deref()?);
        let parsed = kinds::Subnet::parse(&object);
        let spec_changed = self.index.subnets.get(&name).is_none_or(|known| {
            known.object.spec != object.spec
                || known.object.metadata.deletion_timestamp != object.metadata.deletion_timestamp
        });
        let network = object.spec.network.clone();
        self.index.subnets.insert(Arc::clone(&name), Known { object, parsed });
        self.look_at([Key::Subnet(Arc::clone(&name))]);
        if spec_changed {
            self.subnet_changed(&name, &network);
        }
        Some(name)
    }

    pub(crate) fn subnet_deleted(&mut self, name: &str) {
        if let Some(known) = self.index.subnets.remove(name) {
            self.subnet_changed(name, &known.object.spec.network);
        }
    }

    /// Others may overlap with it, reservations are of it.
    fn subnet_changed(&mut self, name: &str, network: &str) {
        let subnets = self.subnets_on(network);
        self.look_at(subnets);
        let of_subnet = self.index.reservations.iter().filter(|(_, known)| known.object.spec.subnet == name);
        let keys: Vec<Key> = of_subnet.map(|(name, _)| Key::Reservation(name.clone())).collect();
        self.look_at(keys);
    }

    pub(crate) fn reservation_applied(&mut self, object: MacvlanReservation) -> Option<NetworkRef> {
        let metadata = &object.metadata;
        let name = NetworkRef::new(metadata.namespace.as_deref()?, metadata.name.as_deref()?)?;
        let parsed = kinds::Reservation::parse(&object);
        let before = self.index.reservations.insert(name.clone(), Known { object, parsed });
        let spec_of = |known: &Known<MacvlanReservation, _>| known.object.spec.clone();
        if before.as_ref().map(spec_of) != self.index.reservations.get(&name).map(spec_of) {
            self.look_at_claims_kept_for(Keeper::Reservation, &name);
        }
        self.look_at([Key::Reservation(name.clone())]);
        Some(name)
    }

    pub(crate) fn reservation_deleted(&mut self, name: &NetworkRef) {
        self.waiting.remove(name);
        if self.index.reservations.remove(name).is_some() {
            self.look_at_claims_kept_for(Keeper::Reservation, name);
        }
    }

    fn look_at_claims_kept_for(&mut self, kind: Keeper, name: &NetworkRef) {
        let keeper = KeptFor { kind, namespace: name.namespace().to_owned(), name: name.name().to_owned() };
        let keys: Vec<Key> =
            self.index.claims_kept_for(&keeper).map(|(key, _)| Key::Claim(key.clone())).collect();
        self.look_at(keys);
    }

    /// A NetworkAttachmentDefinition is there, or is gone.
    pub(crate) fn definition_changed(&mut self, name: &NetworkRef, definition: Option<Definition>) {
        let now = definition.clone();
        let before = match definition {
            Some(definition) => self.index.definitions.insert(name.clone(), definition),
            None => self.index.definitions.remove(name),
        };
        let network = |definition: &Definition| match definition {
            Definition::Ours { network, .. } => Some(Key::Network(Arc::clone(network))),
            Definition::Foreign(_) => None,
        };
        let mut keys: Vec<Key> = [before, now].iter().flatten().filter_map(network).collect();
        let names_it = |(network, known): (&Arc<str>, &Known<MacvlanNetwork, kinds::Network>)| {
            let names_it = known.parsed.as_ref().is_ok_and(|parsed| parsed.attach_as.contains_key(name));
            names_it.then(|| Key::Network(Arc::clone(network)))
        };
        keys.extend(self.index.networks.iter().filter_map(names_it));
        self.look_at(keys);
    }

    /// The API server has told of all definitions; it may know their kind only now.
    pub(crate) fn look_for_missing_definitions(&mut self) {
        let definitions = &self.index.definitions;
        let lacks = |known: &Known<MacvlanNetwork, kinds::Network>| {
            let parsed = known.parsed.as_ref();
            parsed.is_ok_and(|network| network.attach_as.keys().any(|name| !definitions.contains_key(name)))
        };
        let lacking = self.index.networks.iter().filter(|(_, known)| lacks(known));
        let keys: Vec<Key> = lacking.map(|(network, _)| Key::Network(Arc::clone(network))).collect();
        self.look_at(keys);
    }

    /// The names of one kind that a list did not have.
    pub(crate) fn gone<N: Ord + Clone, V>(known: &BTreeMap<N, V>, there: &BTreeSet<N>) -> Vec<N> {
        known.keys().filter(|name| !there.contains(*name)).cloned().collect()
    }
}

/// Whether a decision may come to something else than to leave the claim alone.
fn has_to_do(claim: &Claim, facts: &Facts) -> bool {
    let is_due = claim.hold.as_ref().is_some_and(|hold| hold.until.is_some());
    is_due || facts.replaced || facts.pod != Presence::There || facts.keeper != Presence::There
}

/// Whose status tells of a claim.
fn around(key: &ClaimKey, claim: &KnownClaim) -> Vec<Key> {
    let mut keys = vec![Key::Subnet(Arc::clone(&claim.subnet)), Key::Network(Arc::clone(&key.0))];
    if let Some(keeper) = claim.kept_for.as_deref().filter(|keeper| keeper.kind == Keeper::Reservation) {
        keys.extend(NetworkRef::new(&keeper.namespace, &keeper.name).map(Key::Reservation));
    }
    keys
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use claims::Hold;

    use super::*;
    use crate::fixtures::{active, holding, kept, network_object, state_with_subnet};

    fn due(state: &mut State) -> Vec<Key> {
        let later = Instant::now() + Duration::from_secs(60);
        std::iter::from_fn(|| state.queue.pop(later)).collect()
    }

    fn claim(last: u8) -> Key {
        Key::Claim(("lan".into(), [10, 0, 0, last].into()))
    }

    #[test]
    fn when_the_lists_are_read_everything_is_looked_at_but_claims_with_which_all_is_well() {
        let mut state = State::default();
        state.lead(Time(1));
        state.network_applied(network_object(serde_json::json!({"parent": "eth0"})));
        state.claim_applied(active("10.0.0.5", "web", "u1"));
        state.claim_applied(active("10.0.0.6", "gone", "u2"));
        let hold = Hold { reason: Reason::Quarantine, since: Time(1), until: Some(Time(9)), message: None };
        state.claim_applied(active("10.0.0.7", "", "").held(hold, ""));
        state.pod_changed(["u1"].into_iter(), true);
        let watches = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        for watch in watches {
            assert_eq!(due(&mut state), [], "before {watch}");
            state.list_read(watch, Time(1));
        }
        assert_eq!(due(&mut state), [claim(6), claim(7), Key::Network("lan".into())]);
        // Lists that are read again are no reason.
        watches.iter().for_each(|watch| state.list_read(watch, Time(2)));
        assert_eq!(due(&mut state), []);
    }

    #[test]
    fn one_that_waits_knows_everything_and_does_nothing_until_it_leads() {
        let mut state = State::default();
        state.network_applied(network_object(serde_json::json!({"parent": "eth0"})));
        state.claim_applied(active("10.0.0.6", "gone", "u2"));
        for watch in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
            state.list_read(watch, Time(1));
        }
        state.claim_applied(active("10.0.0.7", "gone", "u3"));
        assert!(state.is_whole());
        assert_eq!(due(&mut state), []);
        // For how long the pods are gone counts from now on.
        state.lead(Time(50));
        assert_eq!(due(&mut state), [claim(6), claim(7), Key::Network("lan".into())]);
        let key = ("lan".into(), [10, 0, 0, 6].into());
        let missing = Presence::Missing { since: Time(50), asked: false };
        assert_eq!(state.index.facts(&key, Time(60)).unwrap().1.pod, missing);
    }

    #[test]
    fn what_a_change_touches_is_looked_at_and_nothing_else() {
        let mut state = state_with_subnet();
        state.claim_applied(active("10.0.0.5", "web", "u1"));
        state.claim_applied(holding(kept(active("10.0.0.6", "db-0", ""), Keeper::StatefulSet, "db")));
        assert!(due(&mut state).contains(&Key::Network("lan".into())));
        // The same again is nothing new.
        state.claim_applied(active("10.0.0.5", "web", "u1"));
        assert_eq!(due(&mut state), []);

        state.pod_changed(["u1", "f00"].into_iter(), true);
        assert_eq!(due(&mut state), [claim(5)]);
        state.pod_changed(["u2"].into_iter(), true);
        assert_eq!(due(&mut state), []);
        state.pods_listed(&BTreeSet::from([Uid::new("u2")]));
        assert_eq!(due(&mut state), [claim(5)]);
        assert_eq!(state.index.pods, BTreeSet::from([Uid::new("u2")]));

        state.set_changed(&NetworkRef::new("shop", "db").unwrap(), None);
        assert_eq!(due(&mut state), [], "it was not known before");
        state.set_changed(&NetworkRef::new("shop", "db").unwrap(), Some(StatefulSet::default()));
        assert_eq!(due(&mut state), [claim(6)]);

        // A node counts for claims whose pods are gone.
        state.node_changed("node1", Some(true));
        assert_eq!(due(&mut state), []);
        state.index.facts(&("lan".into(), [10, 0, 0, 5].into()), claims::Time(1));
        state.node_changed("node1", Some(false));
        assert_eq!(due(&mut state), [claim(5)]);
    }

    #[test]
    fn a_reservation_that_waits_looks_again_when_an_address_is_free() {
        let mut state = state_with_subnet();
        let team = NetworkRef::new("shop", "team").unwrap();
        state.waiting.insert(team.clone());
        state.claim_applied(active("10.0.0.5", "web", "u1"));
        assert!(!due(&mut state).contains(&Key::Reservation(team.clone())));
        state.claims_listed(&BTreeSet::new());
        assert!(due(&mut state).contains(&Key::Reservation(team)));
        assert_eq!(state.index.claims().count(), 0);
    }

    #[test]
    fn what_was_written_does_not_come_back_after_the_watch_has_shown_its_end() {
        let mut state = state_with_subnet();
        let mut claim = active("10.0.0.5", "web", "u1");
        claim.version = claims::Version(20);
        // The watch is ahead of the answer: it has shown version 21, the claim's end among what was before.
        let mut other = active("10.0.0.6", "web", "u1");
        other.version = claims::Version(21);
        state.claim_applied(other);
        state.claim_written(claim.clone());
        assert_eq!(state.index.claims().count(), 1);
        claim.version = claims::Version(22);
        state.claim_written(claim);
        assert_eq!(state.index.claims().count(), 2);
    }
}
