//! Standalone and overlay: which networks can be together in one pod.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, NetConfig, NetworkRef, Result};

/// What a network is for, from the definition's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It gives the pod its first interface, and may give it more.
    Standalone,
    /// It is an extra interface of a pod whose first is another network's.
    Overlay,
}

impl Role {
    /// The role of exactly this label value.
    pub fn from_text(text: &str) -> Option<Role> {
        [Role::Standalone, Role::Overlay].into_iter().find(|role| role.as_str() == text)
    }

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Standalone => "standalone",
            Role::Overlay => "overlay",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the pod's first network is one on which standalone networks can stand: its label says so, or it has no label
/// and is on the LAN by its type.
pub fn is_standalone(role: Option<Role>, config: &NetConfig) -> bool {
    match role {
        Some(role) => role == Role::Standalone,
        None => config.plugins().first().is_some_and(|plugin| matches!(plugin.kind(), "macvlan" | "llano")),
    }
}

/// Refuses a definition as the pod's first network.
///
/// # Errors
/// It is an overlay network.
pub fn check_first(network: &NetworkRef, role: Option<Role>) -> Result<()> {
    match role {
        Some(Role::Overlay) => Err(Error::OverlayFirst { network: network.clone() }),
        _ => Ok(()),
    }
}

/// Refuses a definition beside the pod's first network, which `first` names. A definition without label goes with
/// everything.
///
/// # Errors
/// One of the two is standalone and the other is not.
pub fn check_beside(
    network: &NetworkRef,
    role: Option<Role>,
    first: &str,
    first_is_standalone: bool,
) -> Result<()> {
    let (network, first) = (network.clone(), first.to_owned());
    match role {
        Some(Role::Standalone) if !first_is_standalone => Err(Error::StandaloneBeside { network, first }),
        Some(Role::Overlay) if first_is_standalone => Err(Error::OverlayBeside { network, first }),
        _ => Ok(()),
    }
}
