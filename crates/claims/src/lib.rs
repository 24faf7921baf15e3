//! Claims of a cluster's addresses, as decisions without effects.
//!
//! A claim is one object of the API server, named after its network and address; creating it is the claim. Each step in
//! its life is one create, one update with the version that was seen, or one delete with it, so the API server
//! decides between two who want the same. This crate says which step is next (`plan` for a node's agent, `controller`
//! for the controller), which address to try (`Place`), what an agent knows (`Taken`), and who may do what (`allowed`).
//! Who calls it does the reading and writing and gives the clock in. A model of agents, controller and API server
//! that crash and lag (`tests/model`) calls these same functions.

mod choice;
mod claim;
pub mod controller;
mod object;
pub mod plan;
mod rules;
mod run;
mod taken;

pub use choice::{CREATES_AT_ONCE, Place};
pub use claim::{Claim, Hold, Keeper, KeptFor, Owner, Reason, Time, Version};
pub use object::mac_addr;
pub use rules::{Actor, Refusal, allowed};
pub use run::{Run, size};
pub use taken::{Event, Kept, Network, Numbers, Taken};
