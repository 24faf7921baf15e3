//! The agent of a node, as a library.
//!
//! [`Engine`] serves the plugin's calls: it makes and deletes the interfaces of pods.
//! [`Store`] holds the attachments of the node's pods. An intent is on disk before the first effect, and stays until the last
//! effect has been undone; so whatever happens between, what is left can be found and undone, without the API server and without
//! the network-attachment-definition. [`spool`] takes in what the plugin wrote while no agent was there.

pub mod claims;
mod cluster;
pub mod engine;
mod error;
mod grpc;
pub mod kube;
pub mod metrics;
mod runtime;
pub mod server;
pub mod spool;
mod store;

pub use cluster::{Addressing, Cluster, Controller, Devices, Found, PodKey, PodView};
pub use daemon::Driver;
pub use engine::{Config, Engine, Limits, Reply, Setup};
pub use error::{Error, Result};
pub use grpc::{ContainerRuntime, PodResources, RuntimeVersion};
pub use runtime::{Runtime, Sandbox};
pub use store::{Attachment, Pod, Record, Store, Unreadable};
