//! `llano: {host-access: move}` of a declared state, and what it says no more.

use std::collections::BTreeSet;

use super::{MoveAddress, alias_of, moved, rename, stable_mac};
use crate::plan::{is_kernels_address, uses};
use crate::state::{HostAccess, HostAccessWay};
use crate::{Link, Network, Result, Wanted};

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

fn forth(wanted: &mut Wanted, how: &MoveAddress) -> Result<()> {
    let name = how.child();
    let there = child_of(&wanted.network, &how.parent);
    if there.as_ref().is_some_and(|there| *there != name) {
        back(wanted, &how.parent);
    }
    if there.as_ref() == Some(&name) {
        // The state said the parent's addresses anew: they are the child's.
        let Some(parent) = wanted.network.links.get_mut(&how.parent) else { return Ok(()) };
        let new = moved(parent, &how.parent, &name);
        let mac = parent.mac;
        parent.addresses.retain(|address| is_kernels_address(address, mac));
        if let Some(child) = wanted.network.links.get_mut(&name) {
            for v4 in [true, false] {
                let of = |address: &&kernel::Address| address.net.addr().is_ipv4() == v4;
                if new.iter().any(|address| of(&address)) {
                    child.addresses.retain(|address| !of(&address));
                    child.addresses.extend(new.iter().filter(of).cloned());
                }
            }
        }
        take_routes(&mut wanted.network, &how.parent, &name);
    } else {
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
