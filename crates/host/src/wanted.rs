//! What a network shall become.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Network;
use crate::state::HostAccess;

/// The whole wanted network, and what of it may be touched.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// All links, routes and rules as they shall be; those that are not affected as they were read.
    pub network: Network,
    /// The links that may be made, changed and deleted, with their addresses, neighbours and routes.
    pub affected: BTreeSet<String>,
    /// Whether rules, and routes without an interface, may be changed.
    pub rules: bool,
    /// What goes without having been named, in words for people.
    pub notes: Vec<String>,
    /// Parents whose containers the host shall reach, or no longer.
    pub host_access: BTreeMap<String, HostAccess>,
}

impl Wanted {
    /// An earlier network, as far as it differs in these links: what roll back and undo converge to.
    pub fn back_to(before: Network, affected: BTreeSet<String>, rules: bool) -> Self {
        Self { network: before, affected, rules, ..Self::default() }
    }
}
