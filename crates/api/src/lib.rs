//! Kubernetes' words for networks: pod annotations and network-attachment-definitions, checked and turned into an
//! ordered list of delegate calls. Pure: no client, no runtime, no system call but the reading of configuration files.
//!
//! The way through: [`Selections::parse`] reads an annotation, [`Nad::new`] a definition, [`resolve`] puts both and the
//! [`Options`] of the cluster together into a [`Plan`] of [`DelegateCall`]s, [`sequence::add`] runs it against a
//! [`Delegate`] and says the [`status`] annotation, the events and the result. [`hotplug::change`] compares a running pod
//! with a changed annotation. [`addresses`] reads which addresses a pod asks for, and says which subnets that leads to.
//!
//! [`kinds`] are the objects of our own group, with their schemas and parsed forms.
//!
//! The reference is the multi-network specification 1.3 and what Multus 4 makes of it; a comment starting with "Differs:"
//! marks each place where we depart from Multus on purpose, and `docs/annotations.md` lists them.

pub mod addresses;
mod caller;
mod capability;
mod config;
pub mod disk;
mod error;
pub mod event;
pub mod hotplug;
mod isolation;
pub mod kinds;
mod mac;
mod nad;
mod name;
mod place;
mod resolve;
mod role;
mod route;
mod selection;
pub mod sequence;
pub mod settings;
pub mod status;

pub use caller::Caller;
pub use cni::json::Value;
pub use config::{NetConfig, PluginConfig};
pub use error::{Error, Result};
pub use event::Event;
pub use isolation::Isolation;
pub use mac::{Mac, NoMac};
pub use nad::{Nad, NadSource};
pub use name::{IfName, NetworkRef};
pub use resolve::{
    ClusterNetwork, DefaultRoute, DelegateCall, Device, Lookup, Network, Options, Plan, Pod, Sandbox, resolve,
};
pub use role::{Role, check_beside, check_first, is_standalone};
pub use route::{Families, RouteChange, default_routes};
pub use selection::{Bandwidth, PortMapping, Selection, Selections};
pub use sequence::Delegate;

/// The pod annotation that asks for more networks.
pub const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
/// The pod annotation that replaces the pod's first network.
pub const DEFAULT_NETWORK: &str = "v1.multus-cni.io/default-network";
/// The pod annotation that says what was made.
pub const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";
/// The definition's annotation with the resource whose devices it uses.
pub const RESOURCE_NAME: &str = "k8s.v1.cni.cncf.io/resourceName";
/// The definition's label with its [`Role`].
pub const ROLE: &str = "llano.dev/role";

/// Most bytes of a networks annotation; Kubernetes allows 256 KiB for all annotations of an object together.
pub const LONGEST_ANNOTATION: usize = 64 << 10;
/// Most networks of one pod.
pub const MOST_NETWORKS: usize = 128;
/// Most bytes of a network's configuration: with what is injected it stays below the contract's 1 MiB.
pub const LONGEST_CONFIG: usize = 512 << 10;
