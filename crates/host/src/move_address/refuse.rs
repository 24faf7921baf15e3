//! When addresses are not moved.

use kernel::uapi::{IFA_F_MANAGETEMPADDR, IFAPROT_KERNEL_RA, RTPROT_DHCP};

use super::MoveAddress;
use crate::plan::{is_kernels_address, uses};
use crate::{Kind, Network, Result};

pub(super) fn refuse(how: &MoveAddress, current: &Network) -> Result<()> {
    let no = |why: String| Err(how.refused(why));
    let (parent, child) = (&how.parent, how.child());
    let Some(link) = current.links.get(parent) else { return no("there is no such interface".to_owned()) };
    match &link.kind {
        Kind::Loopback => return no("a loopback is on no LAN".to_owned()),
        Kind::Macvlan(_) | Kind::Macvtap(_) => {
            return no(format!(
                "it is a macvlan itself, a macvlan made on it lands on its parent {}",
                link.parent.as_deref().unwrap_or("")
            ));
        }
        Kind::Vxlan(_)
        | Kind::Physical
        | Kind::Bond(_)
        | Kind::Vlan(_)
        | Kind::Veth
        | Kind::Bridge
        | Kind::Dummy => {}
        Kind::Other(kind) => return no(format!("a {kind} carries no macvlan")),
    }
    if let Some(controller) = &link.controller {
        return no(format!("it is a port of {controller}: the addresses are there"));
    }
    if !link.up {
        return no("it is down".to_owned());
    }
    if child == *parent
        || child.is_empty()
        || child.len() > kernel::uapi::IFNAME_MAX
        || child.contains(['/', ' '])
    {
        return no(format!("{child:?} is no name for the macvlan: 1 to 15 bytes, another than the parent's"));
    }
    if current.links.contains_key(&child) {
        return no(format!("there is an interface {child} already: give another name"));
    }
    let mut own = link.addresses.iter().filter(|address| !is_kernels_address(address, link.mac)).peekable();
    if own.peek().is_none() {
        return no("it has no address to move".to_owned());
    }
    for address in own {
        let by_router = address.proto == IFAPROT_KERNEL_RA || address.flags & IFA_F_MANAGETEMPADDR != 0;
        if by_router && address.net.addr().is_ipv6() {
            // With its MAC the child makes the same address of the next advertisement, and so keeps it fresh.
            if how.keep_mac && link.addr_gen_mode == Some(kernel::uapi::ADDR_GEN_MODE_EUI64) {
                continue;
            }
            return no(format!(
                "{} comes from router advertisements and belongs to its MAC: exchange the MACs (--keep-mac), or set \
                 net.ipv6.conf.{parent}.autoconf to 0 and give the host an address by hand",
                address.net
            ));
        }
        // Who renews it while it is running is found by the owners of the interface.
        let by_dhcp = |route: &crate::Route| uses(route, parent) && route.route.protocol == RTPROT_DHCP;
        if address.valid.is_some() && current.routes.iter().any(by_dhcp) {
            return no(format!(
                "{} has a lease: its DHCP client would put it back on {parent}. Let the client serve {child} instead, or \
                 give the host an address by hand",
                address.net
            ));
        }
    }
    Ok(())
}
