//! The tree as rows of cells, for a terminal.

use super::{Branch, Group, Role};
use crate::{Topology, visible};

/// One link's row. Every text is safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Lines of the tree with the link's name.
    pub name: String,
    /// Kind and mode.
    pub kind: String,
    /// Up, carrier, promiscuous.
    pub state: String,
    /// Whether the state is a good one.
    pub is_good: bool,
    /// Its MAC.
    pub mac: String,
    /// Its addresses, the first few, without link-local ones of IPv6.
    pub addresses: String,
    /// Whose it is, when that is not whose the tree is, and what the tree cannot show.
    pub owner: String,
}

/// The rows of one namespace's tree.
pub fn rows(topology: &Topology, group: &Group<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for branch in &group.branches {
        add(topology, group.namespace, branch, "", "", &mut rows);
    }
    rows
}

fn add(
    topology: &Topology,
    home: usize,
    branch: &Branch<'_>,
    before: &str,
    below: &str,
    rows: &mut Vec<Row>,
) {
    rows.push(row(topology, home, branch, before));
    let last = branch.below.len().saturating_sub(1);
    for (at, inner) in branch.below.iter().enumerate() {
        let (corner, line) = if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        add(topology, home, inner, &format!("{below}{corner}"), &format!("{below}{line}"), rows);
    }
}

fn row(topology: &Topology, home: usize, branch: &Branch<'_>, before: &str) -> Row {
    let node = branch.node;
    let role = match branch.role {
        Role::Port => "port ",
        Role::Peer => "peer ",
        Role::Top | Role::Child => "",
    };
    Row {
        name: format!("{before}{role}{}", visible(&node.link.name)),
        kind: visible(&node.describe()).into_owned(),
        state: node.state(),
        is_good: node.is_good(),
        mac: node.link.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        addresses: addresses(branch),
        owner: visible(&notes(topology, home, branch)).into_owned(),
    }
}

/// So many addresses of a link are drawn.
const ADDRESSES: usize = 4;

pub(super) fn addresses(branch: &Branch<'_>) -> String {
    let shown = branch.node.addresses.iter().map(|address| address.net).filter(|net| match net.addr() {
        std::net::IpAddr::V4(_) => true,
        std::net::IpAddr::V6(address) => !address.is_unicast_link_local(),
    });
    let all: Vec<String> = shown.map(|net| net.to_string()).collect();
    let first = all[..all.len().min(ADDRESSES)].join(" ");
    match all.len().saturating_sub(ADDRESSES) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Whose it is, its network, and what the picture cannot show: a port that has its place elsewhere, a peer, what is not
/// seen.
pub(super) fn notes(topology: &Topology, home: usize, branch: &Branch<'_>) -> String {
    let node = branch.node;
    let mut notes = Vec::new();
    if node.id.namespace != home {
        notes.push(topology.owner_of(node).to_string());
    }
    if let Some(attachment) = &node.attachment
        && !attachment.network.is_empty()
    {
        notes.push(format!("network {}", attachment.network));
    }
    let name = |id| topology.link(id).map(|node| node.link.name.as_str());
    if let Some(controller) = node.controller.filter(|_| branch.role != Role::Port).and_then(name) {
        notes.push(format!("port of {controller}"));
    }
    let nested = branch.below.iter().any(|below| below.role == Role::Peer);
    if let Some(peer) = node.peer.filter(|_| branch.role != Role::Peer && !nested)
        && let Some(peer) = topology.link(peer)
    {
        let place = match peer.id.namespace == node.id.namespace {
            true => String::new(),
            false => format!(" in {}", topology.owner_of(peer)),
        };
        notes.push(format!("peer {}{place}", peer.link.name));
    }
    if node.unseen {
        let what = if node.kind_name() == "veth" { "peer not seen" } else { "parent not seen" };
        notes.push(what.to_owned());
    }
    notes.join(", ")
}
