//! The controller of a cluster: one of several works ([`lease`]), and keeps what nodes cannot keep by themselves.
//!
//! Watches put what they show into an index, and what has to be looked at because of it into a queue. One worker takes what is due:
//! a claim, whose end [`claims::controller`] decides; a reservation, which becomes held claims; a network's definitions; a subnet's
//! finalizer; and what their status says. What a watch does not show is asked of the API server before anything is given up.
//!
//! Every one of them, working or not, answers the API server's questions about new objects ([`webhook`]).

mod changes;
mod error;
#[cfg(test)]
mod fixtures;
mod index;
pub mod lease;
mod metrics;
mod nads;
mod objects;
mod queue;
mod reservations;
mod run;
mod server;
mod status;
mod statuses;
mod subnets;
mod watches;
pub mod webhook;
mod work;

pub use error::{Error, Result};
pub use run::{Controller, Options};

/// Now.
fn now() -> claims::Time {
    daemon::clock::now().into()
}
