//! The next step of an agent. Each step is one write, which the API server may refuse; then what is known has changed
//! (`Taken::refused`, `Taken::outdated`, or the watch), and the plan is made again.

mod add;
mod del;
mod fence;

pub use add::{Identity, Next, Request, Waiting, add};
pub use del::{After, del, quarantine};
pub use fence::{Attached, must_fence, orphans};

use crate::claim::Claim;

/// What became of a write whose answer did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It had its effect: the claim that was read is what it made.
    Done,
    /// It has had none yet, and may still have it: only sending the very same write again is safe.
    Again,
    /// It was refused, or will be.
    Refused,
}

/// What became of a create or an update whose answer did not come, from the claim as it is read then (`found`; `None`:
/// there is none).
pub fn outcome(sent: &Claim, found: Option<&Claim>) -> Outcome {
    let creates = sent.version.0 == 0;
    match found {
        // No two writes leave the same owner, or the same hold of it.
        Some(found) if found.owner == sent.owner && found.hold == sent.hold => Outcome::Done,
        Some(found) if !creates && found.version == sent.version => Outcome::Again,
        None if creates => Outcome::Again,
        _ => Outcome::Refused,
    }
}
