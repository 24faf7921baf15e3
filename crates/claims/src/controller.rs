//! What the controller does with claims: gives up those of pods that are gone, collects what was held, and holds what
//! reservations reserve. A claim is never given up by guess: what a watch does not show is looked for in the API server first.

use std::net::IpAddr;
use std::time::Duration;

use kernel::MacAddr;

use crate::claim::{Claim, Hold, KeptFor, Owner, Reason, Time, Version};

/// What is known of an object that a claim names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// The watch shows it.
    There,
    /// The watch does not show it.
    Missing {
        /// Since when: since it was deleted, or since the claim was first seen without it.
        since: Time,
        /// Whether the API server itself, read since then, has said that it is not there.
        asked: bool,
    },
}

/// What is known of the surroundings of one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facts {
    /// The owner's pod, by its UID. For an empty UID: anything.
    pub pod: Presence,
    /// Whether the owner's node is ready: it can let go by itself.
    pub node_ready: bool,
    /// What the claim is kept for, as far as it wants this address: a StatefulSet that is scaled below the pod's ordinal, and a
    /// reservation without this address, are missing.
    pub keeper: Presence,
    /// Whether another claim has come in the place of this one (`replaces`).
    pub replaced: bool,
    /// How long the subnet's addresses rest.
    pub reuse_delay: Duration,
}

/// How long the controller waits before it gives a claim up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grace {
    /// For the agent of a ready node to do it.
    pub ready: Duration,
    /// For a node that is not ready, or does not exist.
    pub lost: Duration,
    /// For a StatefulSet or a reservation that is deleted and made again.
    pub keeper: Duration,
}

/// Two minutes for what should do it by itself, ten seconds where nobody is.
impl Default for Grace {
    fn default() -> Grace {
        Grace {
            ready: Duration::from_secs(120),
            lost: Duration::from_secs(10),
            keeper: Duration::from_secs(60),
        }
    }
}

/// What to do with a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing until something about it changes.
    Keep,
    /// Nothing before this time; then decide again.
    Later(Time),
    /// Read the pod (an active claim, or one held for a pod that may come back) from the API server, not from a cache.
    AskPod,
    /// The same for what the claim is kept for.
    AskKeeper,
    /// Update it to this.
    Update(Claim),
    /// Delete it, if it is still at this version.
    Delete(Claim),
}

/// What to do with a claim.
pub fn decide(claim: &Claim, facts: &Facts, grace: &Grace, now: Time) -> Decision {
    match &claim.hold {
        None => clear(claim, facts, grace, now),
        Some(hold) => collect(claim, hold, facts, grace, now),
    }
}

/// An active claim: its node should let go when the pod ends. Given up when the pod is gone and the node has not.
fn clear(claim: &Claim, facts: &Facts, grace: &Grace, now: Time) -> Decision {
    let grace = if facts.node_ready { grace.ready } else { grace.lost };
    when_missing(facts.pod, grace, now, Decision::AskPod, || {
        let after = claim.afterwards("", facts.reuse_delay, now);
        after.map_or_else(|| Decision::Delete(claim.clone()), Decision::Update)
    })
}

fn collect(claim: &Claim, hold: &Hold, facts: &Facts, grace: &Grace, now: Time) -> Decision {
    if let Some(until) = hold.until {
        if now < until {
            return Decision::Later(until);
        }
        return match claim.afterwards("", Duration::ZERO, now) {
            Some(kept) => Decision::Update(kept),
            None => Decision::Delete(claim.clone()),
        };
    }
    if facts.replaced {
        return Decision::Delete(claim.clone());
    }
    let keeper = when_missing(facts.keeper, grace.keeper, now, Decision::AskKeeper, || {
        Decision::Delete(claim.clone())
    });
    if keeper != Decision::Keep || claim.owner.uid.is_empty() {
        return keeper;
    }
    // The agent that let go of it did not know yet that the pod would not come back.
    when_missing(facts.pod, Duration::ZERO, now, Decision::AskPod, || {
        Decision::Update(claim.held(hold.clone(), ""))
    })
}

/// Whether a claim has come in the place of one that is held for a StatefulSet's pod: the same interface of the same pod
/// has another address now, because it wants another one, or its agent did not know of this one yet.
pub fn replaces(other: &Claim, held: &Claim) -> bool {
    let (new, old) = (&other.owner, &held.owner);
    held.hold.as_ref().is_some_and(|hold| hold.reason == Reason::StatefulSet)
        && other.kept_for == held.kept_for
        && (&new.namespace, &new.pod, &new.interface) == (&old.namespace, &old.pod, &old.interface)
        && (&other.network, other.address) != (&held.network, held.address)
        && (other.is_active() || other.version > held.version)
}

fn when_missing(
    presence: Presence,
    grace: Duration,
    now: Time,
    ask: Decision,
    then: impl FnOnce() -> Decision,
) -> Decision {
    let Presence::Missing { since, asked } = presence else { return Decision::Keep };
    let due = since.after(grace);
    if now < due {
        Decision::Later(due)
    } else if asked {
        then()
    } else {
        ask
    }
}

/// One address of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reserved {
    /// The network.
    pub network: String,
    /// The subnet.
    pub subnet: String,
    /// The address.
    pub address: IpAddr,
    /// The interface's hardware address, if the reservation says.
    pub mac: Option<MacAddr>,
    /// The reservation.
    pub kept_for: KeptFor,
}

/// What to do to have an address reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserve {
    /// Create this held claim.
    Create(Claim),
    /// Update the held claim to this: the reservation wants another MAC.
    Update(Claim),
    /// It is reserved.
    Done,
    /// It is somebody else's; when that claim has gone, ask again.
    Busy,
}

/// What to do to have an address reserved. `existing`: its claim, if there is one.
pub fn reserve(reserved: &Reserved, existing: Option<&Claim>, now: Time) -> Reserve {
    let Some(claim) = existing else {
        let hold = Hold { reason: reserved.kept_for.reason(), since: now, until: None, message: None };
        return Reserve::Create(Claim {
            network: reserved.network.clone(),
            subnet: reserved.subnet.clone(),
            address: reserved.address,
            mac: reserved.mac,
            owner: Owner { namespace: reserved.kept_for.namespace.clone(), ..Owner::default() },
            kept_for: Some(reserved.kept_for.clone()),
            hold: Some(hold),
            version: Version::default(),
        });
    };
    if claim.kept_for.as_ref() != Some(&reserved.kept_for) {
        return Reserve::Busy;
    }
    let held = claim.hold.as_ref().is_some_and(|hold| hold.reason == Reason::Reservation);
    if held && reserved.mac.is_some() && claim.mac != reserved.mac {
        return Reserve::Update(Claim { mac: reserved.mac, ..claim.clone() });
    }
    Reserve::Done
}
