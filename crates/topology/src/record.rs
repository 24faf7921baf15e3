//! The topology as programs read it: `llano link tree --output json`, documented in docs/link.md. Keys are only added,
//! never renamed, while `schema` stays the same.

use kernel::{LinkKind, VlanProtocol};
use serde::Serialize;

use crate::{Attachment, Container, LinkId, Namespace, Node, Pod, Process, Topology};

/// All of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    /// 1.
    pub schema: u32,
    /// The namespaces, the caller's own first.
    pub namespaces: Vec<NamespaceRecord<'a>>,
    /// The links of all of them.
    pub links: Vec<LinkRecord<'a>>,
}

/// A namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceRecord<'a> {
    /// Its inode, by which links name it.
    pub namespace: u64,
    /// Whose it is, for people.
    pub owner: String,
    /// `host`, `init`, `pod`, `container`, `netns`, `bound`, `process`, `unknown`.
    pub kind: &'static str,
    /// The pod.
    pub pod: Option<&'a Pod>,
    /// The container.
    pub container: Option<&'a Container>,
    /// The first of its processes.
    pub process: Option<&'a Process>,
    /// How many processes are in it.
    pub processes: usize,
    /// Where it is bound in the caller's mounts.
    pub paths: Vec<String>,
}

/// A link.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkRecord<'a> {
    /// The inode of its namespace.
    pub namespace: u64,
    /// Its index there.
    pub index: u32,
    /// Its name.
    pub name: &'a str,
    /// The kernel's word for its kind; `loopback` and `device` for those without one.
    pub kind: &'a str,
    /// A macvlan's or bond's mode.
    pub mode: Option<&'static str>,
    /// A macvlan's flag `nopromisc`.
    pub nopromisc: Option<bool>,
    /// A macvlan's list of senders.
    pub source_macs: Option<Vec<String>>,
    /// How many broadcast frames may wait for a macvlan.
    pub bc_queue_len: Option<u32>,
    /// A VLAN's tag.
    pub vlan: Option<VlanRecord>,
    /// A VXLAN's network identifier.
    pub vni: Option<u32>,
    /// Its MAC.
    pub mac: Option<String>,
    /// Its MTU.
    pub mtu: u32,
    /// Whether it is set up.
    pub up: bool,
    /// Whether there is a carrier.
    pub carrier: bool,
    /// `ip link`'s word for its operational state.
    pub state: &'static str,
    /// How many users asked it to be promiscuous.
    pub promiscuity: u32,
    /// Whether it receives all multicast frames.
    pub all_multicast: bool,
    /// Its alias.
    pub alias: Option<&'a str>,
    /// Its addresses with their prefix lengths.
    pub addresses: Vec<String>,
    /// What it sits on.
    pub parent: Option<EndRecord<'a>>,
    /// The bond or bridge it is a port of.
    pub controller: Option<EndRecord<'a>>,
    /// The other end of a veth.
    pub peer: Option<EndRecord<'a>>,
    /// Parent or peer is in a namespace that cannot be seen.
    pub unseen: bool,
    /// What CNI's cache or host-local's directory says of it.
    pub attachment: Option<&'a Attachment>,
}

/// A VLAN's tag.
#[derive(Debug, Serialize)]
pub struct VlanRecord {
    /// 0 to 4094.
    pub id: u16,
    /// `802.1Q` or `802.1ad`.
    pub protocol: &'static str,
}

/// Another link.
#[derive(Debug, Serialize)]
pub struct EndRecord<'a> {
    /// The inode of its namespace.
    pub namespace: u64,
    /// Its index there.
    pub index: u32,
    /// Its name.
    pub name: &'a str,
}

impl<'a> Record<'a> {
    /// A whole topology.
    pub fn of(topology: &'a Topology) -> Self {
        Self {
            schema: 1,
            namespaces: topology.namespaces.iter().map(NamespaceRecord::of).collect(),
            links: topology.links.iter().map(|node| LinkRecord::of(topology, node)).collect(),
        }
    }

    /// Without the links that `keep` refuses, and without namespaces that then have none.
    #[must_use]
    pub fn filtered(mut self, keep: impl Fn(u64, u32) -> bool) -> Self {
        self.links.retain(|link| keep(link.namespace, link.index));
        let links = &self.links;
        self.namespaces.retain(|known| links.iter().any(|link| link.namespace == known.namespace));
        self
    }
}

impl<'a> NamespaceRecord<'a> {
    fn of(namespace: &'a Namespace) -> Self {
        let owner = namespace.owner();
        let own = namespace.places.iter().filter(|place| place.through.is_none());
        Self {
            namespace: namespace.id.inode,
            owner: owner.to_string(),
            kind: owner.kind(),
            pod: namespace.pod.as_ref(),
            container: namespace.container.as_ref(),
            process: namespace.process.as_ref(),
            processes: namespace.processes,
            paths: own.map(|place| place.path.to_string_lossy().into_owned()).collect(),
        }
    }
}

impl<'a> LinkRecord<'a> {
    /// One link.
    pub fn of(topology: &'a Topology, node: &'a Node) -> Self {
        let link = &node.link;
        let macvlan = link.kind.as_macvlan();
        let end = |end: Option<LinkId>| {
            let node = topology.link(end?)?;
            let namespace = topology.namespace_of(node).id.inode;
            Some(EndRecord { namespace, index: node.link.index, name: &node.link.name })
        };
        Self {
            namespace: topology.namespace_of(node).id.inode,
            index: link.index,
            name: &link.name,
            kind: node.kind_name(),
            mode: node.mode(),
            nopromisc: macvlan.map(|macvlan| macvlan.nopromisc),
            source_macs: macvlan.map(|macvlan| macvlan.source_macs.iter().map(ToString::to_string).collect()),
            bc_queue_len: macvlan.and_then(|macvlan| macvlan.bc_queue_len),
            vlan: link.kind.as_vlan().map(|vlan| VlanRecord {
                id: vlan.id,
                protocol: match vlan.protocol {
                    VlanProtocol::Ieee8021Q => "802.1Q",
                    VlanProtocol::Ieee8021Ad => "802.1ad",
                },
            }),
            vni: match &link.kind {
                LinkKind::Vxlan(vxlan) => Some(vxlan.id),
                _ => None,
            },
            mac: link.mac.map(|mac| mac.to_string()),
            mtu: link.mtu,
            up: link.is_up(),
            carrier: link.is_lower_up(),
            state: link.oper_state.name(),
            promiscuity: link.promiscuity,
            all_multicast: link.allmulti,
            alias: link.alias.as_deref(),
            addresses: node.addresses.iter().map(|address| address.net.to_string()).collect(),
            parent: end(node.parent),
            controller: end(node.controller),
            peer: end(node.peer),
            unseen: node.unseen,
            attachment: node.attachment.as_ref(),
        }
    }
}

/// Names of a bond's modes by number (bonding(7), `mode`).
const BOND_MODES: [&str; 7] =
    ["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"];

impl Node {
    /// The kernel's word for its kind; `loopback` and `device` for those without one.
    pub fn kind_name(&self) -> &str {
        match self.link.kind.name() {
            Some(name) => name,
            None if self.link.is_loopback() => "loopback",
            None => "device",
        }
    }

    /// A macvlan's or bond's mode.
    pub fn mode(&self) -> Option<&'static str> {
        match &self.link.kind {
            LinkKind::Macvlan(macvlan) | LinkKind::Macvtap(macvlan) => Some(macvlan.mode.name()),
            LinkKind::Bond(bond) => BOND_MODES.get(usize::from(bond.mode())).copied(),
            _ => None,
        }
    }

    /// Kind, mode and what else tells it from others of its kind.
    pub fn describe(&self) -> String {
        let mut text = self.kind_name().to_owned();
        if let Some(mode) = self.mode() {
            text = format!("{text} {mode}");
        }
        match &self.link.kind {
            LinkKind::Macvlan(macvlan) | LinkKind::Macvtap(macvlan) => {
                if macvlan.nopromisc {
                    text.push_str(" nopromisc");
                }
                match macvlan.source_macs.len() {
                    0 => {}
                    1 => text.push_str(" 1 MAC"),
                    count => text.push_str(&format!(" {count} MACs")),
                }
            }
            LinkKind::Vlan(vlan) => {
                let tag = if vlan.protocol == VlanProtocol::Ieee8021Ad { "802.1ad " } else { "" };
                text.push_str(&format!(" {tag}{}", vlan.id));
            }
            LinkKind::Vxlan(vxlan) => text.push_str(&format!(" {}", vxlan.id)),
            _ => {}
        }
        text
    }

    /// Up or not, carrier or not, promiscuous or not.
    pub fn state(&self) -> String {
        let link = &self.link;
        let mut text = match (link.is_up(), link.is_lower_up()) {
            (false, _) => "down".to_owned(),
            (true, false) => "no carrier".to_owned(),
            (true, true) => "up".to_owned(),
        };
        if link.promiscuity > 0 {
            text.push_str(" promiscuous");
        }
        text
    }

    /// Whether frames can pass.
    pub fn is_good(&self) -> bool {
        self.link.is_up() && self.link.is_lower_up()
    }
}
