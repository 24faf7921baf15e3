//! The links of every namespace.

use std::collections::HashMap;

use kernel::{Address, Link, LinkKind, Netlink};

use crate::discover::Search;
use crate::lease::Leases;
use crate::resolve::{self, Order};
use crate::{Attachment, Namespace, NamespaceId, Owner, Result};

/// A link of a [`Topology`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId {
    /// Its namespace's place in [`Topology::namespaces`].
    pub namespace: usize,
    /// Its index there.
    pub index: u32,
}

/// A link, and what it hangs on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Node {
    /// Which one.
    pub id: LinkId,
    /// What the kernel tells of it.
    pub link: Link,
    /// Its addresses, in the kernel's order. Their index is the link's.
    pub addresses: Vec<Address>,
    /// What it sits on: the parent of a macvlan or VLAN, the link of a VXLAN's outer packets.
    pub parent: Option<LinkId>,
    /// The bond or bridge it is a port of.
    pub controller: Option<LinkId>,
    /// The other end of a veth.
    pub peer: Option<LinkId>,
    /// The parent or peer is in a namespace that cannot be seen.
    pub unseen: bool,
    /// What CNI's cache or the host-local directory says of it.
    pub attachment: Option<Attachment>,
}

/// Every link that can be seen.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Topology {
    /// In the order of [`crate::namespaces`].
    pub namespaces: Vec<Namespace>,
    /// By namespace, in the kernel's order.
    pub links: Vec<Node>,
    places: HashMap<LinkId, usize>,
    children: HashMap<LinkId, Vec<usize>>,
    ports: HashMap<LinkId, Vec<usize>>,
}

impl Topology {
    /// Reads all of it.
    ///
    /// # Errors
    /// When the caller's own namespace cannot be read, or no descriptor is left. A namespace that goes meanwhile is left
    /// out.
    pub fn read() -> Result<Self> {
        let mut search = Search::begin()?;
        search.descriptors();
        let mut topology = Self::default();
        topology.add(search.finish())?;
        topology.attach();
        topology.index();
        Ok(topology)
    }

    /// Reads the links of namespaces, and finds the other end of each.
    fn add(&mut self, namespaces: Vec<Namespace>) -> Result<()> {
        let mut nets = Vec::with_capacity(namespaces.len());
        for namespace in namespaces {
            match namespace.open() {
                Ok(net) => {
                    nets.push(net);
                    self.namespaces.push(namespace);
                }
                Err(crate::Error::Gone { .. }) => {}
                // Not ours to enter.
                Err(crate::Error::Kernel(error))
                    if matches!(error.errno(), Some(kernel::Errno::ACCESS | kernel::Errno::PERM)) => {}
                Err(error) => return Err(error),
            }
        }
        let mut order = Order::new(nets.len());
        for (at, net) in nets.iter().enumerate() {
            let mut socket = Netlink::open_in(net)?;
            let start = self.links.len();
            self.links.extend(socket.links()?.into_iter().map(|link| Node::new(at, link)));
            for address in socket.addresses(None)? {
                let nodes = &mut self.links[start..];
                // Dumps are in the order of indices almost always.
                let place = nodes.binary_search_by_key(&address.index, |node| node.link.index).ok();
                let place = place.or_else(|| nodes.iter().position(|node| node.link.index == address.index));
                // One that came between the two lists has no link yet.
                place.into_iter().for_each(|place| nodes[place].addresses.push(address.clone()));
            }
            resolve::connect(&mut self.links[start..], at, &mut socket, &nets, &mut order)?;
        }
        Ok(())
    }

    /// What the caches say, where the interface of that name is still there.
    fn attach(&mut self) {
        let leases = Leases::open();
        for node in &mut self.links {
            let namespace = &self.namespaces[node.id.namespace];
            if namespace.is_current || namespace.is_init || node.link.is_loopback() {
                continue;
            }
            let cached = namespace.attachments.iter().find(|cached| cached.ifname == node.link.name);
            node.attachment = cached.cloned().or_else(|| {
                node.addresses.iter().find_map(|address| leases.of(address.net.addr(), &node.link.name))
            });
        }
    }

    pub(crate) fn index(&mut self) {
        self.children.clear();
        self.ports.clear();
        let places = self.links.iter().enumerate().map(|(at, node)| (node.id, at));
        self.places = places.collect();
        for node in &mut self.links {
            // A parent that came and went between two namespaces' lists is none.
            for end in [&mut node.parent, &mut node.controller, &mut node.peer] {
                if end.is_some_and(|end| !self.places.contains_key(&end)) {
                    *end = None;
                    node.unseen = true;
                }
            }
        }
        for (at, node) in self.links.iter().enumerate() {
            if let Some(parent) = node.parent {
                self.children.entry(parent).or_default().push(at);
            }
            if let Some(controller) = node.controller {
                self.ports.entry(controller).or_default().push(at);
            }
        }
    }

    /// One link.
    pub fn link(&self, id: LinkId) -> Option<&Node> {
        self.links.get(*self.places.get(&id)?)
    }

    /// The link of a name in a namespace.
    pub fn find(&self, namespace: NamespaceId, name: &str) -> Option<&Node> {
        self.links
            .iter()
            .find(|node| node.link.name == name && self.namespaces[node.id.namespace].id == namespace)
    }

    /// What sits on a link, in every namespace: macvlans, VLANs, VXLANs.
    pub fn children_of(&self, parent: LinkId) -> impl Iterator<Item = &Node> {
        self.children.get(&parent).into_iter().flatten().filter_map(|at| self.links.get(*at))
    }

    /// The ports of a bond or bridge.
    pub fn ports_of(&self, controller: LinkId) -> impl Iterator<Item = &Node> {
        self.ports.get(&controller).into_iter().flatten().filter_map(|at| self.links.get(*at))
    }

    /// The namespace of a link.
    pub fn namespace_of(&self, node: &Node) -> &Namespace {
        &self.namespaces[node.id.namespace]
    }

    /// Whose a link is.
    pub fn owner_of(&self, node: &Node) -> Owner {
        self.namespace_of(node).owner()
    }
}

impl Node {
    pub(crate) fn new(namespace: usize, link: Link) -> Self {
        Self {
            id: LinkId { namespace, index: link.index },
            controller: link.master.map(|index| LinkId { namespace, index }),
            link,
            addresses: Vec::new(),
            parent: None,
            peer: None,
            unseen: false,
            attachment: None,
        }
    }

    /// The index of the other end, in whichever namespace that is.
    pub(crate) fn other_end(&self) -> Option<u32> {
        match &self.link.kind {
            // Of one in another namespace than its link `IFLA_LINK` is its own index.
            LinkKind::Vxlan(vxlan) => vxlan.link,
            _ => self.link.parent,
        }
    }

    /// Notes that the other end is in this namespace.
    pub(crate) fn connect(&mut self, namespace: usize) {
        let end = self.other_end().map(|index| LinkId { namespace, index });
        let is_pair = match &self.link.kind {
            LinkKind::Veth(_) => true,
            LinkKind::Other(kind) => kind == "vxcan" || kind == "netkit",
            _ => false,
        };
        if is_pair {
            self.peer = end;
        } else {
            self.parent = end.filter(|end| *end != self.id);
        }
    }
}
