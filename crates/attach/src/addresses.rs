//! The addresses and routes of an attachment: from a CNI result to changes for the kernel, and back for CHECK.

use std::net::Ipv6Addr;
use std::time::Duration;

use cni::CniResult;
use ipnet::{IpNet, Ipv6Net};
use kernel::uapi::{IFA_F_DADFAILED, IFA_F_NODAD, IFA_F_OPTIMISTIC, RT_SCOPE_LINK, RT_TABLE_LOCAL};
use kernel::{Address, Change, Family, Netlink, Route, RouteFilter, sysctl};

use crate::link::{PodLink, unless_absent};
use crate::{Error, Result};

const TABLE_MAIN: u32 = 254;

/// How the uniqueness of an IPv6 address is ensured; none of them sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dad {
    /// RFC 4429: usable at once, while the kernel asks the LAN in the background.
    Optimistic,
    /// We asked ourselves ([`crate::probe`]): the kernel need not.
    Done,
}

/// The addresses of a result that go on interface `index`.
pub(crate) fn planned_addresses(result: &CniResult, index: u32, dad: Dad) -> Vec<Address> {
    result
        .ips
        .iter()
        .map(|ip| {
            let mut address = Address::new(index, ip.address).with_broadcast();
            if ip.address.addr().is_ipv6() {
                address.flags = match dad {
                    Dad::Optimistic => IFA_F_OPTIMISTIC,
                    Dad::Done => IFA_F_NODAD,
                };
            }
            address
        })
        .collect()
}

/// The routes of a result as the kernel gets them.
///
/// A route without a gateway of its own goes through the gateway of its family, as the reference does, unless its
/// destination lies in a subnet of the interface or its scope is the link: those neighbours are on the link. A route to
/// the interface's own subnet is then the connected route, which the kernel has made with the address.
pub(crate) fn planned_routes(result: &CniResult, index: u32) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::with_capacity(result.routes.len());
    for wanted in &result.routes {
        let family_is_v6 = wanted.dst.addr().is_ipv6();
        let in_subnet = result.ips.iter().any(|ip| ip.address.trunc().contains(&wanted.dst));
        let on_link = wanted.gw.is_none() && (in_subnet || wanted.scope == Some(RT_SCOPE_LINK));
        let gateway = match (wanted.gw, on_link) {
            (Some(gateway), _) => Some(gateway),
            (None, true) => None,
            (None, false) => result
                .ips
                .iter()
                .filter_map(|ip| ip.gateway)
                .find(|gateway| gateway.is_ipv6() == family_is_v6),
        };
        let connected = on_link && result.ips.iter().any(|ip| ip.address.trunc() == wanted.dst.trunc());
        if connected && wanted.table.is_none_or(|table| table == TABLE_MAIN) && wanted.priority.is_none() {
            continue;
        }
        let mut route = Route::to(wanted.dst);
        route.gateway = gateway;
        route.oif = Some(index);
        route.scope = wanted.scope;
        route.priority = wanted.priority;
        route.mtu = wanted.mtu;
        route.advmss = wanted.advmss;
        if let Some(table) = wanted.table {
            route.table = table;
        }
        if !routes.contains(&route) {
            routes.push(route);
        }
    }
    routes
}

/// Puts addresses on the link, sets it up and adds the routes: one message to the kernel.
///
/// # Errors
/// The first change that the kernel refused; the caller deletes the link.
pub(crate) fn configure(link: &mut PodLink, result: &CniResult, dad: Dad) -> Result<()> {
    if result.ips.iter().any(|ip| ip.address.addr().is_ipv6()) {
        let name = link.name.clone();
        link.netns.run(|| prepare_ipv6(&name, dad))??;
    }
    let mut changes: Vec<Change> =
        planned_addresses(result, link.index, dad).into_iter().map(Change::AddAddress).collect();
    if changes.iter().any(|change| matches!(change, Change::AddAddress(own) if own.net.addr().is_ipv6())) {
        changes.push(Change::ReplaceAddress(link_local(link)));
    }
    changes.push(link.up_change());
    changes.extend(planned_routes(result, link.index).into_iter().map(Change::AddRouteBeside));
    link.socket.apply_all(&changes).map_err(|(_, error)| error)?;
    await_local(link, result, dad)
}

/// The address that the kernel would make of the MAC, without asking the LAN: nobody else has the MAC. The kernel asks
/// for neighbours from no optimistic address, so without this one a pod could not begin to talk for a second or two.
fn link_local(link: &PodLink) -> Address {
    let [a, b, c, d, e, f] = link.mac.0.map(u16::from);
    let ip = Ipv6Addr::new(0xfe80, 0, 0, 0, (a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f);
    let mut address = Address::new(link.index, Ipv6Net::new_assert(ip, 64).into());
    address.flags = IFA_F_NODAD;
    address
}

/// Waits until IPv6 addresses receive: the kernel makes their local routes in the background, a moment after it has
/// said yes. On a link without a carrier it does not before there is one; the bound is for what we do not foresee.
///
/// When that background work ran before the link was up, the kernel forgets that an optimistic address may receive at
/// once (`addrconf_dad_run` does not add its route): such an address is put on again, now that the link is up.
fn await_local(link: &mut PodLink, result: &CniResult, dad: Dad) -> Result<()> {
    let mut missing = planned_addresses(result, link.index, dad);
    missing.retain(|address| address.net.addr().is_ipv6());
    let filter = RouteFilter {
        family: Some(Family::V6),
        table: Some(RT_TABLE_LOCAL),
        oif: Some(link.index),
        ..RouteFilter::default()
    };
    let mut pause = Duration::from_micros(50);
    // 51 ms of sleep at most.
    while !missing.is_empty() && pause < Duration::from_millis(30) {
        let routes = link.socket.routes(&filter)?;
        missing.retain(|address| {
            let local = Some(IpNet::from(address.net.addr()));
            !routes.iter().any(|route| route.dst == local)
        });
        if missing.is_empty() || link.socket.link_by_index(link.index)?.is_none_or(|link| !link.is_lower_up())
        {
            break;
        }
        if pause == PATIENCE {
            let again = missing.iter().flat_map(|address| {
                [Change::DeleteAddress(address.clone()), Change::AddAddress(address.clone())]
            });
            link.socket.apply_all(&again.collect::<Vec<_>>()).map_err(|(_, error)| error)?;
        }
        std::thread::sleep(pause);
        pause *= 2;
    }
    Ok(())
}

/// The pause of [`await_local`] at which an address counts as forgotten: after 0.35 ms.
const PATIENCE: Duration = Duration::from_micros(400);

/// Makes IPv6 work on the interface; the thread is in the pod's namespace.
fn prepare_ipv6(name: &str, dad: Dad) -> Result<()> {
    // Some runtimes switch IPv6 off in a new namespace; an IPv6 address was asked for.
    for interface in ["lo", name] {
        let key = format!("net/ipv6/conf/{interface}/disable_ipv6");
        if sysctl::read(&key).is_ok_and(|value| value.trim() != "0") {
            sysctl::write(&key, "0")?;
        }
    }
    sysctl::write(&format!("net/ipv6/conf/{name}/keep_addr_on_down"), "1")?;
    if dad == Dad::Optimistic {
        unless_absent(sysctl::write(&format!("net/ipv6/conf/{name}/optimistic_dad"), "1"))?;
        unless_absent(sysctl::write(&format!("net/ipv6/conf/{name}/use_optimistic"), "1"))?;
    }
    Ok(())
}

/// CHECK: every address and route of the result is on the interface.
///
/// # Errors
/// [`Error::Mismatch`] naming the first one that is not, or what the kernel said.
pub(crate) fn check(socket: &mut Netlink, result: &CniResult, index: u32, ifname: &str) -> Result<()> {
    let present = socket.addresses(Some(index))?;
    for ip in &result.ips {
        let Some(found) = present.iter().find(|address| address.net == ip.address) else {
            return Err(Error::Mismatch(format!(
                "Failed to match addr {} on interface {ifname}",
                ip.address
            )));
        };
        if found.flags & IFA_F_DADFAILED != 0 {
            return Err(Error::Mismatch(format!(
                "address {} on interface {ifname} is used by another machine of the LAN (DADFAILED)",
                ip.address
            )));
        }
    }
    let routes = socket.routes(&RouteFilter { oif: Some(index), ..RouteFilter::default() })?;
    let in_any_table = |wanted: &Route| {
        // A later plugin of the chain (sbr) may have moved it.
        routes.iter().any(|route| {
            let same = (route.family, route.dst) == (wanted.family, wanted.dst);
            // The kernel makes one route with many next hops of IPv6 routes that differ in nothing else.
            let hop = || route.nexthops.iter().any(|hop| hop.oif == index && hop.gateway == wanted.gateway);
            same && (wanted.gateway.is_none() || route.gateway == wanted.gateway || hop())
        })
    };
    // A /32 or /128 has no connected route of its own.
    let subnets =
        result.ips.iter().map(|ip| ip.address).filter(|net| net.prefix_len() != net.max_prefix_len());
    let wanted = subnets.map(Route::to).chain(planned_routes(result, index));
    for route in wanted {
        if !in_any_table(&route) {
            let dst = route.dst.map_or_else(|| "default".to_owned(), |dst| dst.to_string());
            return Err(Error::Mismatch(format!(
                "Expected Route {dst} not found in routing table of {ifname}"
            )));
        }
    }
    Ok(())
}
