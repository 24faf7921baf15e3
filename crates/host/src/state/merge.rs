//! A declared state merged into the current network: what is not said stays.

mod ip;
mod kind;
mod rest;
mod settle;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use kind::type_of;
pub(super) use rest::declared as declared_route;
pub(crate) use settle::{is_passthru, order};

use super::interface::{Identifier, Interface, InterfaceType};
use super::{State, keys_of};
use crate::plan::can_be_made;
use crate::{Error, Kind, Link, Network, Result, Wanted};

/// The merge under work.
pub(super) struct Merge<'a> {
    state: &'a State,
    current: &'a Network,
    wanted: Wanted,
    /// Ports that a bond takes, with the bond.
    taken: BTreeMap<String, String>,
}

impl State {
    /// The network that this state wants, given the current one.
    ///
    /// # Errors
    /// What cannot be applied, by its key path; nothing was changed.
    pub fn wanted(&self, current: &Network) -> Result<Wanted> {
        let state = crate::move_address::as_meant(self.found(current)?, current);
        let wanted = Wanted { network: current.clone(), ..Wanted::default() };
        let mut merge = Merge { state: &state, current, wanted, taken: BTreeMap::new() };
        for interface in state.interfaces.iter().filter(|interface| interface.is_absent()) {
            merge.remove(interface)?;
        }
        let declared = || state.interfaces.iter().filter(|i| !i.is_absent() && !i.is_ignored());
        for interface in declared() {
            merge.link(interface)?;
        }
        for interface in declared() {
            merge.ports(interface)?;
        }
        for interface in declared() {
            merge.addresses(interface)?;
        }
        merge.settle()?;
        merge.without_orphans();
        merge.routes()?;
        merge.rules()?;
        merge.children();
        let mut wanted = merge.wanted;
        crate::host_access::forget_shims(&mut wanted.network, &wanted.host_access);
        crate::move_address::declare(&mut wanted)?;
        Ok(wanted)
    }

    /// Interfaces that are found by MAC get the name they have here.
    fn found(&self, current: &Network) -> Result<Self> {
        let mut state = self.clone();
        let mut names = BTreeMap::new();
        for interface in &mut state.interfaces {
            let (Some(Identifier::MacAddress), Some(mac)) = (interface.identifier, interface.mac_address)
            else {
                continue;
            };
            let is = |link: &&String| {
                current.links.get(*link).is_some_and(|link| {
                    matches!(link.kind, Kind::Physical | Kind::Veth)
                        && link.permanent_mac.or(link.mac) == Some(mac)
                })
            };
            let Some(found) = current.links.keys().find(is) else {
                let path = format!("{}.mac-address", keys_of(&interface.name));
                return Err(Error::key(path, format!("{mac} is no interface's here")));
            };
            names.insert(interface.name.clone(), found.clone());
            // It is found: from here on it goes by its name.
            (interface.identifier, interface.mac_address) = (None, None);
        }
        let mend = |name: &mut String| {
            if let Some(found) = names.get(name) {
                name.clone_from(found);
            }
        };
        for interface in &mut state.interfaces {
            mend(&mut interface.name);
            interface.controller.iter_mut().for_each(mend);
            if let Some(bond) = &mut interface.link_aggregation {
                bond.port.iter_mut().flatten().for_each(mend);
                bond.options.primary.iter_mut().for_each(mend);
            }
            interface.vlan.iter_mut().for_each(|vlan| vlan.base_iface.iter_mut().for_each(mend));
            interface.mac_vlan.iter_mut().for_each(|macvlan| macvlan.base_iface.iter_mut().for_each(mend));
            interface.mac_vtap.iter_mut().for_each(|macvlan| macvlan.base_iface.iter_mut().for_each(mend));
            interface.copy_mac_from.iter_mut().for_each(mend);
        }
        state.routes.config.iter_mut().for_each(|route| route.next_hop_interface.iter_mut().for_each(mend));
        state.route_rules.config.iter_mut().for_each(|rule| rule.iif.iter_mut().for_each(mend));
        state.check()?;
        Ok(state)
    }
}

impl Merge<'_> {
    /// A VLAN goes down with what it is on, be it for a moment, and loses its routes and IPv6 addresses: it is looked at too.
    fn children(&mut self) {
        loop {
            let affected = &self.wanted.affected;
            let on_it = |(name, link): &(&String, &Link)| {
                matches!(link.kind, Kind::Vlan(_))
                    && !affected.contains(*name)
                    && link.parent.as_ref().is_some_and(|parent| affected.contains(parent))
                    && self.state.interface(name).is_none_or(|interface| !interface.is_ignored())
            };
            let links = self.wanted.network.links.iter();
            let children: Vec<String> = links.filter(on_it).map(|(name, _)| name.clone()).collect();
            if children.is_empty() {
                return;
            }
            self.wanted.affected.extend(children);
        }
    }

    fn touch(&mut self, name: &str) {
        self.wanted.affected.insert(name.to_owned());
    }

    /// An absent interface: made ones go, with what is on them; hardware is only stripped.
    fn remove(&mut self, interface: &Interface) -> Result<()> {
        let name = &interface.name;
        let Some(link) = self.wanted.network.links.get_mut(name) else { return Ok(()) };
        let refuse = |what: String| Err(Error::key(format!("{}.state", keys_of(name)), what));
        match &link.kind {
            Kind::Loopback => {
                return refuse("cannot be absent: it is the loopback".to_owned());
            }
            Kind::Physical => {
                *link = Link {
                    up: false,
                    promiscuous: false,
                    controller: None,
                    addresses: Vec::new(),
                    neighbours: Vec::new(),
                    ..link.clone()
                };
                self.without_routes(name);
            }
            _ => self.delete(name)?,
        }
        self.touch(name);
        Ok(())
    }

    /// Takes a link out, releases its ports, and takes out what is on it: only what could be brought back.
    fn delete(&mut self, name: &str) -> Result<()> {
        if let Some(why) = self.wanted.network.links.get(name).and_then(cannot_come_back) {
            let what = format!("cannot be absent: {why}, and could not bring it back; use ip link del");
            return Err(Error::key(format!("{}.state", keys_of(name)), what));
        }
        self.wanted.network.links.remove(name);
        self.touch(name);
        self.without_routes(name);
        let mut released = Vec::new();
        let mut on_it = Vec::new();
        for (other, link) in &mut self.wanted.network.links {
            if link.controller.as_deref() == Some(name) {
                link.controller = None;
                link.mac = self.state.interface(other).and_then(|interface| interface.mac_address);
                released.push(other.clone());
            }
            if link.parent.as_deref() == Some(name) && stands_on_parent(&link.kind) {
                on_it.push(other.clone());
            }
        }
        released.iter().for_each(|port| self.touch(port));
        for child in on_it {
            if let Some(why) = self.wanted.network.links.get(&child).and_then(cannot_come_back) {
                let what =
                    format!("cannot be absent: {child} on it would go too, and {why}; remove that first");
                return Err(Error::key(format!("{}.state", keys_of(name)), what));
            }
            if self.state.interface(&child).is_none_or(|child| !child.is_absent()) {
                self.wanted.notes.push(format!("{child} goes with {name}, on which it is"));
            }
            self.delete(&child)?;
        }
        Ok(())
    }

    /// Takes the routes by an interface out.
    fn without_routes(&mut self, name: &str) {
        self.wanted.network.routes.retain_mut(|route| {
            let hops = route.hops.len();
            route.hops.retain(|hop| hop.dev != name);
            route.dev.as_deref() != Some(name) && (hops == 0 || !route.hops.is_empty())
        });
    }

    /// The lists of ports, and `controller` of a port.
    fn ports(&mut self, interface: &Interface) -> Result<()> {
        if let Some(ports) = interface.ports() {
            let bond = &interface.name;
            let released: Vec<String> = self
                .wanted
                .network
                .links
                .iter()
                .filter(|(name, link)| link.controller.as_deref() == Some(bond) && !ports.contains(name))
                .map(|(name, _)| name.clone())
                .collect();
            for port in released {
                self.release(&port);
            }
            for port in ports {
                self.enslave(port, bond, &format!("{}.link-aggregation.port", keys_of(bond)))?;
            }
        }
        match interface.controller.as_deref() {
            None => Ok(()),
            Some("") => {
                self.release(&interface.name);
                Ok(())
            }
            Some(bond) => {
                self.enslave(&interface.name, bond, &format!("{}.controller", keys_of(&interface.name)))
            }
        }
    }

    fn release(&mut self, port: &str) {
        if let Some(link) = self.wanted.network.links.get_mut(port)
            && link.controller.take().is_some()
        {
            // Otherwise the kernel gives it the MAC it had.
            link.mac = self.state.interface(port).and_then(|interface| interface.mac_address);
            self.touch(port);
        }
    }

    fn enslave(&mut self, port: &str, bond: &str, path: &str) -> Result<()> {
        let links = &mut self.wanted.network.links;
        match links.get(bond) {
            Some(Link { kind: Kind::Bond(_), .. }) => {}
            Some(_) => return Err(Error::key(path, format!("{bond} is no bond"))),
            None => return Err(Error::key(path, format!("there is no interface {bond}; declare it"))),
        }
        if let Some(child) = links.iter().find(|(_, link)| {
            link.parent.as_deref() == Some(port) && matches!(link.kind, Kind::Macvlan(_) | Kind::Macvtap(_))
        }) {
            return Err(Error::key(
                path,
                format!("{port} cannot be a port: the macvlan {} is on it; put that on {bond}", child.0),
            ));
        }
        let Some(link) = links.get_mut(port) else {
            return Err(Error::key(
                path,
                format!("there is no interface {port}; declare it, or mend the name"),
            ));
        };
        if link.kind == Kind::Loopback {
            return Err(Error::key(path, format!("{port} cannot be a port: it is the loopback")));
        }
        if let Some(key) = self.state.interface(port).and_then(|port| port.mac_address).map(|_| "mac-address")
        {
            return Err(Error::key(
                format!("{}.{key}", keys_of(port)),
                format!("is the bond's to choose; declare it of {bond}"),
            ));
        }
        if link.controller.as_deref() != Some(bond) {
            link.controller = Some(bond.to_owned());
            self.taken.insert(port.to_owned(), bond.to_owned());
            self.touch(port);
            self.touch(bond);
        }
        Ok(())
    }
}

/// Why a link would be lost for good.
fn cannot_come_back(link: &Link) -> Option<String> {
    match &link.kind {
        _ if link.kind != Kind::Bridge && can_be_made(link) => None,
        kind if stands_on_parent(kind) && link.parent.is_none() => {
            Some("llano cannot reach its parent in another namespace".to_owned())
        }
        // Not even a bridge: llano makes a plain one at best.
        kind => Some(format!("llano makes no {}", kind.name())),
    }
}

/// Whether a link of this kind goes when its parent does.
pub(crate) fn stands_on_parent(kind: &Kind) -> bool {
    matches!(kind, Kind::Vlan(_) | Kind::Macvlan(_) | Kind::Macvtap(_))
        || matches!(kind, Kind::Other(name) if name == "ipvlan")
}

/// The names that a link hangs on: its parent, and the ports of a bond.
pub(crate) fn below<'a>(network: &'a Network, name: &'a str) -> BTreeSet<&'a str> {
    let parent = network
        .links
        .get(name)
        .filter(|link| stands_on_parent(&link.kind))
        .and_then(|link| link.parent.as_deref());
    let ports = network.links.iter().filter(move |(_, link)| link.controller.as_deref() == Some(name));
    parent.into_iter().chain(ports.map(|(port, _)| port.as_str())).collect()
}

fn type_name(kind: InterfaceType) -> &'static str {
    match kind {
        InterfaceType::Ethernet => "ethernet",
        InterfaceType::Bond => "bond",
        InterfaceType::Vlan => "vlan",
        InterfaceType::MacVlan => "mac-vlan",
        InterfaceType::MacVtap => "mac-vtap",
        InterfaceType::Veth => "veth",
        InterfaceType::Dummy => "dummy",
        InterfaceType::LinuxBridge => "linux-bridge",
        InterfaceType::Vxlan => "vxlan",
        InterfaceType::Loopback => "loopback",
        InterfaceType::Unknown => "unknown",
    }
}
