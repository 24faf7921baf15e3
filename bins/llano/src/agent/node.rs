//! What the node tells when nobody says it.

use std::path::{Path, PathBuf};

/// Sockets of container runtimes, in the order in which they are tried.
const RUNTIMES: [&str; 3] =
    ["/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock", "/run/crio/crio.sock"];

/// The node's name: a pod is told it by its environment; kubelet calls a node by the host's name in lower case.
pub(crate) fn name() -> String {
    let told = ["NODE_NAME", "LLANO_NODE_NAME"].into_iter().filter_map(|key| std::env::var(key).ok());
    let told = told.map(|name| name.trim().to_owned()).find(|name| !name.is_empty());
    told.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().to_lowercase())
}

/// The runtime's socket; containerd's when none is there yet.
pub(crate) fn runtime() -> PathBuf {
    let there = RUNTIMES.into_iter().find(|path| Path::new(path).exists());
    PathBuf::from(there.unwrap_or(RUNTIMES[0]))
}
