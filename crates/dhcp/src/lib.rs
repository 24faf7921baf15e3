//! DHCP for attachments: a daemon that gets, keeps and returns the leases of a node's pods.
//!
//! | module | what it does |
//! |---|---|
//! | [`wire`] | messages and frames, hostile bytes welcome |
//! | [`v4`], [`v6`] | the clients as state machines without I/O, with injected time and randomness |
//! | [`settings`], [`answer`] | the configuration's keys in, a CNI result out |
//! | [`identity`] | client identifier, DUID, IAID |
//! | [`daemon`] | the poll loop that drives them |

pub mod answer;
pub mod clock;
pub mod daemon;
mod error;
pub mod identity;
pub mod settings;
pub mod v4;
pub mod v6;
pub mod wire;

pub use error::{Error, Result};
