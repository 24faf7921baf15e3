//! What a lab is made of: hosts, routers, switches and the wires between them.

pub(crate) use check::is_name;

mod check;
mod parse;
mod yaml;

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use kernel::MacAddr;

use crate::error::{Error, Result};

/// A lab's description whose invariants hold: names are unique and short enough for the kernel, every interface
/// has exactly one wire, every switch and peer that is named exists, gateways are reachable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabSpec {
    /// Hosts and routers, in the order they were written.
    pub nodes: Vec<NodeSpec>,
    /// Switches.
    pub switches: Vec<SwitchSpec>,
    /// Wires between two interfaces, or between two switches.
    pub links: Vec<LinkSpec>,
    source: String,
}

/// A host or a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its name, unique in the lab.
    pub name: String,
    /// Host or router.
    pub role: Role,
    /// Its interfaces.
    pub interfaces: Vec<InterfaceSpec>,
    /// Default gateways, at most one of each family.
    pub gateways: Vec<IpAddr>,
    /// Further routes.
    pub routes: Vec<RouteSpec>,
    /// Kernel settings below /proc/sys, with slashes (`net/ipv4/conf/all/rp_filter`), written before links are up.
    pub sysctls: Vec<(String, String)>,
    /// Where its own directories are kept: then they outlive a reboot, and it has its name as host name.
    pub disk: Option<PathBuf>,
}

/// What a node does with packets for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Drops them.
    Host,
    /// Forwards them, or, when `forward` is false, is a gateway that does not forward.
    Router {
        /// Whether it forwards.
        forward: bool,
    },
}

/// One interface of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceSpec {
    /// Its name, at most 15 bytes.
    pub name: String,
    /// The switch it is plugged into; `None` when one of the lab's links holds it.
    pub switch: Option<String>,
    /// Addresses with prefix length.
    pub addresses: Vec<IpNet>,
    /// MTU in bytes; the kernel's 1500 when not given.
    pub mtu: Option<u32>,
    /// MAC address; the kernel's choice when not given.
    pub mac: Option<MacAddr>,
    /// Whether the switch's port sends a frame back out of the port it came from (802.1Qbg's reflective relay).
    pub hairpin: bool,
}

/// A route of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteSpec {
    /// Destination.
    pub to: IpNet,
    /// Next hop.
    pub via: IpAddr,
}

/// A switch: a bridge in a network namespace of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchSpec {
    /// Its name, unique in the lab.
    pub name: String,
    /// MTU of the bridge and its ports in bytes.
    pub mtu: Option<u32>,
}

/// A wire between two ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSpec {
    /// The two ends.
    pub between: [End; 2],
    /// MTU of both ends in bytes.
    pub mtu: Option<u32>,
}

/// One end of a wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// An interface of a node.
    Interface {
        /// The node.
        node: String,
        /// Its interface.
        interface: String,
    },
    /// A new port of a switch.
    Switch(String),
}

impl LabSpec {
    /// Reads a description in YAML (the built-in examples show every key).
    ///
    /// # Errors
    /// [`Error::Yaml`] when the text is not YAML, [`Error::Spec`] naming key, value and what is allowed otherwise.
    pub fn parse(text: &str) -> Result<Self> {
        let spec = parse::lab(text)?;
        check::all(&spec)?;
        Ok(spec)
    }

    /// The text this was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&NodeSpec> {
        self.nodes.iter().find(|node| node.name == name)
    }
}

impl NodeSpec {
    /// The first address of each interface's list, in order.
    pub fn addresses(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.interfaces.iter().flat_map(|interface| interface.addresses.iter().copied())
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Interface { node, interface } => write!(f, "{node}.{interface}"),
            End::Switch(name) => f.write_str(name),
        }
    }
}

impl std::str::FromStr for LabSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests;
