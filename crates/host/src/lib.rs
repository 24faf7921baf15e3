//! The network of a host: wanted state, difference, apply, verify, roll back.
//!
//! A [`Network`] is what one namespace has, by names, so that it outlives indices and reboots. Everything here turns one
//! network into another: a declared state is merged into the current network to give the wanted one, and what is rolled
//! back is only an earlier network that is wanted again.

mod apply;
pub mod carried;
mod difference;
mod error;
pub mod files;
pub mod host_access;
pub mod keep;
mod move_address;
mod network;
pub mod owner;
pub mod plan;
pub mod pod_vlan;
mod read;
mod same;
pub mod state;
mod sysctls;
pub mod unit;
mod wanted;

pub use apply::{Here, Report, apply, converge, verify};
pub use difference::{Change, Difference};
pub use error::{Error, Result};
pub use move_address::{MoveAddress, declaration};
pub use network::{Bond, Hop, Kind, Link, Network, Route};
pub use plan::{LinkChange, Plan, Step};
pub use state::State;
pub use wanted::Wanted;
