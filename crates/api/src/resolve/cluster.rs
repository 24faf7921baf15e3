//! The cluster's own network: the one that pods have without asking.

use std::path::Path;

use crate::error::shorten;
use crate::{Error, NetConfig, NetworkRef, Result, disk};

/// `clusterNetwork`.
#[derive(Debug, Clone, PartialEq)]
pub enum ClusterNetwork {
    /// A configuration of the node: the primary CNI's.
    Configuration(NetConfig),
    /// A definition.
    Definition(NetworkRef),
    /// A definition of the system namespace, else a configuration of the node.
    Named(String),
}

impl ClusterNetwork {
    /// Multus's text: the path of a file, or of a directory whose first configuration counts; or a name. Differs:
    /// `NAMESPACE/NAME` is a definition (a path begins with `/`).
    ///
    /// # Errors
    /// [`Error::Configuration`] when it is neither, or the file cannot be read.
    pub fn from_text(text: &str) -> Result<ClusterNetwork> {
        let path = Path::new(text);
        if path.is_absolute() {
            let config = if path.is_dir() { disk::first(path, &|_| true) } else { disk::file(path) };
            return config.map(ClusterNetwork::Configuration);
        }
        let problem = || Error::Configuration {
            origin: format!("clusterNetwork {:?}", shorten(text)),
            problem: "expected NAME, NAMESPACE/NAME or an absolute path".to_owned(),
        };
        match text.split_once('/') {
            Some((namespace, name)) => {
                NetworkRef::new(namespace, name).map(ClusterNetwork::Definition).ok_or_else(problem)
            }
            None if text.is_empty() => Err(problem()),
            None => Ok(ClusterNetwork::Named(text.to_owned())),
        }
    }
}
