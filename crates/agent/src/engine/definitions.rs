//! Where the resolver looks things up: the cluster's watches, and the node's configuration files.

use std::path::Path;
use std::sync::Arc;

use api::{Lookup, Nad, NetConfig, NetworkRef};

use super::{Config, Engine};
use crate::{Cluster, PodKey};

pub(super) struct Definitions<'a> {
    pub(super) cluster: &'a dyn Cluster,
    /// `confDir`.
    files: &'a Path,
    /// Whose devices; nobody has any.
    pod: Option<&'a PodKey>,
}

impl Engine {
    pub(super) fn definitions<'a>(&'a self, config: &'a Config, pod: Option<&'a PodKey>) -> Definitions<'a> {
        Definitions { cluster: self.cluster.as_ref(), files: config.conf_dir(), pod }
    }
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
