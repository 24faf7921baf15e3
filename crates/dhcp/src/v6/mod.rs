//! DHCPv6: what a lease says, and the client that gets, keeps and returns one.

mod client;
mod contract;
mod lease;
mod message;
mod retransmit;
#[cfg(test)]
mod simulation;

pub use client::Client;
pub use contract::{Action, Config, Counters, Phase};
pub use lease::{Held, Lease, LeasedAddress};
pub use retransmit::{Parameters, Retransmit};
