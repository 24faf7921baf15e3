//! Addresses of one declared interface.

use ipnet::IpNet;
use kernel::Address;
use kernel::uapi::{IFA_F_MANAGETEMPADDR, IFA_F_PERMANENT, RT_SCOPE_LINK};

use super::Merge;
use crate::plan::addresses::as_listed;
use crate::same::{is_link_local, made_by_kernel};
use crate::state::interface::{Declared, Interface, Ip, IpAddress};
use crate::state::keys_of;
use crate::{Error, Link, Result};

/// `IFAPROT_KERNEL_RA`.
const FROM_ADVERTISEMENT: u8 = 2;

impl Merge<'_> {
    pub(super) fn addresses(&mut self, interface: &Interface) -> Result<()> {
        let Some(link) = self.wanted.network.links.get_mut(&interface.name) else { return Ok(()) };
        for (family, key) in [(Declared::V4, "ipv4"), (Declared::V6, "ipv6")] {
            let Some(ip) = interface.ip(family) else { continue };
            let path = format!("{}.{key}", keys_of(&interface.name));
            if link.controller.is_some() && ip.address.as_ref().is_some_and(|list| !list.is_empty()) {
                let what = format!(
                    "cannot be: the interface is a port; declare the address of {}",
                    link.controller.as_deref().unwrap_or_default()
                );
                return Err(Error::key(format!("{path}.address"), what));
            }
            one_family(link, family, ip, &path)?;
        }
        Ok(())
    }
}

fn one_family(link: &mut Link, family: Declared, ip: &Ip, path: &str) -> Result<()> {
    let ours = |address: &Address| address.net.addr().is_ipv4() == (family == Declared::V4);
    let held: Vec<Address> =
        link.addresses.iter().filter(|address| ours(address) && is_leased(address)).cloned().collect();
    // One that the file itself declares, for a time, is nobody else's.
    let here = |address: &Address| ip.address.iter().flatten().any(|own| own.ip == address.net.addr());
    let leased: Vec<Address> = held.iter().filter(|address| !here(address)).cloned().collect();
    let advertised =
        |address: &Address| address.proto == FROM_ADVERTISEMENT || address.flags & IFA_F_MANAGETEMPADDR != 0;
    let owned = [
        (
            "dhcp",
            ip.dhcp,
            held.iter().any(|address| !advertised(address)),
            leased.iter().find(|address| !advertised(address)),
            "a DHCP client holds",
            "llano runs no DHCP client for the host: start one (systemd-networkd, dhclient), or declare the address",
        ),
        (
            "autoconf",
            ip.autoconf,
            held.iter().any(&advertised),
            leased.iter().find(|address| advertised(address)),
            "router advertisements gave",
            "llano does not turn advertisements on: set net.ipv6.conf accept_ra and autoconf, or declare the address",
        ),
    ];
    for (key, said, any, other, by, how) in owned {
        match (said, other) {
            (Some(true), _) if !any => {
                return Err(Error::key(format!("{path}.{key}"), format!("cannot be true: {how}")));
            }
            (Some(false), Some(address)) => {
                let what = format!("cannot be false: {by} {} here; stop that first", address.net);
                return Err(Error::key(format!("{path}.{key}"), what));
            }
            _ => {}
        }
    }
    if ip.enabled == Some(false) {
        if let Some(address) = leased.first() {
            return Err(Error::key(
                format!("{path}.enabled"),
                format!("cannot be false: another tool holds {} here; stop that first", address.net),
            ));
        }
        link.addresses.retain(|address| !ours(address));
        link.ipv6_disabled |= family == Declared::V6;
        return Ok(());
    }
    if family == Declared::V6 && (ip.enabled == Some(true) || ip.address.is_some()) {
        link.ipv6_disabled = false;
    }
    link.addr_gen_mode = match ip.addr_gen_mode.as_deref() {
        Some("eui64") => Some(0),
        Some("none") => Some(1),
        Some("stable-privacy") => Some(2),
        Some("random") => Some(3),
        _ => link.addr_gen_mode,
    };
    let Some(list) = &ip.address else { return Ok(()) };
    let before = link.addresses.clone();
    link.addresses.retain(|address| !ours(address));
    let mut wanted = Vec::new();
    for declared in list {
        let address = address(declared);
        let there = before.iter().find(|old| old.net == address.net);
        // What is there keeps what the language has no words for.
        let merged = there.map_or(address.clone(), |old| Address {
            valid: if is_leased(old) && declared.valid_life_time.is_none() {
                old.valid
            } else {
                address.valid
            },
            preferred: if is_leased(old) && declared.valid_life_time.is_none() {
                old.preferred
            } else {
                address.preferred
            },
            ..old.clone()
        });
        wanted.push(merged);
    }
    let missing = |address: &&Address| !list.iter().any(|declared| declared.ip == address.net.addr());
    let kept = |address: &&Address| {
        ours(address)
            && missing(address)
            && (is_leased(address)
                || (is_link_local(address) && made_by_kernel(link.mac, link.addr_gen_mode, address)))
    };
    let kept: Vec<Address> = before.iter().filter(kept).cloned().collect();
    // What another tool holds is first, where it is: no primary of its subnet comes before it.
    let list = if family == Declared::V4 { [kept, wanted].concat() } else { [wanted, kept].concat() };
    link.addresses.extend(list);
    link.addresses = as_listed(std::mem::take(&mut link.addresses));
    Ok(())
}

/// Whether another tool keeps it alive.
fn is_leased(address: &Address) -> bool {
    address.valid.is_some() && address.flags & IFA_F_PERMANENT == 0
}

fn address(declared: &IpAddress) -> Address {
    // The prefix length was looked at when the file was read.
    let net = IpNet::new(declared.ip, declared.prefix_length).unwrap_or_else(|_| declared.ip.into());
    let mut address = Address::new(0, net).with_broadcast();
    address.valid = declared.valid_life_time.and_then(|life| life.0);
    address.preferred = declared.preferred_life_time.and_then(|life| life.0).or(address.valid);
    if is_link_local(&address) {
        address.scope = RT_SCOPE_LINK;
    }
    address
}
