//! DHCPv4: what a lease says, and the client that gets, keeps and returns one.

mod client;
mod contract;
mod held;
mod lease;
#[cfg(test)]
mod simulation;

pub use client::Client;
pub use contract::{Action, Config, Counters, Phase, Probe, Retransmission};
pub use held::Held;
pub use lease::{Lease, Route};
