//! What makes a change of the network safe: it is written down before it begins, and taken back by whoever finds that
//! it did not come to its end.
//!
//! `pending.json` holds the network before, the wanted one and both declared states. Its stage decides what becomes of
//! it: `applying` and its author dead, or `waiting` and the time over, is rolled back; `confirmed` is finished. The
//! author itself, the watchdog, and the next command all act by that rule, under one lock, so that it does not matter
//! who dies when.

mod boot;
mod change;
mod clock;
mod declare;
pub(crate) mod durable;
mod history;
mod keeper;
mod lock;
mod pending;
mod places;
mod process;
mod restore;
#[cfg(test)]
mod tests;
mod undo;
mod watchdog;

pub use self::durable::write as write_durably;
pub use boot::{Booted, Boots, boot};
pub use change::{Change, Machinery, Outcome};
pub use clock::boot_id;
pub use declare::{How, Planned, declare, declared_state, plan, words_for};
pub use history::{Entry, Fate, History, Numbered};
pub(crate) use keeper::declared as declared_text;
pub use keeper::{Keeper, Recovered, Told};
pub use lock::Held;
pub(crate) use lock::Lock;
pub use pending::{Pending, Stage};
pub use places::Places;
pub use process::Process;
pub use restore::restored;
pub use undo::Undoing;
pub use watchdog::{Launcher, Watchdog};
