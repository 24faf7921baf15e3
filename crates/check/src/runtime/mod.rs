//! CNI's directories, configurations and plugins.

mod configs;
mod plugins;

pub(crate) use configs::{configs, directories, masters, names};
pub(crate) use plugins::{dhcp_daemon, plugins};
