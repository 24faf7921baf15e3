//! DHCPv4: what a lease says, and the client that gets, keeps and returns one.

mod client;
mod held;
mod lease;
#[cfg(test)]
mod simulation;

pub use client::{Action, Client, Config, Counters, Phase, Probe, Retransmission};
pub use held::Held;
pub use lease::{Lease, Route};
