//! From a pod's annotations to an ordered list of delegate calls.

mod call;
mod cluster;
mod networks;

use std::path::PathBuf;
use std::sync::Arc;

use cni::json::Value;

pub use call::{DefaultRoute, DelegateCall, Device, Network};
pub use cluster::ClusterNetwork;
pub(crate) use networks::Resolver;

use crate::{Event, Isolation, Nad, NetConfig, NetworkRef, Result};

/// The pod, as far as its networks go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pod<'a> {
    /// `metadata.namespace`.
    pub namespace: &'a str,
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.uid`.
    pub uid: &'a str,
    /// The annotation [`crate::NETWORKS`].
    pub networks: Option<&'a str>,
    /// The annotation [`crate::DEFAULT_NETWORK`].
    pub default_network: Option<&'a str>,
}

/// The pod's sandbox: what the runtime called us with.
#[derive(Debug, Clone, Copy)]
pub struct Sandbox<'a> {
    /// `CNI_CONTAINERID`.
    pub container_id: &'a str,
    /// `CNI_IFNAME`: the first interface.
    pub ifname: &'a str,
    /// `CNI_ARGS`.
    pub args: &'a str,
    /// `runtimeConfig` of our own configuration: for the first network and no other.
    pub runtime_config: Option<&'a Value>,
}

/// What the cluster's administrator has set.
#[derive(Debug, Clone)]
pub struct Options {
    /// `clusterNetwork`.
    pub cluster: ClusterNetwork,
    /// `defaultNetworks`, found as the cluster's network is. Each pod has them beside its first network.
    pub default_networks: Vec<ClusterNetwork>,
    /// `systemNamespaces`: whose pods have no default networks.
    pub system_namespaces: Vec<String>,
    /// `multusNamespace`: where definitions are that are named without namespace, but not in [`crate::NETWORKS`].
    pub system_namespace: String,
    /// `namespaceIsolation` and `globalNamespaces`.
    pub isolation: Isolation,
    /// `dataDirs`: where definitions may let plugins keep files, beside CNI's own directories.
    pub data_dirs: Vec<PathBuf>,
}

impl Options {
    /// Multus's defaults, around this first network.
    pub fn new(cluster: ClusterNetwork) -> Options {
        Options {
            cluster,
            default_networks: Vec::new(),
            system_namespaces: vec!["kube-system".to_owned()],
            system_namespace: "kube-system".to_owned(),
            isolation: Isolation::default(),
            data_dirs: Vec::new(),
        }
    }
}

/// Where definitions, configurations and devices are looked up.
pub trait Lookup {
    /// The definition.
    ///
    /// # Errors
    /// [`crate::Error::NoNetwork`], or what [`Nad::new`] said of it.
    fn definition(&self, network: &NetworkRef) -> Result<Arc<Nad>>;

    /// The node's configuration of this name; see [`crate::disk::by_name`].
    ///
    /// # Errors
    /// [`crate::Error::Configuration`].
    fn configuration(&self, name: &str) -> Result<NetConfig>;

    /// The IDs of the pod's devices of a resource, in a stable order; none when it has none.
    ///
    /// # Errors
    /// They cannot be told now.
    fn devices(&self, resource: &str) -> Result<Vec<String>>;
}

/// What is to be done for a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The calls, in the order of ADD. The first is the pod's first interface.
    pub calls: Vec<DelegateCall>,
    /// What the pod's owner should know although nothing failed.
    pub events: Vec<Event>,
}

/// What a pod asks for, as delegate calls: its first network, the default networks, those of its annotation.
///
/// # Errors
/// Everything in [`crate::Error`]: nothing is left out of a plan in silence.
pub fn resolve(pod: &Pod<'_>, sandbox: &Sandbox<'_>, options: &Options, lookup: &dyn Lookup) -> Result<Plan> {
    let mut resolver = Resolver::new(pod, sandbox, options, lookup);
    resolver.first()?;
    resolver.default_networks()?;
    resolver.annotation()?;
    resolver.finish()
}
