//! What a network shall become.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Network;

/// The whole wanted network, and what of it may be touched.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// All links, routes and rules as they shall be; those that are not affected as they were read.
    pub network: Network,
    /// The links that may be made, changed and deleted, with their addresses, neighbours and routes.
    pub affected: BTreeSet<String>,
    /// Whether rules may be changed.
    pub rules: bool,
}
