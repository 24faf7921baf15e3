//! Who there is.

use std::net::IpAddr;

use kernel::{LinkKind, MacAddr, MacvlanMode, NetNs};
use serde::Serialize;
use topology::{Owner, Topology};

use super::MOST_CONTAINERS;
use crate::context::Context;

/// The host's name in the matrix.
const HOST: &str = "host";

/// What an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// This host.
    Host,
    /// A container on this host, on a macvlan.
    Container,
    /// A gateway of the host's or of a network.
    Gateway,
    /// An address that was given.
    Peer,
}

/// Someone who is pinged, and pings where its namespace is ours.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Unique in the matrix.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// One of each family at most.
    pub addresses: Vec<IpAddr>,
    /// Its interface, where it is on this host.
    pub interface: Option<String>,
    /// The host's interface that its frames leave by.
    pub parent: Option<String>,
    #[serde(skip)]
    pub(super) netns: Option<NetNs>,
    #[serde(skip)]
    pub(super) host: Option<NetNs>,
    #[serde(skip)]
    pub(super) mac: Option<MacAddr>,
    #[serde(skip)]
    pub(super) mode: Option<MacvlanMode>,
    #[serde(skip)]
    pub(super) mtu: u32,
}

impl Endpoint {
    fn outside(name: String, role: Role, address: IpAddr) -> Self {
        Self {
            name,
            role,
            addresses: vec![address],
            interface: None,
            parent: None,
            netns: None,
            host: None,
            mac: None,
            mode: None,
            mtu: 0,
        }
    }
}

/// The first global address of each family.
fn first(addresses: impl Iterator<Item = kernel::Address>) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for address in addresses.filter(|address| address.scope == kernel::uapi::RT_SCOPE_UNIVERSE) {
        let ip = address.net.addr();
        if !found.iter().any(|known| known.is_ipv4() == ip.is_ipv4()) {
            found.push(ip);
        }
    }
    found
}

/// Whether the address means something on one link only.
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Everyone, and how many containers were left out.
pub(super) fn all(context: &Context, topology: &Topology, peers: &[IpAddr]) -> (Vec<Endpoint>, usize) {
    let mut found = Vec::new();
    let current = topology.namespaces.iter().position(|namespace| namespace.is_current);
    let mut parents: Vec<u32> = Vec::new();
    let mut containers: Vec<Endpoint> = Vec::new();
    for node in &topology.links {
        let (Some(parent), LinkKind::Macvlan(macvlan)) = (node.parent, &node.link.kind) else { continue };
        if Some(parent.namespace) != current || Some(node.id.namespace) == current {
            continue;
        }
        let addresses = first(node.addresses.iter().cloned());
        let (Some(below), Ok(netns)) = (topology.link(parent), topology.namespace_of(node).open()) else {
            continue;
        };
        if addresses.is_empty() {
            continue;
        }
        if !parents.contains(&parent.index) {
            parents.push(parent.index);
        }
        let owner = name_of(&topology.owner_of(node));
        let taken = owner == HOST || containers.iter().any(|known| known.name == owner);
        let name = if taken { format!("{owner} {}", node.link.name) } else { owner };
        containers.push(Endpoint {
            name,
            role: Role::Container,
            addresses,
            interface: Some(node.link.name.clone()),
            parent: Some(below.link.name.clone()),
            netns: Some(netns),
            host: Some(context.netns.clone()),
            mac: node.link.mac,
            mode: Some(macvlan.mode),
            mtu: node.link.mtu,
        });
    }
    let left_out = containers.len().saturating_sub(MOST_CONTAINERS);
    containers.truncate(MOST_CONTAINERS);
    if parents.is_empty() {
        parents.extend(context.parents().iter().map(|parent| parent.link.index));
    }
    found.extend(host(context, &parents));
    found.append(&mut containers);
    let mut gateways: Vec<IpAddr> =
        context.routes.iter().filter(|route| route.dst.is_none()).filter_map(|route| route.gateway).collect();
    gateways.extend(context.uses().flat_map(|(_, plugin, _)| plugin.gateways.clone()));
    gateways.sort();
    gateways.dedup();
    // A link-local address, as router advertisements give it, is one of each interface: from a container it is another's.
    gateways.retain(|gateway| !is_link_local(*gateway));
    let known =
        |all: &[Endpoint], address: IpAddr| all.iter().any(|known| known.addresses.contains(&address));
    for gateway in gateways {
        if !known(&found, gateway) {
            found.push(Endpoint::outside(format!("gateway {gateway}"), Role::Gateway, gateway));
        }
    }
    for peer in peers {
        if !known(&found, *peer) {
            found.push(Endpoint::outside(format!("peer {peer}"), Role::Peer, *peer));
        }
    }
    (found, left_out)
}

/// The host, by an address on the containers' parent, else on the default route's interface.
fn host(context: &Context, parents: &[u32]) -> Option<Endpoint> {
    let addressed = |index: &u32| context.addresses_of(*index).next().is_some();
    let index = parents.iter().copied().find(addressed).or_else(|| Some(context.default_link()?.index))?;
    let link = context.link_at(index)?;
    Some(Endpoint {
        name: HOST.to_owned(),
        role: Role::Host,
        addresses: first(context.addresses_of(index).cloned()),
        interface: Some(link.name.clone()),
        parent: Some(link.name.clone()),
        netns: Some(context.netns.clone()),
        host: Some(context.netns.clone()),
        mac: link.mac,
        mode: None,
        mtu: link.mtu,
    })
}

/// Short, for a table.
fn name_of(owner: &Owner) -> String {
    let text = owner.to_string();
    let short = text.split_once(' ').map(|(kind, rest)| if kind == "process" { text.as_str() } else { rest });
    short.unwrap_or(&text).to_owned()
}
