//! What is a difference and what is only the kernel's doing.

use std::net::IpAddr;

use kernel::uapi::*;
use kernel::{Address, MacAddr};

use crate::{Kind, Link, Network, Route};

/// `IFAPROT_KERNEL_LL`.
const LINK_LOCAL: u8 = 3;

/// Whether it is an IPv6 link-local address.
pub(crate) fn is_link_local(address: &Address) -> bool {
    matches!(address.net.addr(), IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// Whether the kernel makes this address by itself on a link of this MAC and mode.
pub(crate) fn made_by_kernel(mac: Option<MacAddr>, mode: Option<u8>, address: &Address) -> bool {
    let IpAddr::V6(ip) = address.net.addr() else { return false };
    if !ip.is_unicast_link_local() || address.net.prefix_len() != 64 {
        return false;
    }
    let from_mac =
        mac.is_some_and(|MacAddr([a, b, c, d, e, f])| ip.octets()[8..] == [a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    address.proto == LINK_LOCAL || matches!(mode, Some(2 | 3)) || from_mac
}

/// Whether a route counts: not those that the kernel makes for addresses.
pub(crate) fn counts(route: &Route) -> bool {
    let made = route.route.protocol == RTPROT_KERNEL || route.route.protocol == RTPROT_RA;
    let kind = matches!(route.route.kind, RTN_LOCAL | RTN_BROADCAST | RTN_ANYCAST | RTN_MULTICAST);
    let multicast = route.route.dst.is_some_and(|dst| dst.addr().is_multicast());
    !made && !kind && !multicast
}

/// The kernel's metric when none is said.
pub(crate) fn metric(route: &Route) -> u32 {
    if route.route.family == kernel::Family::V6 { 1024 } else { 0 }
}

/// Whether a route is by one of these interfaces, or by none.
pub(crate) fn is_by(route: &Route, by: impl Fn(&str) -> bool, nowhere: bool) -> bool {
    match (&route.dev, route.hops.is_empty()) {
        (Some(dev), _) => by(dev),
        (None, false) => route.hops.iter().any(|hop| by(&hop.dev)),
        (None, true) => nowhere,
    }
}

/// Whether the MAC and MTU of a link are its bond's to choose.
pub(crate) fn is_port(network: &Network, link: &Link) -> bool {
    let bond = link.controller.as_ref().and_then(|name| network.links.get(name));
    bond.is_some_and(|bond| matches!(bond.kind, Kind::Bond(_)))
}

/// Whether a bond's MAC is that of its active port, or of the first that was: with `fail_over_mac` the kernel sets none
/// that is asked for. Other modes than active-backup do not know the option.
pub(crate) fn mac_follows(link: &Link) -> bool {
    const ACTIVE_BACKUP: u8 = 1;
    matches!(&link.kind, Kind::Bond(bond) if bond.options.mode() == ACTIVE_BACKUP
        && bond.options.number(IFLA_BOND_FAIL_OVER_MAC).is_some_and(|way| way != 0))
}

/// Addresses in the order in which the kernel lists them when they are added in the order given: of IPv4 the first of
/// each subnet, then the others; of IPv6 any.
pub(crate) fn in_order<'a>(list: &[&'a Address]) -> Vec<&'a Address> {
    let v4: Vec<&Address> = list.iter().copied().filter(|address| address.net.addr().is_ipv4()).collect();
    let subnet = |address: &Address| (address.net.trunc(), address.peer);
    let (mut primary, mut secondary): (Vec<&Address>, Vec<&Address>) = (Vec::new(), Vec::new());
    for address in v4 {
        if primary.iter().any(|first| subnet(first) == subnet(address)) {
            secondary.push(address);
        } else {
            primary.push(address);
        }
    }
    primary.append(&mut secondary);
    primary
}
