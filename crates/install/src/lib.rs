//! Llano on a node: the plugin's files in the CNI directories, a configuration around the one of the primary plugin, and all of
//! it given back.
//!
//! [`Installation::install`] writes the files, [`Follower`] keeps the configuration true to the primary's, [`Installation::uninstall`]
//! gives back what was. What was there and what we wrote is on disk (the [`Manifest`]) before the first change, so that each of them can
//! be killed anywhere and run again.

mod choose;
mod conflist;
mod content;
mod durable;
mod error;
mod follow;
mod installation;
mod lock;
mod manifest;
mod places;
mod runtime;
mod service;
mod status;
mod tree;

pub use choose::{Choice, Found, choose};
pub use conflist::{CONFLIST, ClusterNetwork, Conflist};
pub use error::{Error, Result};
pub use follow::{Follower, State, Stopper};
pub use installation::{Given, Installation, LINKS, Options, Plugin, Step};
pub use lock::Lock;
pub use manifest::{Before, Entry, Manifest, Wrote};
pub use places::Places;
pub use runtime::cni_version;
pub use service::{KUBECONFIG, Service, UNIT};
pub use status::{FileState, FileStatus, Status};
