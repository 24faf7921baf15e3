//! `llano install`, `uninstall` and `status`: this node; `status` also of the cluster.

mod finish;
mod overview;
mod put;
mod status;
mod take;
mod token;

use std::path::PathBuf;

use ::install::Places;

pub(crate) use put::{Install, install};
pub(crate) use status::{StatusCommand, status};
pub(crate) use take::{Uninstall, uninstall};

/// Where the node is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Where {
    /// The node's root: a mounted disk, a host's root in a container
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// The plugins' directory on the node
    #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
    cni_bin_dir: PathBuf,
    /// The configurations' directory on the node
    #[arg(long, value_name = "DIR", default_value = "/etc/cni/net.d")]
    cni_conf_dir: PathBuf,
}

impl Where {
    fn places(&self) -> Places {
        Places::below(&self.root).with_cni(&self.cni_bin_dir, &self.cni_conf_dir)
    }
}
