//! The one recipe for an attachment: plan, apply, undo, check, probe, announce.
//!
//! An attachment is one interface of one pod on one network. Every plugin type that Llano answers to
//! is a module here, and a [`cni::Plugin`]; the plugin binary only picks one by the name it was called by,
//! and the agent calls the same code.
//!
//! | module | what it does |
//! |---|---|
//! | [`macvlan`], [`vlan`], [`loopback`] | make a pod's link |
//! | [`link`] | what they share: create in the pod's namespace, configure, undo, compare |
//! | [`probe`] | RFC 5227 probes, DAD solicitations and announcements |
//! | [`host_access`] | the shim that lets a host talk to its own pods |
//! | [`ipam`] | where addresses come from |
//! | [`agent`] | `type: llano`: asks the node's agent |
//! | [`types`] | which of them a name means |
//! | [`tuning`], [`sbr`], [`bandwidth`] | change a link that an earlier plugin of the chain made |

mod addresses;
pub mod agent;
pub mod bandwidth;
mod error;
pub mod host_access;
pub mod ipam;
pub mod link;
pub mod loopback;
pub mod macvlan;
pub mod paths;
pub mod probe;
pub mod sbr;
mod spool;
pub mod tuning;
pub mod types;
pub mod vlan;
mod warning;

pub use error::{CODE_ADDRESS_IN_USE, CODE_MISMATCH, Error, Result};
