//! `llano: {host-access: move}` of a declared state, and what it says no more.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{MoveAddress, alias_of, moved, rename, stable_mac};
use crate::plan::{is_kernels_address, uses};
use crate::state::{HostAccess, HostAccessWay, Interface, InterfaceState, Ip, Llano, RouteEntry, RuleEntry};
use crate::{Link, Network, Result, State, Wanted};

/// Lets what is declared of host access follow: moves the addresses of a merged state, or moves them back.
///
/// # Errors
/// As [`MoveAddress::wanted`].
pub(crate) fn declare(wanted: &mut Wanted) -> Result<()> {
    for (parent, access) in wanted.host_access.clone() {
        match access {
            HostAccess { way: Some(HostAccessWay::Move), name, keep_mac } => {
                let how = MoveAddress { child: name, keep_mac, ..MoveAddress::new(&parent) };
                forth(wanted, &how)?;
            }
            _ => back(wanted, &parent),
        }
    }
    Ok(())
}

/// The macvlan that the address of `parent` was moved to.
pub(crate) fn child_of(network: &Network, parent: &str) -> Option<String> {
    let alias = alias_of(parent);
    let is_it = |link: &Link| link.alias.as_ref() == Some(&alias) && link.parent.as_deref() == Some(parent);
    network.links.iter().find(|(_, link)| is_it(link)).map(|(name, _)| name.clone())
}

/// A state as it is meant where addresses were moved: what it says of the parent's is said of the child's.
pub(crate) fn as_meant(mut state: State, current: &Network) -> State {
    for parent in current.links.keys() {
        let Some(child) = child_of(current, parent) else { continue };
        if state.interface(&child).is_some() {
            // It knows of the move, as what `show` prints.
            continue;
        }
        if let Some(interface) = state.interfaces.iter_mut().find(|interface| interface.name == *parent) {
            let (ipv4, ipv6) = (interface.ipv4.take(), interface.ipv6.take());
            if ipv4.is_some() || ipv6.is_some() {
                let own = Interface { name: child.clone(), ipv4, ipv6, ..Interface::default() };
                state.interfaces.push(own);
            }
        }
        let routes = state.routes.config.iter_mut().map(|route| &mut route.next_hop_interface);
        let rules = state.route_rules.config.iter_mut().map(|rule| &mut rule.iif);
        for name in routes.chain(rules).filter(|name| name.as_ref() == Some(parent)) {
            *name = Some(child.clone());
        }
    }
    state
}

/// What a move on the command line declares: with it the addresses and routes, which nobody else may bring back after
/// a boot. What is there for a time only is not declared.
pub fn declaration(how: &MoveAddress, current: &Network) -> State {
    let access =
        HostAccess { way: Some(HostAccessWay::Move), name: how.child.clone(), keep_mac: how.keep_mac };
    let llano = Llano { host_access: Some(access), ..Llano::default() };
    let mut interface = Interface { name: how.parent.clone(), llano: Some(llano), ..Interface::default() };
    let mut state = State::default();
    if child_of(current, &how.parent).is_none() {
        interface.state = Some(InterfaceState::Up);
        let shown = State::of(current);
        let now = shown.interface(&how.parent);
        interface.ipv4 = now.and_then(|now| now.ipv4.clone()).and_then(lasting);
        interface.ipv6 = now.and_then(|now| now.ipv6.clone()).and_then(lasting);
        // A route without the address that its gateway is reached by would stop the boot.
        let (v4, v6) = (interface.ipv4.is_some(), interface.ipv6.is_some());
        let stands = |route: &RouteEntry| match route.destination {
            Some(IpNet::V4(_)) => v4,
            Some(IpNet::V6(_)) => v6,
            None => false,
        };
        let by = |route: &RouteEntry| route.next_hop_interface.as_ref() == Some(&how.parent) && stands(route);
        state.routes.config = shown.routes.config.into_iter().filter(by).collect();
        let iif = |rule: &RuleEntry| rule.iif.as_ref() == Some(&how.parent);
        state.route_rules.config = shown.route_rules.config.into_iter().filter(iif).collect();
    }
    state.interfaces.push(interface);
    state
}

fn lasting(ip: Ip) -> Option<Ip> {
    let mut list = ip.address?;
    // The kernel makes its own.
    list.retain(|address| !matches!(address.ip, IpAddr::V6(ip) if ip.is_unicast_link_local()));
    // What somebody lends is his to give again.
    let forever = list.iter().all(|address| address.valid_life_time.is_none());
    (forever && !list.is_empty()).then(|| Ip { enabled: Some(true), address: Some(list), ..Ip::default() })
}

fn forth(wanted: &mut Wanted, how: &MoveAddress) -> Result<()> {
    let name = how.child();
    let there = child_of(&wanted.network, &how.parent);
    if there.as_ref().is_some_and(|there| *there != name) {
        back(wanted, &how.parent);
    }
    if there.as_ref() != Some(&name) {
        let moved = how.wanted(&wanted.network)?;
        wanted.notes.extend(how.notes(&wanted.network));
        wanted.network = moved.network;
    }
    touch(wanted, &how.parent, &name);
    Ok(())
}

/// Gives the parent back what its macvlan has; nothing where nothing was moved.
fn back(wanted: &mut Wanted, parent: &str) {
    let Some(name) = child_of(&wanted.network, parent) else { return };
    let network = &mut wanted.network;
    let Some(child) = network.links.remove(&name) else { return };
    if let Some(link) = network.links.get_mut(parent) {
        let (of_child, of_parent) = (child.mac, link.mac);
        let hardware = link.permanent_mac.or(of_parent);
        let own = hardware.is_some_and(|mac| of_child == Some(stable_mac(mac, &name)));
        let mut addresses = moved(&child, &name, parent);
        if own {
            addresses.extend(link.addresses.iter().filter(|a| is_kernels_address(a, of_parent)).cloned());
        } else {
            // The MACs were exchanged, and the link-local address is of the MAC.
            link.mac = of_child;
            let kernels = child.addresses.iter().filter(|a| is_kernels_address(a, of_child));
            addresses.extend(kernels.cloned());
            link.addr_gen_mode = child.addr_gen_mode;
        }
        link.addresses = addresses;
        link.neighbours = child.neighbours;
        for setting in ["ipv6/accept_ra", "ipv6/autoconf"] {
            if let Some(value) = child.sysctls.get(setting) {
                link.sysctls.insert(setting.to_owned(), value.clone());
            }
        }
    }
    take_routes(network, &name, parent);
    touch(wanted, parent, &name);
}

fn take_routes(network: &mut Network, from: &str, to: &str) {
    for route in network.routes.iter_mut().filter(|route| uses(route, from)) {
        rename(route, from, to);
    }
    for rule in &mut network.rules {
        for interface in [&mut rule.iif, &mut rule.oif] {
            if interface.as_deref() == Some(from) {
                *interface = Some(to.to_owned());
            }
        }
    }
    // What was said of both is one now.
    let mut seen = Vec::new();
    network.routes.retain(|route| {
        let again = crate::plan::routes::is_among(&seen, route);
        if !again {
            seen.push(route.clone());
        }
        !again
    });
}

fn touch(wanted: &mut Wanted, parent: &str, child: &str) {
    wanted.affected.extend(BTreeSet::from([parent.to_owned(), child.to_owned()]));
    wanted.rules = true;
}
