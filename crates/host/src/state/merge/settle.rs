//! What follows from the declared: ports and parents, MACs, MTUs; and what cannot be.

use std::collections::{BTreeMap, BTreeSet};

use kernel::uapi::VLAN_FLAG_LOOSE_BINDING;
use kernel::{MacAddr, MacvlanMode};

use super::{Merge, below, stands_on_parent};
use crate::same::{mac_follows, made_by_kernel};
use crate::state::keys_of;
use crate::{Error, Kind, Link, Network, Result};

/// What a new bond has.
const ETHERNET_MTU: u32 = 1500;

impl Merge<'_> {
    pub(super) fn settle(&mut self) -> Result<()> {
        self.forget_primaries();
        self.check_parents()?;
        let order = order(&self.wanted.network)?;
        self.take_over();
        self.passthru_gone();
        for name in &order {
            self.mac(name)?;
            self.mac_of_parent(name)?;
            self.mtu(name)?;
            self.up(name)?;
        }
        self.check_passthru()?;
        self.check_macs()
    }

    /// With a port its bond's primary goes, unless it is just being said.
    fn forget_primaries(&mut self) {
        let controllers: BTreeMap<String, Option<String>> = self
            .wanted
            .network
            .links
            .iter()
            .map(|(name, link)| (name.clone(), link.controller.clone()))
            .collect();
        for (name, link) in &mut self.wanted.network.links {
            let said = self.state.interface(name).and_then(|bond| bond.link_aggregation.as_ref());
            if said.is_some_and(|said| said.options.primary.is_some()) {
                continue;
            }
            if let Kind::Bond(bond) = &mut link.kind {
                bond.primary
                    .take_if(|primary| controllers.get(primary).and_then(Option::as_ref) != Some(name));
            }
        }
    }

    fn check_parents(&self) -> Result<()> {
        let network = &self.wanted.network;
        for name in &self.wanted.affected {
            let Some(link) = network.links.get(name) else { continue };
            if let Some(parent) = link.parent.as_ref().filter(|_| stands_on_parent(&link.kind)) {
                let path = format!("{}.base-iface", keys_of(name));
                let Some(below) = network.links.get(parent) else {
                    return Err(Error::key(
                        path,
                        format!("is {parent}, which is not there; declare it, or mend the name"),
                    ));
                };
                if matches!(below.kind, Kind::Loopback) {
                    return Err(Error::key(path, "cannot be the loopback"));
                }
                if matches!(link.kind, Kind::Macvlan(_) | Kind::Macvtap(_)) {
                    if let Some(bond) = &below.controller {
                        return Err(Error::key(
                            path,
                            format!("is {parent}, a port of {bond}; put it on {bond}"),
                        ));
                    }
                    if matches!(below.kind, Kind::Macvlan(_) | Kind::Macvtap(_)) {
                        let real = below.parent.clone().unwrap_or_default();
                        return Err(Error::key(
                            path,
                            format!("is {parent}, a macvlan; the kernel would put it on {real}: say that"),
                        ));
                    }
                }
            }
            if let (Kind::Bond(bond), Some(primary)) = (&link.kind, bond_primary(link)) {
                if network.links.get(primary).and_then(|port| port.controller.as_deref()) != Some(name) {
                    let path = format!("{}.link-aggregation.options.primary", keys_of(name));
                    return Err(Error::key(path, format!("is {primary}, which is none of its ports")));
                }
                let _ = bond;
            }
        }
        // Two children of one parent with one tag.
        let mut tags = BTreeMap::new();
        for (name, link) in &network.links {
            if let (Kind::Vlan(vlan), Some(parent)) = (&link.kind, &link.parent)
                && let Some(other) = tags.insert((parent, vlan.id, vlan.protocol as u8), name)
                && [name, other].iter().any(|name| self.wanted.affected.contains(*name))
            {
                return Err(Error::key(
                    format!("{}.vlan.id", keys_of(name)),
                    format!("{} on {parent} is {other}'s already", vlan.id),
                ));
            }
        }
        Ok(())
    }

    /// A port loses its addresses and routes; a new bond of which none are declared takes them.
    fn take_over(&mut self) {
        for (port, bond) in std::mem::take(&mut self.taken) {
            let Some(link) = self.wanted.network.links.get_mut(&port) else { continue };
            let (mac, mode) = (link.mac, link.addr_gen_mode);
            let mut addresses = std::mem::take(&mut link.addresses);
            link.neighbours.clear();
            addresses.retain(|address| !made_by_kernel(mac, mode, address));
            let declared =
                self.state.interface(&bond).is_some_and(|bond| bond.ipv4.is_some() || bond.ipv6.is_some());
            let takes = !declared
                && !self.current.links.contains_key(&bond)
                && self.wanted.network.links.get(&bond).is_some_and(|bond| bond.addresses.is_empty());
            if !takes || addresses.is_empty() {
                if !addresses.is_empty() {
                    self.wanted.notes.push(format!("{port} loses its addresses: a port has none"));
                }
                self.without_routes(&port);
                continue;
            }
            self.wanted.notes.push(format!("{bond} takes the addresses and routes of {port}"));
            for route in &mut self.wanted.network.routes {
                let hops = route.hops.iter_mut().map(|hop| &mut hop.dev);
                route
                    .dev
                    .iter_mut()
                    .chain(hops)
                    .filter(|dev| **dev == port)
                    .for_each(|dev| dev.clone_from(&bond));
            }
            if let Some(bond) = self.wanted.network.links.get_mut(&bond) {
                addresses.iter_mut().for_each(|address| {
                    // A label begins with the name of the interface.
                    if address.label.as_ref().is_some_and(|label| label.starts_with(&port)) {
                        address.label = None;
                    }
                });
                bond.addresses = addresses;
            }
        }
    }

    /// A MAC given at birth is never rewritten by udev; those of VLANs are their parent's.
    fn mac(&mut self, name: &str) -> Result<()> {
        let links = &self.wanted.network.links;
        let Some(link) = links.get(name) else { return Ok(()) };
        let declared = self.state.interface(name);
        if let Some(from) = declared.and_then(|declared| declared.copy_mac_from.as_deref()) {
            let path = format!("{}.copy-mac-from", keys_of(name));
            let source = links.get(from).or_else(|| self.current.links.get(from));
            let mac = source.and_then(|link| {
                self.current.links.get(from).and_then(|link| link.permanent_mac.or(link.mac)).or(link.mac)
            });
            let mac =
                mac.ok_or_else(|| Error::key(path, format!("is {from}, which is not there or has no MAC")))?;
            self.set_mac(name, Some(mac));
            return Ok(());
        }
        if declared.is_some_and(|declared| declared.mac_address.is_some()) {
            if mac_follows(link) {
                let what =
                    "cannot be said with fail_over_mac, by which the ports choose; take one of the two out";
                return Err(Error::key(format!("{}.mac-address", keys_of(name)), what));
            }
            return Ok(());
        }
        let changed_parent = link.parent.as_ref().is_some_and(|parent| {
            let mac = |network: &Network| network.links.get(parent).and_then(|link| link.mac);
            self.wanted.affected.contains(parent)
                && mac(self.current) == link.mac
                && mac(&self.wanted.network) != link.mac
        });
        // The bond below may have another by then.
        let by_port = link.parent.as_ref().is_some_and(|parent| {
            links.get(parent).is_some_and(mac_follows)
                && self.current.links.get(parent).is_none_or(|parent| parent.mac == link.mac)
        });
        let before = self.current.links.get(name).map(|link| &link.kind);
        let (was_there, was_passthru) = (before.is_some(), before.is_some_and(is_passthru));
        let mac = match &link.kind {
            Kind::Vlan(_) if changed_parent || by_port => None,
            // In passthru it has its parent's; a MAC that was declared for another mode is not pressed on the parent.
            kind if is_passthru(kind) && !was_passthru && was_there => None,
            kind if was_there && was_passthru == is_passthru(kind) => return Ok(()),
            Kind::Bond(_) if mac_follows(link) => None,
            Kind::Bond(_) => self.first_port(name).or_else(|| Some(stable_mac(name, None))),
            Kind::Macvlan(macvlan) | Kind::Macvtap(macvlan) if macvlan.mode != MacvlanMode::Passthru => {
                let parent = link.parent.as_ref().and_then(|parent| {
                    let now = self.current.links.get(parent).and_then(|link| link.permanent_mac.or(link.mac));
                    now.or_else(|| links.get(parent).and_then(|link| link.mac))
                });
                Some(stable_mac(name, parent))
            }
            Kind::Dummy => Some(stable_mac(name, None)),
            _ => return Ok(()),
        };
        self.set_mac(name, mac);
        Ok(())
    }

    /// A macvlan in mode passthru has its parent's MAC: which of the two is declared is that of both.
    fn mac_of_parent(&mut self, name: &str) -> Result<()> {
        let links = &self.wanted.network.links;
        let Some(link) = links.get(name).filter(|link| is_passthru(&link.kind)) else { return Ok(()) };
        let Some((parent, below)) =
            link.parent.as_ref().and_then(|name| Some((name.clone(), links.get(name)?)))
        else {
            return Ok(());
        };
        let declared = |name: &str| self.state.interface(name).and_then(|interface| interface.mac_address);
        let mac = match (declared(name), declared(&parent)) {
            (Some(mine), Some(its)) if mine != its => {
                let what =
                    format!("is {mine}, but in mode passthru it has that of its parent {parent}, {its}");
                return Err(Error::key(format!("{}.mac-address", keys_of(name)), what));
            }
            (Some(_), _) if mac_follows(below) => {
                let what = format!(
                    "cannot be said: in mode passthru it has that of {parent}, whose active port chooses"
                );
                return Err(Error::key(format!("{}.mac-address", keys_of(name)), what));
            }
            (Some(mine), _) => Some(mine),
            (None, _) if mac_follows(below) => None,
            (None, _) => below.mac,
        };
        if mac.is_some() && mac != below.mac {
            self.wanted.notes.push(format!("{parent} gets the MAC of {name}, which is in mode passthru"));
            self.touch(&parent);
            self.set_mac(&parent, mac);
        }
        self.set_mac(name, mac);
        Ok(())
    }

    /// When a macvlan in mode passthru goes the kernel gives its parent back the MAC that it had.
    fn passthru_gone(&mut self) {
        for (name, old) in self.current.links.iter().filter(|(_, link)| is_passthru(&link.kind)) {
            let new = self.wanted.network.links.get(name);
            if new.is_some_and(|new| is_passthru(&new.kind) && new.parent == old.parent) {
                continue;
            }
            let Some(parent) = &old.parent else { continue };
            if self.state.interface(parent).is_none_or(|parent| parent.mac_address.is_none())
                && self.wanted.network.links.contains_key(parent)
            {
                self.set_mac(parent, None);
                self.touch(parent);
            }
        }
    }

    fn set_mac(&mut self, name: &str, mac: Option<MacAddr>) {
        if let Some(link) = self.wanted.network.links.get_mut(name) {
            link.mac = mac;
        }
    }

    /// The MAC that the kernel would give a new bond: its first port's.
    fn first_port(&self, bond: &str) -> Option<MacAddr> {
        let declared = self.state.interface(bond).and_then(|bond| bond.ports()).into_iter().flatten();
        let port = declared.into_iter().next().cloned().or_else(|| {
            let links = self.wanted.network.links.iter();
            links
                .filter(|(_, link)| link.controller.as_deref() == Some(bond))
                .map(|(name, _)| name.clone())
                .next()
        })?;
        let link = self.current.links.get(&port)?;
        link.permanent_mac.filter(|mac| !mac.is_zero()).or(link.mac)
    }

    /// A port has its bond's MTU, a child at most its parent's.
    fn mtu(&mut self, name: &str) -> Result<()> {
        let links = &self.wanted.network.links;
        let Some(link) = links.get(name) else { return Ok(()) };
        let declared = |name: &str| self.state.interface(name).and_then(|interface| interface.mtu);
        if let Some((bond, above)) = link.controller.as_ref().and_then(|bond| Some((bond, links.get(bond)?)))
            && matches!(above.kind, Kind::Bond(_))
        {
            // A bond that is new and of which none is declared gets the kernel's.
            let mtu = if above.mtu == 0 { ETHERNET_MTU } else { above.mtu };
            if let Some(said) = declared(name).filter(|said| *said != mtu) {
                let what = format!(
                    "is {said}, but a port has its bond's, and {bond} has {mtu}: declare it of {bond}"
                );
                return Err(Error::key(format!("{}.mtu", keys_of(name)), what));
            }
            // What is on the port hears of it.
            if let Some(link) = self.wanted.network.links.get_mut(name) {
                link.mtu = mtu;
            }
            return Ok(());
        }
        let Some((parent, below)) =
            link.parent.as_ref().and_then(|parent| Some((parent, links.get(parent)?)))
        else {
            return Ok(());
        };
        if !stands_on_parent(&link.kind) || below.mtu == 0 || link.mtu <= below.mtu {
            return Ok(());
        }
        if !self.wanted.affected.contains(name) && !self.wanted.affected.contains(parent) {
            return Ok(());
        }
        let mtu = below.mtu;
        if declared(name).is_some() {
            let what = format!(
                "is {}, more than {mtu} of its parent {parent}: declare {}.mtu too",
                link.mtu,
                keys_of(parent)
            );
            return Err(Error::key(format!("{}.mtu", keys_of(name)), what));
        }
        let (name, parent) = (name.to_owned(), parent.clone());
        self.wanted.notes.push(format!("{name} gets MTU {mtu}, that of its parent {parent}"));
        self.touch(&name);
        if let Some(link) = self.wanted.network.links.get_mut(&name) {
            link.mtu = mtu;
        }
        Ok(())
    }

    /// What is up needs what it is on to be up.
    fn up(&mut self, name: &str) -> Result<()> {
        let links = &self.wanted.network.links;
        let (Some(link), true) = (links.get(name), self.wanted.affected.contains(name)) else {
            return Ok(());
        };
        if !link.up {
            let loose =
                |kind: &Kind| matches!(kind, Kind::Vlan(vlan) if vlan.flags & VLAN_FLAG_LOOSE_BINDING != 0);
            let child = links.iter().find(|(_, child)| {
                child.parent.as_deref() == Some(name)
                    && child.up
                    && matches!(child.kind, Kind::Vlan(_))
                    && !loose(&child.kind)
            });
            let Some((child, _)) = child else { return Ok(()) };
            let child = child.clone();
            if self.state.interface(&child).is_some_and(|child| !child.is_ignored()) {
                return Err(Error::key(
                    format!("{}.state", keys_of(name)),
                    format!("is down, but {child} on it is up"),
                ));
            }
            self.wanted.notes.push(format!("{child} goes down with {name}"));
            self.touch(&child);
            if let Some(child) = self.wanted.network.links.get_mut(&child) {
                child.up = false;
            }
            return Ok(());
        }
        for other in below(&self.wanted.network, name).into_iter().map(str::to_owned).collect::<Vec<_>>() {
            let Some(link) = self.wanted.network.links.get_mut(&other) else { continue };
            if !link.up && self.state.interface(&other).is_none_or(|interface| interface.state.is_none()) {
                link.up = true;
                self.wanted.notes.push(format!("{other} is set up, because {name} needs it"));
                self.touch(&other);
            } else if !link.up
                && self.wanted.network.links.get(name).is_some_and(|link| matches!(link.kind, Kind::Vlan(_)))
            {
                return Err(Error::key(
                    format!("{}.state", keys_of(name)),
                    format!("is up, but {other} below it is down"),
                ));
            }
        }
        Ok(())
    }

    /// A macvlan in mode passthru is the only child of its parent.
    fn check_passthru(&self) -> Result<()> {
        let network = &self.wanted.network;
        let macvlans = || {
            network.links.iter().filter_map(|(name, link)| match &link.kind {
                Kind::Macvlan(macvlan) | Kind::Macvtap(macvlan) => {
                    Some((name, link.parent.as_deref()?, macvlan.mode))
                }
                _ => None,
            })
        };
        for (name, parent, mode) in macvlans() {
            let other = macvlans().find(|(other, on, _)| *other != name && *on == parent);
            if let (MacvlanMode::Passthru, Some((other, ..))) = (mode, other)
                && [name, other].iter().any(|name| self.wanted.affected.contains(*name))
            {
                let what = format!("is passthru, but {other} is on {parent} too; passthru must be alone");
                return Err(Error::key(format!("{}.mac-vlan.mode", keys_of(name)), what));
            }
        }
        Ok(())
    }

    /// Macvlans of one parent need different MACs, and not the parent's.
    fn check_macs(&self) -> Result<()> {
        let links = &self.wanted.network.links;
        let mut seen: BTreeMap<(&str, [u8; 6]), &str> = BTreeMap::new();
        for (name, link) in links {
            let (Kind::Macvlan(macvlan) | Kind::Macvtap(macvlan), Some(parent), Some(mac)) =
                (&link.kind, &link.parent, link.mac)
            else {
                continue;
            };
            if macvlan.mode == MacvlanMode::Passthru
                || !self.wanted.affected.contains(name) && !self.wanted.affected.contains(parent)
            {
                continue;
            }
            let of_parent = links.get(parent).and_then(|link| link.mac) == Some(mac);
            let other = seen.insert((parent, mac.0), name).or(of_parent.then_some(parent.as_str()));
            if let Some(other) = other {
                let what = format!("is {mac}, which {other} has: a macvlan needs one of its own");
                return Err(Error::key(format!("{}.mac-address", keys_of(name)), what));
            }
        }
        Ok(())
    }
}

/// Whether it is a macvlan or macvtap in mode passthru.
pub(crate) fn is_passthru(kind: &Kind) -> bool {
    matches!(kind, Kind::Macvlan(macvlan) | Kind::Macvtap(macvlan) if macvlan.mode == MacvlanMode::Passthru)
}

fn bond_primary(link: &Link) -> Option<&str> {
    match &link.kind {
        Kind::Bond(bond) => bond.primary.as_deref(),
        _ => None,
    }
}

/// What is below comes first.
///
/// # Errors
/// When links hang on each other in a ring.
pub(crate) fn order(network: &Network) -> Result<Vec<String>> {
    let mut done = BTreeSet::new();
    let mut order = Vec::new();
    let mut left: Vec<&str> = network.links.keys().map(String::as_str).collect();
    while !left.is_empty() {
        let before = left.len();
        left.retain(|name| {
            let ready = below(network, name)
                .iter()
                .all(|other| done.contains(*other) || !network.links.contains_key(*other));
            if ready {
                done.insert(*name);
                order.push((*name).to_owned());
            }
            !ready
        });
        if left.len() == before {
            return Err(Error::key(
                keys_of(left.first().copied().unwrap_or_default()),
                format!("hangs on itself, by {}", left.join(", ")),
            ));
        }
    }
    Ok(order)
}

/// The same name on the same parent has the same MAC after every boot: a local address made of both (FNV-1a).
fn stable_mac(name: &str, parent: Option<MacAddr>) -> MacAddr {
    let bytes = parent.map(|mac| mac.0).unwrap_or_default();
    let hash = bytes.iter().chain(name.as_bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let [a, b, c, d, e, f, ..] = hash.to_be_bytes();
    MacAddr([a & 0xfc | 2, b, c, d, e, f])
}
