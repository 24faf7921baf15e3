//! Who may make, change and delete which claim. The admission policy of the API server says the same.
//!
//! | who | from | to | and |
//! |---|---|---|---|
//! | agent | – | active, own node | |
//! | agent | active, own node | active, own node | the same pod, UID and interface: renewed |
//! | agent | active, own node | held | the same pod and interface, the same UID or none |
//! | agent | held for a StatefulSet | active, own node | the same pod and interface: taken |
//! | agent | held for a reservation | active, own node | no UID in it, or the same UID, or the same pod: taken |
//! | agent | active, own node | – | |
//! | controller | any or – | held | |
//! | controller | active | active | the same owner |
//! | controller | any | – | |
//!
//! Always: network, subnet and address stay. Active: a whole owner. Held: no node; for a StatefulSet or a reservation only
//! with the like in `kept_for`, for a reuse delay only without, for this and a quarantine only with an end. What it is kept
//! for has the owner's namespace, and only the controller changes it.

use std::fmt;
use std::net::IpAddr;

use crate::claim::{Claim, Keeper, Reason};

/// Who wants to write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The agent of the node with this name, as its token says.
    Agent(String),
    /// The controller.
    Controller,
}

/// Why a write is refused. Each says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("claim of {address} in network {network}: {why}")]
pub struct Refusal {
    /// The claim's network.
    pub network: String,
    /// The claim's address.
    pub address: IpAddr,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The agent's token names no node.
    #[error(
        "the agent's token names no node; allowed are tokens that are bound to a node or to a pod on one"
    )]
    NoNode,
    /// A field that never changes would.
    #[error("spec.{0} cannot change; another address is another claim")]
    Fixed(&'static str),
    /// Active without all that an owner is.
    #[error("an active claim needs spec.owner.{0}; without an owner spec.hold must say why")]
    NoOwner(&'static str),
    /// Held, and yet a node's.
    #[error("a held claim must have an empty spec.owner.node, not {0:?}")]
    HeldByNode(String),
    /// The reason of the hold does not fit.
    #[error("spec.hold.reason {0} needs {1}")]
    Hold(Reason, &'static str),
    /// Kept for something in another namespace than the pod's.
    #[error("spec.keptFor.namespace must be the owner's, {0:?}")]
    Namespace(String),
    /// A node would write another one's claim.
    #[error("it belongs to node {owner:?}; node {node:?} may write its own and take held ones")]
    Foreign {
        /// The node that the claim belongs to; empty when it is held.
        owner: String,
        /// The node that wants to write.
        node: String,
    },
    /// An agent would make a held claim or delete one, or make one for another node.
    #[error("node {node:?} may only {what} active claims with its own name in spec.owner.node")]
    OwnOnly {
        /// The node that wants to write.
        node: String,
        /// The verb.
        what: &'static str,
    },
    /// An active claim would pass from pod to pod.
    #[error(
        "the active claim of pod UID {0:?} cannot become another pod's; it must be held or deleted first"
    )]
    OtherPod(String),
    /// A held claim that is nobody's to take.
    #[error("a claim held for {0} cannot be taken; it is free when the hold has ended")]
    NotToTake(Reason),
    /// Held for another pod than the one that would take it.
    #[error("it is kept for pod {0}; only that pod may take it")]
    KeptForPod(String),
    /// The pod that had it may still come back.
    #[error("the pod that had it (UID {0:?}) still exists; another pod may take it when that one is gone")]
    StillThere(String),
    /// An agent would change what the address is kept for.
    #[error("only the controller may change spec.keptFor")]
    KeptFor,
    /// The controller would give an address to a pod.
    #[error("the controller may not set spec.owner.node; only the node's own agent may")]
    ControllerGives,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Whether the actor may turn a claim from `before` into `after`; `None` is a claim that is not there.
///
/// # Errors
/// Which rule forbids it.
pub fn allowed(actor: &Actor, before: Option<&Claim>, after: Option<&Claim>) -> Result<(), Refusal> {
    let Some(claim) = after.or(before) else { return Ok(()) };
    judge(actor, before, after).map_err(|why| Refusal {
        network: claim.network.clone(),
        address: claim.address,
        why,
    })
}

fn judge(actor: &Actor, before: Option<&Claim>, after: Option<&Claim>) -> Result<(), Why> {
    if let Actor::Agent(node) = actor
        && node.is_empty()
    {
        return Err(Why::NoNode);
    }
    if let Some(after) = after {
        is_whole(after)?;
    }
    if let (Some(before), Some(after)) = (before, after) {
        is_same_address(before, after)?;
    }
    match actor {
        Actor::Agent(node) => agent_may(node, before, after),
        Actor::Controller => controller_may(before, after),
    }
}

/// What holds for every claim, whoever writes it.
fn is_whole(claim: &Claim) -> Result<(), Why> {
    let owner = &claim.owner;
    if let Some(kept_for) = &claim.kept_for
        && kept_for.namespace != owner.namespace
    {
        return Err(Why::Namespace(owner.namespace.clone()));
    }
    let Some(hold) = &claim.hold else {
        let fields = [
            ("node", &owner.node),
            ("namespace", &owner.namespace),
            ("pod", &owner.pod),
            ("uid", &owner.uid),
            ("containerID", &owner.container_id),
            ("interface", &owner.interface),
        ];
        return match fields.iter().find(|(_, value)| value.is_empty()) {
            Some((name, _)) => Err(Why::NoOwner(name)),
            None => Ok(()),
        };
    };
    if !owner.node.is_empty() {
        return Err(Why::HeldByNode(owner.node.clone()));
    }
    let kind = claim.kept_for.as_ref().map(|kept_for| kept_for.kind);
    match hold.reason {
        Reason::StatefulSet if kind != Some(Keeper::StatefulSet) => {
            Err(Why::Hold(hold.reason, "a StatefulSet in spec.keptFor"))
        }
        Reason::Reservation if kind != Some(Keeper::Reservation) => {
            Err(Why::Hold(hold.reason, "a Reservation in spec.keptFor"))
        }
        Reason::ReuseDelay if kind.is_some() => Err(Why::Hold(hold.reason, "an empty spec.keptFor")),
        Reason::ReuseDelay | Reason::Quarantine if hold.until.is_none() => {
            Err(Why::Hold(hold.reason, "spec.hold.until"))
        }
        _ => Ok(()),
    }
}

fn is_same_address(before: &Claim, after: &Claim) -> Result<(), Why> {
    if before.network != after.network {
        return Err(Why::Fixed("network"));
    }
    if before.subnet != after.subnet {
        return Err(Why::Fixed("subnet"));
    }
    if before.address != after.address {
        return Err(Why::Fixed("address"));
    }
    Ok(())
}

fn agent_may(node: &str, before: Option<&Claim>, after: Option<&Claim>) -> Result<(), Why> {
    let own_only = |what| Why::OwnOnly { node: node.to_owned(), what };
    let (before, after) = match (before, after) {
        (None, None) => return Ok(()),
        (None, Some(after)) if after.owner.node == node => return Ok(()),
        (None, Some(_)) => return Err(own_only("create")),
        (Some(before), None) if before.owner.node == node => return Ok(()),
        (Some(_), None) => return Err(own_only("delete")),
        (Some(before), Some(after)) => (before, after),
    };
    let foreign = |owner: &str| Why::Foreign { owner: owner.to_owned(), node: node.to_owned() };
    if before.kept_for != after.kept_for {
        return Err(Why::KeptFor);
    }
    let (was, is) = (&before.owner, &after.owner);
    if !is.node.is_empty() && is.node != node {
        return Err(foreign(&is.node));
    }
    if was.node == node {
        // Renewed for a new sandbox of the same pod, or let go.
        let same_pod = was.namespace == is.namespace && was.pod == is.pod && was.interface == is.interface;
        let same_uid = was.uid == is.uid || (is.node.is_empty() && is.uid.is_empty());
        return if same_pod && same_uid { Ok(()) } else { Err(Why::OtherPod(was.uid.clone())) };
    }
    if !was.node.is_empty() || is.node.is_empty() {
        return Err(foreign(&was.node));
    }
    may_take(before, after)
}

fn may_take(held: &Claim, taken: &Claim) -> Result<(), Why> {
    let (was, is) = (&held.owner, &taken.owner);
    let same_pod = was.namespace == is.namespace && was.pod == is.pod;
    match held.hold.as_ref().map(|hold| hold.reason) {
        Some(Reason::StatefulSet) if !same_pod || was.interface != is.interface => {
            Err(Why::KeptForPod(format!("{}/{} ({})", was.namespace, was.pod, was.interface)))
        }
        // Names are unique: a pod of the same name with another UID comes after the one that had it.
        Some(Reason::Reservation) if !was.uid.is_empty() && was.uid != is.uid && !same_pod => {
            Err(Why::StillThere(was.uid.clone()))
        }
        Some(reason @ (Reason::ReuseDelay | Reason::Quarantine)) => Err(Why::NotToTake(reason)),
        _ => Ok(()),
    }
}

fn controller_may(before: Option<&Claim>, after: Option<&Claim>) -> Result<(), Why> {
    let Some(after) = after else { return Ok(()) };
    let same_owner = before.is_some_and(|before| before.owner == after.owner);
    if after.owner.node.is_empty() || same_owner { Ok(()) } else { Err(Why::ControllerGives) }
}
