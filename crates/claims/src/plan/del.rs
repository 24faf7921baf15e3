use std::time::Duration;

use crate::claim::{Claim, Hold, Reason, Time};

/// What to do with the claim of an interface that has gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// Update it to this: it is held.
    Hold(Claim),
    /// Delete it, if it is still at this version.
    Release(Claim),
    /// It is not this interface's. Touch nothing.
    Nothing,
}

/// What becomes of a claim when the interface of this sandbox is gone. `claim`: the one that the interface had, as
/// it is known now. `pod_ends`: the pod is being deleted, has finished or is gone, so that it never gets another
/// sandbox; if that is not known, say `false`, and the controller finds out.
pub fn del(
    node: &str,
    container_id: &str,
    interface: &str,
    claim: Option<&Claim>,
    pod_ends: bool,
    reuse_delay: Duration,
    now: Time,
) -> After {
    let Some(claim) = claim.filter(|claim| claim.is_of(node, container_id, interface)) else {
        return After::Nothing;
    };
    let uid = if pod_ends { "" } else { claim.owner.uid.as_str() };
    claim.afterwards(uid, reuse_delay, now).map_or_else(|| After::Release(claim.clone()), After::Hold)
}

/// This node's claim turned into a quarantine, because somebody else on the wire answers for the address. What it is
/// kept for stays.
pub fn quarantine(claim: &Claim, until: Time, now: Time, message: &str) -> Claim {
    let message = Some(message.to_owned());
    claim.held(Hold { reason: Reason::Quarantine, since: now, until: Some(until), message }, "")
}
