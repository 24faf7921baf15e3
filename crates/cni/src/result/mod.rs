//! Results: one model inside, every version at the edges.

mod encode;
mod parse;

use std::net::IpAddr;

use ipnet::IpNet;

/// The result of ADD. The model is that of 1.1.0; [`CniResult::to_json`] and [`CniResult::parse`] convert.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CniResult {
    /// Interfaces made, in the container and on the host.
    pub interfaces: Vec<Interface>,
    /// Addresses assigned.
    pub ips: Vec<IpConfig>,
    /// Routes set.
    pub routes: Vec<Route>,
    /// What a resolver of the container should use.
    pub dns: Dns,
}

/// An interface of a result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address; empty when there is none.
    pub mac: String,
    /// Its MTU in bytes (1.1.0).
    pub mtu: Option<u32>,
    /// Path of its network namespace; empty on the host.
    pub sandbox: String,
    /// A vhost-user socket (1.1.0); empty when there is none.
    pub socket_path: String,
    /// A PCI address (1.1.0); empty when there is none.
    pub pci_id: String,
}

/// An address of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpConfig {
    /// The address with its subnet's prefix length.
    pub address: IpNet,
    /// The subnet's gateway.
    pub gateway: Option<IpAddr>,
    /// Index into [`CniResult::interfaces`].
    pub interface: Option<usize>,
}

/// A route of a result. Everything after `gw` is in results of 0.3.0 and later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The destination, host bits kept as they came.
    pub dst: IpNet,
    /// The next hop; none is the gateway of the address's family.
    pub gw: Option<IpAddr>,
    /// The path's MTU in bytes.
    pub mtu: Option<u32>,
    /// The TCP segment size to announce, in bytes.
    pub advmss: Option<u32>,
    /// The metric; lower wins.
    pub priority: Option<u32>,
    /// The routing table.
    pub table: Option<u32>,
    /// The scope as in rtnetlink (0 global, 253 link, 254 host).
    pub scope: Option<u8>,
}

/// What a resolver should use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// Addresses of servers, best first. Not checked: the reference passes any text.
    pub nameservers: Vec<String>,
    /// The local domain; empty when there is none.
    pub domain: String,
    /// Domains to search.
    pub search: Vec<String>,
    /// Options of `resolv.conf`.
    pub options: Vec<String>,
}

impl Route {
    /// A route to `dst` by `gw` with nothing else set.
    pub fn new(dst: IpNet, gw: Option<IpAddr>) -> Route {
        Route { dst, gw, mtu: None, advmss: None, priority: None, table: None, scope: None }
    }
}

impl Dns {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Dns::default()
    }
}
