//! Host access for containers that came without it, by podman, docker or a plugin without `hostAccess`: a shim on the
//! parent, as the plugin makes it, and routes and neighbours on both sides. No address moves.

use std::collections::BTreeMap;
use std::net::IpAddr;

use attach::host_access::{PROTOCOL, Target, add, check, collect};
use attach::link::PodLink;
use attach::paths::Paths;
use cni::{CniResult, Env, IpConfig, ValidAttachment, Verb};
use ipnet::IpNet;
use kernel::uapi::{NUD_PERMANENT, RT_SCOPE_UNIVERSE};
use kernel::{Change, Link, LinkKind, MacAddr, MacvlanMode, NetNs, Netlink, RouteFilter};
use serde::Serialize;
use topology::{Node, Topology};

use crate::state::{HostAccess, HostAccessWay};
use crate::{Error, Network, Result, State, Step, Wanted};

/// How the host and a container reach each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Way {
    /// By the shim of this parent.
    Shim {
        /// Its name.
        shim: String,
    },
    /// By the shim of the container's own network: its configuration says `hostAccess`.
    Network {
        /// Its name.
        shim: String,
    },
    /// As neighbours on the LAN: the host's address is on a macvlan of the same parent.
    Neighbour {
        /// The macvlan.
        macvlan: String,
    },
    /// Not at all.
    None {
        /// Why, or what to do.
        why: String,
    },
}

/// A container on the parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pod {
    /// Whose it is, as `llano link tree` says.
    pub owner: String,
    /// The interface in its namespace.
    pub interface: String,
    /// Its MAC.
    pub mac: Option<String>,
    /// Its addresses of global scope.
    pub addresses: Vec<IpNet>,
    /// How it and the host reach each other.
    #[serde(flatten)]
    pub way: Way,
}

/// Everything that one look tells.
struct View {
    topology: Topology,
    parent: Node,
    /// The host's macvlan with an address, when it was moved.
    moved: Option<String>,
}

/// Why a container has no access that its runtime has not set up yet.
const DOWN: &str = "its interface is down";

/// A container's link.
struct Found {
    pod: Pod,
    attachment: ValidAttachment,
    mode: MacvlanMode,
    link: PodLink,
}

/// The name of the shim's network: one for each parent.
fn network(parent: &str) -> String {
    format!("host-access:{parent}")
}

/// Gives access to every container there is now; those that are gone are forgotten. Safe to repeat.
///
/// # Errors
/// [`Error::NoParent`], or what the kernel refused.
pub fn on(paths: &Paths, netlink: &mut Netlink, parent: &str) -> Result<Vec<Pod>> {
    let view = View::read(parent)?;
    let mut pods = Vec::new();
    let mut valid = Vec::new();
    let shims = all_shims(netlink)?;
    let access = attach::host_access::HostAccess::default();
    for mut found in view.containers()? {
        found.pod.way = match view.hindrance(netlink, &found, &shims)? {
            Some(way) => way,
            None => {
                let env = env(&found.attachment);
                let name = network(parent);
                let target = Target { network: &name, parent: &view.parent.link, env: &env, access: &access };
                match add(paths, netlink, target, &mut found.link, &result(&found.pod)) {
                    Err(_) if found.is_gone() => continue,
                    Err(_) if found.is_down() => Way::None { why: DOWN.to_owned() },
                    done => {
                        done?;
                        valid.push(found.attachment.clone());
                        Way::Shim { shim: String::new() }
                    }
                }
            }
        };
        pods.push(found.pod);
    }
    collect(paths, netlink, &network(parent), &valid)?;
    let made = own_shim(netlink, parent)?.map(|shim| shim.name).unwrap_or_default();
    for pod in &mut pods {
        if let Way::Shim { shim } = &mut pod.way {
            shim.clone_from(&made);
        }
    }
    Ok(pods)
}

/// Takes the access away that [`on`] gave, on both sides.
///
/// # Errors
/// What the kernel refused. Without a shim there is nothing to take.
pub fn off(paths: &Paths, netlink: &mut Netlink, parent: &str) -> Result<Vec<Pod>> {
    let Some(shim) = own_shim(netlink, parent)? else { return Ok(Vec::new()) };
    let mut pods = Vec::new();
    let view = View::read(parent)?;
    for mut found in view.containers()? {
        let Some(mac) = shim.mac else { continue };
        let had = match forget(&mut found.link, mac) {
            Err(_) if found.is_gone() => continue,
            had => had?,
        };
        if had {
            found.pod.way = Way::None { why: "taken away".to_owned() };
            pods.push(found.pod);
        }
    }
    collect(paths, netlink, &network(parent), &[])?;
    Ok(pods)
}

/// A wanted network without the shims that [`take`] takes away first.
pub(crate) fn forget_shims(network: &mut Network, declared: &BTreeMap<String, HostAccess>) {
    for (parent, _) in declared.iter().filter(|(_, access)| access.way != Some(HostAccessWay::Shim)) {
        let own = alias(&self::network(parent));
        let shims = network.links.extract_if(.., |_, link| link.alias.as_ref() == Some(&own));
        for (shim, _) in shims.collect::<Vec<_>>() {
            network.routes.retain(|route| !crate::plan::uses(route, &shim));
        }
    }
}

/// Takes the shims of parents away for which another way, or none, is declared.
///
/// # Errors
/// As [`off`].
pub(crate) fn take(
    netlink: &mut Netlink,
    declared: &BTreeMap<String, HostAccess>,
    progress: &mut dyn FnMut(&Step),
) -> Result<()> {
    for (parent, _) in declared.iter().filter(|(_, access)| access.way != Some(HostAccessWay::Shim)) {
        if own_shim(netlink, parent)?.is_some() {
            progress(&Step::RemoveShim { parent: parent.clone() });
            off(&Paths::from_env(), netlink, parent)?;
        }
    }
    Ok(())
}

/// Gives access by shims where that is declared.
///
/// # Errors
/// As [`on`].
pub(crate) fn give(
    netlink: &mut Netlink,
    declared: &BTreeMap<String, HostAccess>,
    progress: &mut dyn FnMut(&Step),
) -> Result<()> {
    for (parent, _) in declared.iter().filter(|(_, access)| access.way == Some(HostAccessWay::Shim)) {
        if netlink.link_by_name(parent)?.is_none() {
            // Pulled out meanwhile, and its containers with it.
            continue;
        }
        if own_shim(netlink, parent)?.is_none() {
            progress(&Step::AddShim { parent: parent.clone() });
        }
        on(&Paths::from_env(), netlink, parent)?;
    }
    Ok(())
}

/// Whether a parent has a shim for containers that came without.
pub(crate) fn has_shim(network: &Network, parent: &str) -> bool {
    let own = alias(&self::network(parent));
    network.links.values().any(|link| link.alias.as_ref() == Some(&own))
}

/// The parents whose shim comes, or goes. One that is declared already comes with the containers.
pub(crate) fn shims(current: &Network, wanted: &Wanted, declared: &State) -> Vec<(String, bool)> {
    let is = |access: &HostAccess| access.way == Some(HostAccessWay::Shim);
    let mut shims = Vec::new();
    for (parent, access) in &wanted.host_access {
        let said = declared.interface(parent).and_then(|interface| interface.llano.as_ref());
        let is_declared = said.and_then(|llano| llano.host_access.as_ref()).is_some_and(is);
        if (is_declared || has_shim(current, parent)) != is(access) {
            shims.push((parent.clone(), is(access)));
        }
    }
    shims
}

/// What was so of the parents of a change before it: a shim or none.
pub(crate) fn before(
    network: &Network,
    changed: &BTreeMap<String, HostAccess>,
) -> BTreeMap<String, HostAccess> {
    let way = |parent: &String| has_shim(network, parent).then_some(HostAccessWay::Shim);
    let of = |parent: &String| HostAccess { way: way(parent), name: None, keep_mac: false };
    changed.keys().map(|parent| (parent.clone(), of(parent))).collect()
}

/// Tells of each container how it and the host reach each other.
///
/// # Errors
/// [`Error::NoParent`], or when the kernel cannot be read.
pub fn status(netlink: &mut Netlink, parent: &str) -> Result<Vec<Pod>> {
    let view = View::read(parent)?;
    let shims = all_shims(netlink)?;
    let access = attach::host_access::HostAccess::default();
    let own = own_shim(netlink, parent)?;
    let mut pods = Vec::new();
    for mut found in view.containers()? {
        found.pod.way = match (view.hindrance(netlink, &found, &shims)?, &own) {
            (Some(way), _) => way,
            (None, None) => Way::None { why: format!("llano host access on {parent}") },
            (None, Some(shim)) => {
                let env = env(&found.attachment);
                let name = network(parent);
                let target = Target { network: &name, parent: &view.parent.link, env: &env, access: &access };
                let result = result(&found.pod);
                match check(netlink, target, (&mut found.link.socket, found.link.index), &result) {
                    Ok(()) => Way::Shim { shim: shim.name.clone() },
                    Err(attach::Error::Mismatch(why)) => {
                        Way::None { why: format!("{why}; llano host access on {parent}") }
                    }
                    Err(_) if found.is_gone() => continue,
                    Err(error) => return Err(error.into()),
                }
            }
        };
        pods.push(found.pod);
    }
    Ok(pods)
}

impl Found {
    /// Whether the container went while something was done to it: its link did, or another has its number.
    fn is_gone(&mut self) -> bool {
        let link = self.link.socket.link_by_index(self.link.index);
        link.is_ok_and(|link| link.is_none_or(|link| link.mac != Some(self.link.mac)))
    }

    /// Whether its link takes no route now.
    fn is_down(&mut self) -> bool {
        let link = self.link.socket.link_by_index(self.link.index);
        link.is_ok_and(|link| link.is_some_and(|link| !link.is_up()))
    }
}

impl View {
    fn read(parent: &str) -> Result<Self> {
        let topology = Topology::read()?;
        let no = |why| Error::NoParent { parent: parent.to_owned(), why };
        let here = topology.namespaces.iter().find(|namespace| namespace.is_current);
        let node = here
            .and_then(|here| topology.find(here.id, parent))
            .ok_or_else(|| no("there is no such interface"))?;
        if matches!(node.link.kind, LinkKind::Macvlan(_) | LinkKind::Macvtap(_)) {
            return Err(no("it is a macvlan itself"));
        }
        if node.link.is_loopback() {
            return Err(no("it is the loopback"));
        }
        let with_address = |child: &&Node| {
            child.id.namespace == node.id.namespace
                && matches!(&child.link.kind, LinkKind::Macvlan(m) if m.mode == MacvlanMode::Bridge)
                && !is_shim(&child.link)
                && child.addresses.iter().any(|address| address.scope == RT_SCOPE_UNIVERSE)
        };
        let moved = topology.children_of(node.id).find(with_address).map(|child| child.link.name.clone());
        Ok(Self { parent: node.clone(), moved, topology })
    }

    /// The macvlans of other namespaces on the parent.
    fn containers(&self) -> Result<Vec<Found>> {
        let mut all = Vec::new();
        let children = self.topology.children_of(self.parent.id);
        for node in children.filter(|node| node.id.namespace != self.parent.id.namespace) {
            let (LinkKind::Macvlan(macvlan), Some(mac)) = (&node.link.kind, node.link.mac) else { continue };
            let namespace = self.topology.namespace_of(node);
            let net = match namespace.open() {
                Ok(net) => net,
                // Gone since.
                Err(topology::Error::Gone { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let global = node.addresses.iter().filter(|address| address.scope == RT_SCOPE_UNIVERSE);
            let pod = Pod {
                owner: self.topology.owner_of(node).to_string(),
                interface: node.link.name.clone(),
                mac: Some(mac.to_string()),
                addresses: global.map(|address| address.net).collect(),
                way: Way::None { why: String::new() },
            };
            let container_id = format!("netns-{}-{}", namespace.id.device, namespace.id.inode);
            let attachment = ValidAttachment { container_id, ifname: node.link.name.clone() };
            all.push(Found { pod, attachment, mode: macvlan.mode, link: pod_link(net, &node.link, mac)? });
        }
        Ok(all)
    }

    /// The way that a container has without us, or why ours would not do.
    fn hindrance(&self, netlink: &mut Netlink, found: &Found, shims: &[Link]) -> Result<Option<Way>> {
        let none = |why: &str| Ok(Some(Way::None { why: why.to_owned() }));
        match found.mode {
            MacvlanMode::Bridge => {}
            MacvlanMode::Private => return none("its mode is private: it talks to nobody on its parent"),
            MacvlanMode::Passthru => return none("its mode is passthru: it has the parent for itself"),
            MacvlanMode::Vepa => {
                return none("its mode is vepa: it sends all to the switch, which must send it back");
            }
            MacvlanMode::Source => return none("its mode is source: it sends all to the switch"),
        }
        if let Some(macvlan) = &self.moved {
            return Ok(Some(Way::Neighbour { macvlan: macvlan.clone() }));
        }
        let own = alias(&network(&self.parent.link.name));
        for shim in shims.iter().filter(|shim| shim.alias.as_deref() != Some(&own)) {
            let filter =
                RouteFilter { oif: Some(shim.index), protocol: Some(PROTOCOL), ..RouteFilter::default() };
            let to_pod = |net: &IpNet| found.pod.addresses.iter().any(|address| address.addr() == net.addr());
            if netlink.routes(&filter)?.iter().any(|route| route.dst.as_ref().is_some_and(to_pod)) {
                return Ok(Some(Way::Network { shim: shim.name.clone() }));
            }
        }
        if found.pod.addresses.is_empty() {
            return none("it has no address");
        }
        if !self.parent.link.is_up() {
            return none("the parent is down");
        }
        Ok(None)
    }
}

fn pod_link(netns: NetNs, link: &Link, mac: MacAddr) -> Result<PodLink> {
    let socket = Netlink::open_in(&netns)?;
    Ok(PodLink { netns, socket, index: link.index, name: link.name.clone(), mac, mtu: link.mtu })
}

/// The shims of all networks, and ours.
fn all_shims(netlink: &mut Netlink) -> Result<Vec<Link>> {
    let mut links = netlink.links()?;
    links.retain(is_shim);
    Ok(links)
}

fn is_shim(link: &Link) -> bool {
    link.alias.as_deref().is_some_and(|alias| alias.starts_with(ALIAS))
}

/// How [`attach::host_access`] names its shims to people.
const ALIAS: &str = "llano host access, network ";

fn alias(network: &str) -> String {
    format!("{ALIAS}{network}")
}

fn own_shim(netlink: &mut Netlink, parent: &str) -> Result<Option<Link>> {
    let own = alias(&network(parent));
    Ok(netlink.links()?.into_iter().find(|link| link.alias.as_deref() == Some(&own)))
}

/// Removes a container's entries for a shim; whether there were any.
fn forget(link: &mut PodLink, shim: MacAddr) -> Result<bool> {
    let neighbours = link.socket.neighbours(Some(link.index))?;
    let ours: Vec<_> =
        neighbours.into_iter().filter(|n| n.mac == Some(shim) && n.state & NUD_PERMANENT != 0).collect();
    let hosts: Vec<IpAddr> = ours.iter().map(|neighbour| neighbour.address).collect();
    let filter = RouteFilter { oif: Some(link.index), protocol: Some(PROTOCOL), ..RouteFilter::default() };
    let routes = link.socket.routes(&filter)?;
    let to_host = routes.into_iter().filter(|r| r.dst.is_some_and(|dst| hosts.contains(&dst.addr())));
    let mut changes: Vec<Change> = to_host.map(Change::DeleteRoute).collect();
    changes.extend(ours.into_iter().map(Change::DeleteNeighbour));
    match link.socket.apply_all(&changes) {
        Err((_, error)) if !error.is_not_found() => Err(error.into()),
        _ => Ok(!changes.is_empty()),
    }
}

fn env(attachment: &ValidAttachment) -> Env {
    Env {
        verb: Verb::Add,
        container_id: attachment.container_id.clone(),
        netns: None,
        ifname: attachment.ifname.clone(),
        args: String::new(),
        path: Vec::new(),
        netns_override: false,
    }
}

fn result(pod: &Pod) -> CniResult {
    let ips =
        pod.addresses.iter().map(|address| IpConfig { address: *address, gateway: None, interface: None });
    CniResult { ips: ips.collect(), ..CniResult::default() }
}
