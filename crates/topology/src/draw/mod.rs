//! Pictures of a topology: which link is drawn below which, and the forms it is drawn in.

mod dot;
mod svg;
mod text;

use std::collections::BTreeSet;

pub use dot::dot;
pub use svg::svg;
pub use text::{Row, rows};

use crate::{LinkId, NamespaceId, Node, Topology};

/// Why a link is drawn below another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is at the top of its namespace.
    Top,
    /// It sits on the one above: a macvlan, a VLAN.
    Child,
    /// It is a port of the bond or bridge above.
    Port,
    /// It is the other end of the veth above.
    Peer,
}

/// A link with what is drawn below it.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch<'a> {
    /// The link.
    pub node: &'a Node,
    /// Why it is here.
    pub role: Role,
    /// What is below it, in order.
    pub below: Vec<Branch<'a>>,
}

/// What is at the top in one namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a> {
    /// The namespace's place in [`Topology::namespaces`].
    pub namespace: usize,
    /// Its top links, in order.
    pub branches: Vec<Branch<'a>>,
}

/// What of a topology to draw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// Only what leads to or from links of this namespace.
    pub namespace: Option<NamespaceId>,
    /// Only this link and what hangs on it.
    pub link: Option<LinkId>,
}

/// Every link but loopbacks, exactly once: below its parent, else below its bond or bridge, else below the end of its
/// veth that comes first, else at the top of its namespace.
pub fn forest<'a>(topology: &'a Topology, choice: &Choice) -> Vec<Group<'a>> {
    let mut forest = Forest { topology, drawn: BTreeSet::new() };
    let mut groups: Vec<Group<'a>> = (0..topology.namespaces.len())
        .map(|namespace| Group { namespace, branches: forest.tops(namespace) })
        .collect();
    // A ring, which the kernel does not let anybody make but may be read in halves, has no top.
    for node in &topology.links {
        if !node.link.is_loopback() && !forest.drawn.contains(&node.id) {
            let branch = forest.branch(node, Role::Top, 0);
            groups[node.id.namespace].branches.push(branch);
        }
    }
    if let Some(link) = choice.link {
        groups = subtree(groups, link);
    }
    if let Some(id) = choice.namespace {
        let place = topology.namespaces.iter().position(|namespace| namespace.id == id);
        for group in &mut groups {
            group.branches.retain_mut(|branch| prune(branch, place, false));
        }
    }
    groups.retain(|group| !group.branches.is_empty());
    groups
}

/// Every link that is drawn.
pub fn drawn(groups: &[Group<'_>]) -> BTreeSet<LinkId> {
    fn visit(branch: &Branch<'_>, all: &mut BTreeSet<LinkId>) {
        all.insert(branch.node.id);
        branch.below.iter().for_each(|below| visit(below, all));
    }
    let mut all = BTreeSet::new();
    groups.iter().flat_map(|group| &group.branches).for_each(|branch| visit(branch, &mut all));
    all
}

/// Deeper than the kernel stacks links, through the veths of several namespaces; what is below is drawn at the top.
const DEPTH: usize = 64;

struct Forest<'a> {
    topology: &'a Topology,
    drawn: BTreeSet<LinkId>,
}

impl<'a> Forest<'a> {
    fn tops(&mut self, namespace: usize) -> Vec<Branch<'a>> {
        let of_namespace = self.topology.links.iter().filter(|node| node.id.namespace == namespace);
        let mut tops: Vec<&Node> =
            of_namespace.filter(|node| !node.link.is_loopback() && self.is_top(node)).collect();
        tops.sort_by_key(|node| key(node));
        tops.into_iter().map(|node| self.branch(node, Role::Top, 0)).collect()
    }

    fn is_top(&self, node: &Node) -> bool {
        node.parent.is_none() && node.controller.is_none() && !self.is_inner(node)
    }

    /// Whether it is drawn below the other end of its veth.
    fn is_inner(&self, node: &Node) -> bool {
        let outer = node.peer.and_then(|peer| self.topology.link(peer));
        // An end that is a port has its place.
        outer.is_some_and(|outer| outer.peer == Some(node.id) && outer.id < node.id)
            && node.parent.is_none()
            && node.controller.is_none()
    }

    fn branch(&mut self, node: &'a Node, role: Role, depth: usize) -> Branch<'a> {
        self.drawn.insert(node.id);
        let topology = self.topology;
        let mut below: Vec<(Role, &Node)> = Vec::new();
        if depth < DEPTH {
            let ports = topology.ports_of(node.id).filter(|port| port.parent.is_none());
            below.extend(ports.map(|port| (Role::Port, port)));
            let inner = node.peer.and_then(|peer| topology.link(peer)).filter(|peer| self.is_inner(peer));
            below.extend(inner.map(|inner| (Role::Peer, inner)));
            below.extend(topology.children_of(node.id).map(|child| (Role::Child, child)));
            let order =
                |role: &Role| [Role::Port, Role::Peer, Role::Child].iter().position(|known| known == role);
            below.sort_by_key(|(role, node)| (order(role), key(node)));
        }
        let mut branches = Vec::with_capacity(below.len());
        for (role, node) in below {
            if !self.drawn.contains(&node.id) {
                branches.push(self.branch(node, role, depth + 1));
            }
        }
        Branch { node, role, below: branches }
    }
}

/// By namespace, then as people sort: `net2` before `net10`.
fn key(node: &Node) -> (usize, Vec<(String, u64)>, u32) {
    let mut parts = Vec::new();
    let mut rest = node.link.name.as_str();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let (number, tail) = tail.split_at(end);
        parts.push((text.to_owned(), number.parse().unwrap_or(u64::MAX)));
        rest = tail;
    }
    (node.id.namespace, parts, node.link.index)
}

/// Keeps a branch when something in it is of the namespace, and in it what leads there; all that is below a link of the
/// namespace is kept.
fn prune(branch: &mut Branch<'_>, place: Option<usize>, whole: bool) -> bool {
    let whole = whole || place == Some(branch.node.id.namespace);
    branch.below.retain_mut(|below| prune(below, place, whole));
    whole || !branch.below.is_empty()
}

fn subtree<'a>(groups: Vec<Group<'a>>, link: LinkId) -> Vec<Group<'a>> {
    fn find<'a>(branches: Vec<Branch<'a>>, link: LinkId) -> Option<Branch<'a>> {
        branches
            .into_iter()
            .find_map(|branch| if branch.node.id == link { Some(branch) } else { find(branch.below, link) })
    }
    let found = groups.into_iter().find_map(|group| find(group.branches, link));
    found.map(|branch| Group { namespace: link.namespace, branches: vec![branch] }).into_iter().collect()
}

#[cfg(test)]
pub(crate) mod tests;
