//! The shim itself: a macvlan on the host's side that keeps silent.

use std::path::Path;

use kernel::{Change, Link, LinkKind, MacAddr, Macvlan, MacvlanMode, Netlink, NewLink, SetLink, sysctl};

use crate::Result;
use crate::link::{fnv1a, lower_index, unless_absent};

/// `/proc/sys/net/ipv6/conf/*/addr_gen_mode`: no link-local address.
const ADDR_GEN_NONE: &str = "1";

/// A shim that is ready.
pub(super) struct Shim {
    pub(super) index: u32,
    pub(super) mac: MacAddr,
}

/// `ll`, six hex digits of the network, `-`, six of the parent: 15 characters, the kernel's limit.
pub(super) fn name(network: &str, parent: &str) -> String {
    format!("{}{:06x}", prefix(network), fnv1a(&[parent.as_bytes()]) & 0xff_ffff)
}

fn prefix(network: &str) -> String {
    format!("ll{:06x}-", fnv1a(&[network.as_bytes()]) & 0xff_ffff)
}

/// What `ip link` shows people beside the name, and tells two networks of one hash apart.
fn alias(network: &str) -> String {
    let shown: String = network.chars().take(200).collect();
    format!("llano host access, network {shown}")
}

/// The shims of a network that may have a route of an attachment on `parent`, or all there are.
pub(super) fn names(
    host: &mut Netlink,
    network: &str,
    parent: Option<&str>,
    locks: &Path,
) -> Result<Vec<String>> {
    let prefix = prefix(network);
    if let Some(parent) = parent.filter(|parent| !parent.is_empty()) {
        let mut names = vec![name(network, parent)];
        // At ADD the configuration may have named another: every shim of this boot has a lock.
        for file in std::fs::read_dir(locks).into_iter().flatten().flatten() {
            let file = file.file_name();
            let locked = file.to_str().and_then(|file| file.strip_suffix(".lock"));
            names.extend(locked.filter(|name| name.starts_with(&prefix)).map(str::to_owned));
        }
        names.sort_unstable();
        names.dedup();
        let mut there = Vec::new();
        for name in names {
            if host.index_of(&name)?.is_some() {
                there.push(name);
            }
        }
        return Ok(there);
    }
    let alias = alias(network);
    let links = host.links()?.into_iter();
    let ours = links.filter(|link| link.name.starts_with(&prefix) && link.alias.as_deref() == Some(&alias));
    Ok(ours.map(|link| link.name).collect())
}

/// Finds the shim or makes it; finishes one that a killed ADD left half made.
pub(super) fn ensure(host: &mut Netlink, parent: &Link, network: &str) -> Result<Shim> {
    let name = name(network, &parent.name);
    let found = host.link_by_name(&name)?;
    if let Some(Shim { index, mac }) = found.as_ref().filter(|link| is_ready(link, parent)).and_then(shim_of)
    {
        return Ok(Shim { index, mac });
    }
    match found {
        // Half made by a killed ADD, or changed by hand: finish it, pods may be using it.
        Some(Link { index, mac: Some(mac), parent: Some(on), kind: LinkKind::Macvlan(_), .. })
            if Some(on) == lower_index(parent) =>
        {
            silence_and_raise(host, &name)?;
            return Ok(Shim { index, mac });
        }
        // The parent was made anew under its old name.
        Some(stale) => delete(host, stale.index)?,
        None => {}
    }
    let mac = MacAddr::random()?;
    let kind = LinkKind::Macvlan(Macvlan { mode: MacvlanMode::Bridge, ..Macvlan::default() });
    let mut new = NewLink::new(&name, kind);
    new.parent = Some(parent.index);
    // Explicit: udev rewrites a MAC that the kernel chose.
    new.mac = Some(mac);
    // In the same send: there is no moment in which GC would not know it for ours.
    new.alias = Some(alias(network));
    host.apply(&Change::AddLink(new))?;
    let made = silence_and_raise(host, &name);
    if made.is_err() {
        let _ = host.apply(&Change::DeleteLinkByName(name));
    }
    made.map(|index| Shim { index, mac })
}

fn shim_of(link: &Link) -> Option<Shim> {
    link.mac.map(|mac| Shim { index: link.index, mac })
}

fn is_ready(link: &Link, parent: &Link) -> bool {
    link.parent == lower_index(parent)
        && link.is_up()
        && link.no_arp()
        && matches!(link.kind, LinkKind::Macvlan(_))
        && link.alias.is_some()
}

/// Everything that keeps frames of its own off the LAN is set before it goes up.
fn silence_and_raise(host: &mut Netlink, name: &str) -> Result<u32> {
    // On a host that routes, the shim was born into the group of all routers, and would report it to the LAN. MLD of
    // version 1 leaves a group in silence; without IFF_MULTICAST it never joins again. What is routed to a pod asks
    // the host's own switch.
    let quiet = [
        ("force_mld_version", "1"),
        ("forwarding", "0"),
        ("addr_gen_mode", ADDR_GEN_NONE),
        ("accept_ra", "0"),
        ("autoconf", "0"),
    ];
    for (key, value) in quiet {
        unless_absent(sysctl::write(&format!("net/ipv6/conf/{name}/{key}"), value))?;
    }
    let index = host.index_of(name)?.unwrap_or_default();
    let quiet = SetLink { arp: Some(false), multicast: Some(false), ..SetLink::default() };
    let up = SetLink { up: Some(true), ..SetLink::default() };
    host.apply_all(&[Change::SetLink { index, set: quiet }, Change::SetLink { index, set: up }])
        .map_err(|(_, error)| error)?;
    Ok(index)
}

/// Deletes a shim; gone already is fine.
pub(super) fn delete(host: &mut Netlink, index: u32) -> Result<()> {
    match host.apply(&Change::DeleteLink { index }) {
        Err(error) if error.errno() == Some(kernel::Errno::NODEV) => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_kernel_and_differ_by_network_and_parent() {
        let names =
            [name("a", "eth0"), name("a", "eth1"), name("b", "eth0"), name(&"n".repeat(300), "bond0.100")];
        for (position, name) in names.iter().enumerate() {
            assert_eq!(name.len(), 15, "{name}");
            assert!(!names.iter().skip(position + 1).any(|other| other == name), "{name} twice");
        }
        assert!(alias(&"ü".repeat(400)).len() < 512);
    }
}
