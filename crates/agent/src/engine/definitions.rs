//! Where the resolver looks things up: the cluster's watches, and the node's configuration files.

use std::path::Path;
use std::sync::Arc;

use api::{Lookup, Nad, NetConfig, NetworkRef};

use crate::{Cluster, PodKey};

pub(super) struct Definitions<'a> {
    pub(super) cluster: &'a dyn Cluster,
    /// `confDir`.
    pub(super) files: &'a Path,
    pub(super) pod: Option<&'a PodKey>,
}

impl Lookup for Definitions<'_> {
    fn definition(&self, network: &NetworkRef) -> api::Result<Arc<Nad>> {
        self.cluster.definition(network)
    }

    fn configuration(&self, name: &str) -> api::Result<NetConfig> {
        api::disk::by_name(self.files, name)
    }

    fn devices(&self, resource: &str) -> api::Result<Vec<String>> {
        self.pod.map_or(Ok(Vec::new()), |pod| self.cluster.devices(pod, resource))
    }
}
