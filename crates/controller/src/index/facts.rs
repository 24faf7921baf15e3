//! What is known of the surroundings of a claim.

use std::time::Duration;

use api::NetworkRef;
use api::kinds::{Reservation, What, ordinal_of};
use claims::controller::{Facts, Presence, replaces};
use claims::{Claim, Keeper, KeptFor, Reason, Time};

use super::{ClaimKey, Index, KnownClaim};
use crate::objects::StatefulSet;

impl Index {
    /// The claim, and what is known around it. What is missing is so since the first time that this is asked.
    pub(crate) fn facts(&mut self, key: &ClaimKey, now: Time) -> Option<(Claim, Facts)> {
        let known = self.claims.get(key)?;
        let pod_there = known.uid.is_empty() || self.pods.contains(&known.uid);
        let keeper_there = known.kept_for.as_deref().is_none_or(|keeper| self.wants(keeper, key, known));
        let claim = known.whole(key);
        let replaced = self.is_replaced(key, known, &claim);
        let node_ready = self.nodes.get(&*known.node).copied().unwrap_or_default();
        let subnet = self.subnets.get(&known.subnet).and_then(|subnet| subnet.parsed.as_ref().ok());
        let reuse_delay = subnet.map_or(Duration::ZERO, |subnet| subnet.reuse_delay);

        let known = self.claims.get_mut(key)?;
        let facts = Facts {
            pod: presence(pod_there, &mut known.pod_missing, now),
            node_ready,
            keeper: presence(keeper_there, &mut known.keeper_missing, now),
            replaced,
            reuse_delay,
        };
        Some((claim, facts))
    }

    /// Whether what a claim is kept for still wants it, as far as the watches show.
    fn wants(&self, keeper: &KeptFor, key: &ClaimKey, claim: &KnownClaim) -> bool {
        let Some(name) = NetworkRef::new(&keeper.namespace, &keeper.name) else { return false };
        match keeper.kind {
            Keeper::StatefulSet => {
                self.sets.get(&name).is_some_and(|set| set_wants(*set, &keeper.name, &claim.pod))
            }
            Keeper::Reservation => self.reservations.get(&name).is_some_and(|known| match &known.parsed {
                Ok(reservation) => reservation_wants(self, reservation, keeper, key, claim),
                // What cannot be understood is no reason to give an address away.
                Err(_) => true,
            }),
        }
    }

    fn is_replaced(&self, key: &ClaimKey, known: &KnownClaim, claim: &Claim) -> bool {
        let Some(keeper) = known.kept_for.as_deref().filter(|_| known.reason() == Some(Reason::StatefulSet))
        else {
            return false;
        };
        let others = self.claims_kept_for(keeper).filter(|(_, other)| other.pod == known.pod);
        others.filter(|(other, _)| *other != key).any(|(key, other)| replaces(&other.whole(key), claim))
    }
}

fn presence(is_there: bool, missing: &mut Option<Time>, now: Time) -> Presence {
    if is_there {
        *missing = None;
        return Presence::There;
    }
    Presence::Missing { since: *missing.get_or_insert(now), asked: false }
}

/// Whether a StatefulSet has a pod of this name, or will make one.
pub(crate) fn set_wants(set: StatefulSet, name: &str, pod: &str) -> bool {
    ordinal_of(name, pod).is_some_and(|ordinal| set.has(ordinal))
}

/// Whether a reservation has this address. Of a count, pods' addresses go before others, then the lowest ones.
pub(crate) fn reservation_wants(
    index: &Index,
    reservation: &Reservation,
    keeper: &KeptFor,
    key: &ClaimKey,
    claim: &KnownClaim,
) -> bool {
    let address = key.1;
    *claim.subnet == *reservation.subnet
        && match &reservation.what {
            What::Pairs(pairs) => pairs.iter().any(|pair| pair.address == address),
            What::Ordinals(pairs) => pairs.values().any(|pair| pair.address == address),
            What::Set(set) => set.contains(address),
            What::Count(count) => {
                let rank = |key: &ClaimKey, claim: &KnownClaim| (!claim.is_active(), key.1);
                let own = rank(key, claim);
                let others =
                    index.claims_kept_for(keeper).filter(|(_, other)| *other.subnet == *reservation.subnet);
                let before = others.filter(|(key, other)| rank(key, other) < own).count();
                before < usize::try_from(*count).unwrap_or(usize::MAX)
            }
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{active, holding, kept, reservation, state_with_subnet};
    use crate::index::Uid;
    use crate::objects::StatefulSetObject;

    fn key(last: u8) -> ClaimKey {
        ("lan".into(), [10, 0, 0, last].into())
    }

    fn set(replicas: u32) -> StatefulSet {
        let text = format!(r#"{{"spec":{{"replicas":{replicas}}}}}"#);
        serde_json::from_str::<StatefulSetObject>(&text).unwrap().keep()
    }

    #[test]
    fn a_pod_is_missing_since_it_was_first_asked_for() {
        let mut index = state_with_subnet().index;
        index.show_claim(active("10.0.0.5", "web", "u1"));
        let pod = |index: &mut Index, now| index.facts(&key(5), Time(now)).unwrap().1.pod;
        assert_eq!(pod(&mut index, 10), Presence::Missing { since: Time(10), asked: false });
        assert_eq!(pod(&mut index, 20), Presence::Missing { since: Time(10), asked: false });
        // A write of the same owner changes nothing, another owner begins anew.
        index.show_claim(Claim { version: claims::Version(8), ..active("10.0.0.5", "web", "u1") });
        assert_eq!(pod(&mut index, 30), Presence::Missing { since: Time(10), asked: false });
        index.show_claim(Claim { version: claims::Version(9), ..active("10.0.0.5", "web", "u2") });
        assert_eq!(pod(&mut index, 40), Presence::Missing { since: Time(40), asked: false });
        index.pods.insert(Uid::new("u2"));
        assert_eq!(pod(&mut index, 50), Presence::There);
        index.pods.clear();
        assert_eq!(pod(&mut index, 60), Presence::Missing { since: Time(60), asked: false });
    }

    #[test]
    fn a_stateful_set_wants_the_addresses_of_its_ordinals() {
        let mut index = state_with_subnet().index;
        index.show_claim(holding(kept(active("10.0.0.5", "db-2", ""), Keeper::StatefulSet, "db")));
        let keeper = |index: &mut Index| index.facts(&key(5), Time(1)).unwrap().1.keeper;
        let missing = Presence::Missing { since: Time(1), asked: false };
        assert_eq!(keeper(&mut index), missing);
        let name = NetworkRef::new("shop", "db").unwrap();
        for (replicas, expected) in [(3, Presence::There), (2, missing)] {
            index.sets.insert(name.clone(), set(replicas));
            assert_eq!(keeper(&mut index), expected, "{replicas}");
        }
    }

    #[test]
    fn a_held_address_is_replaced_by_another_of_the_same_interface() {
        let mut index = state_with_subnet().index;
        index.show_claim(holding(kept(active("10.0.0.5", "db-2", ""), Keeper::StatefulSet, "db")));
        let replaced = |index: &mut Index| index.facts(&key(5), Time(1)).unwrap().1.replaced;
        index.show_claim(kept(active("10.0.0.6", "db-1", "u1"), Keeper::StatefulSet, "db"));
        assert!(!replaced(&mut index), "another pod's");
        index.show_claim(kept(active("10.0.0.7", "db-2", "u2"), Keeper::StatefulSet, "db"));
        assert!(replaced(&mut index));
    }

    #[test]
    fn a_count_wants_so_many_and_those_of_pods_first() {
        let mut state = state_with_subnet();
        for (address, pod) in [("10.0.0.5", ""), ("10.0.0.6", ""), ("10.0.0.7", "web")] {
            let claim = kept(active(address, pod, "u1"), Keeper::Reservation, "team");
            state.index.show_claim(if pod.is_empty() { holding(claim) } else { claim });
        }
        let wanted = |state: &mut crate::changes::State, count| {
            state.reservation_applied(reservation(serde_json::json!({"subnet": "lan4", "count": count})));
            let index = &mut state.index;
            [5, 6, 7].map(|last| index.facts(&key(last), Time(1)).unwrap().1.keeper == Presence::There)
        };
        assert_eq!(wanted(&mut state, 3), [true, true, true]);
        assert_eq!(wanted(&mut state, 2), [true, false, true]);
        assert_eq!(wanted(&mut state, 1), [false, false, true]);
    }

    #[test]
    fn a_reservation_wants_its_addresses_and_no_other() {
        let mut state = state_with_subnet();
        state.index.show_claim(holding(kept(active("10.0.0.5", "", ""), Keeper::Reservation, "team")));
        for (spec, wants) in [
            (serde_json::json!({"subnet": "lan4", "addresses": [{"ip": "10.0.0.5"}]}), true),
            (serde_json::json!({"subnet": "lan4", "addresses": [{"ip": "10.0.0.6"}]}), false),
            (serde_json::json!({"subnet": "lan4", "ranges": ["10.0.0.4-10.0.0.9"]}), true),
            (serde_json::json!({"subnet": "lan4", "ordinals": [{"ordinal": 3, "ip": "10.0.0.5"}]}), true),
            (serde_json::json!({"subnet": "other", "addresses": [{"ip": "10.0.0.5"}]}), false),
            // Two ways at once: it is not understood, and nothing is given away.
            (serde_json::json!({"subnet": "lan4", "count": 1, "ranges": ["10.0.0.9"]}), true),
        ] {
            state.reservation_applied(reservation(spec.clone()));
            let facts = state.index.facts(&key(5), Time(1)).unwrap().1;
            assert_eq!(facts.keeper == Presence::There, wants, "{spec}");
        }
    }
}
