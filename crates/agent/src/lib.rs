//! The agent of a node, as a library. So far: what it must not forget.
//!
//! [`Store`] holds the attachments of the node's pods. An intent is on disk before the first effect, and stays until the last
//! effect has been undone; so whatever happens between, what is left can be found and undone, without the API server and without
//! the network-attachment-definition. [`spool`] takes in what the plugin wrote while no agent was there.

mod cluster;
mod error;
mod runtime;
pub mod spool;
mod store;

pub use cluster::{Cluster, Found, PodKey, PodView};
pub use error::{Error, Result};
pub use runtime::{Runtime, Sandbox};
pub use store::{Attachment, Pod, Record, Store, Unreadable};
