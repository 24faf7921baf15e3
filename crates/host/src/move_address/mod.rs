//! Moving the host's address from an interface to a macvlan on it, so that the host and its own containers reach each
//! other as neighbours on the LAN.
//!
//! The move is only a network computed from the current one: everything that the parent had is the child's. Planning,
//! doing, verifying and taking back are the machinery's.

mod declare;
mod refuse;
#[cfg(test)]
mod tests;

pub use declare::declaration;
pub(crate) use declare::{as_meant, declare};

use std::collections::{BTreeMap, BTreeSet};

use kernel::uapi::{ADDR_GEN_MODE_NONE, IFNAME_MAX};
use kernel::{Address, MacAddr, Macvlan, MacvlanMode};

use crate::plan::{is_kernels_address, uses};
use crate::state::{HostAccessWay, Interface};
use crate::{Error, Kind, Link, Network, Result, Route, Wanted};

/// What to move, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveAddress {
    /// The interface that has the addresses now.
    pub parent: String,
    /// The name of the macvlan; `None` is `mv-` and the parent's name.
    pub child: Option<String>,
    /// Exchange the MACs, so that the LAN sees the host under the one it knows.
    pub keep_mac: bool,
}

impl MoveAddress {
    /// The child's own MAC by default.
    pub fn new(parent: impl Into<String>) -> Self {
        Self { parent: parent.into(), child: None, keep_mac: false }
    }

    /// What a file says of an interface.
    pub fn declared(interface: &Interface) -> Option<Self> {
        let access = interface.llano.as_ref()?.host_access.as_ref()?;
        (access.way == Some(HostAccessWay::Move)).then(|| Self {
            parent: interface.name.clone(),
            child: access.name.clone(),
            keep_mac: access.keep_mac,
        })
    }

    /// The macvlan's name.
    pub fn child(&self) -> String {
        if let Some(child) = &self.child {
            return child.clone();
        }
        let name = format!("mv-{}", self.parent);
        if name.len() <= IFNAME_MAX {
            name
        } else {
            format!("mv-{:012x}", fnv1a(self.parent.as_bytes()) & 0xffff_ffff_ffff)
        }
    }

    /// The macvlan that the address of an interface was moved to.
    pub fn child_of(network: &Network, parent: &str) -> Option<String> {
        declare::child_of(network, parent)
    }

    /// Whether the addresses are on the child already.
    pub fn is_done(&self, current: &Network) -> bool {
        let child = current.links.get(&self.child());
        child.is_some_and(|link| {
            link.alias.as_deref() == Some(&self.alias()) && link.parent.as_ref() == Some(&self.parent)
        })
    }

    fn alias(&self) -> String {
        alias_of(&self.parent)
    }

    /// The network with everything moved. The same network when it is moved already.
    ///
    /// # Errors
    /// [`Error::Move`] when it cannot be done, or somebody else would fight over it.
    pub fn wanted(&self, current: &Network) -> Result<Wanted> {
        let name = self.child();
        let affected = BTreeSet::from([self.parent.clone(), name.clone()]);
        if self.is_done(current) {
            return Ok(Wanted { network: current.clone(), affected, rules: true, ..Wanted::default() });
        }
        refuse::refuse(self, current)?;
        let parent =
            current.links.get(&self.parent).ok_or_else(|| self.refused("there is no such interface"))?;
        let mac = parent.mac.ok_or_else(|| self.refused("it has no MAC"))?;
        let mut network = current.clone();
        let own = stable_mac(parent.permanent_mac.unwrap_or(mac), &name);
        let (of_parent, of_child) = if self.keep_mac { (own, mac) } else { (mac, own) };
        network.links.insert(name.clone(), self.child_link(parent, of_child));
        network.links.insert(self.parent.clone(), bare(parent, of_parent, self.keep_mac));
        for route in network.routes.iter_mut().filter(|route| uses(route, &self.parent)) {
            rename(route, &self.parent, &name);
        }
        for rule in &mut network.rules {
            for interface in [&mut rule.iif, &mut rule.oif] {
                if interface.as_ref() == Some(&self.parent) {
                    *interface = Some(name.clone());
                }
            }
        }
        Ok(Wanted { network, affected, rules: true, ..Wanted::default() })
    }

    /// What a person should know though it does not stop the move.
    fn notes(&self, current: &Network) -> Vec<String> {
        let Some(parent) = current.links.get(&self.parent) else { return Vec::new() };
        let lent =
            moved(parent, &self.parent, &self.child()).into_iter().filter_map(|a| Some((a.net, a.valid?)));
        let note = |(net, left)| {
            format!("{net} has another {left} s, and nobody is known to renew it on {}", self.child())
        };
        lent.map(note).collect()
    }

    fn child_link(&self, parent: &Link, mac: MacAddr) -> Link {
        Link {
            kind: Kind::Macvlan(Macvlan::new(MacvlanMode::Bridge)),
            parent: Some(self.parent.clone()),
            controller: None,
            mac: Some(mac),
            permanent_mac: None,
            alias: Some(self.alias()),
            promiscuous: false,
            all_multicast: false,
            tx_queue_len: 1000,
            addresses: moved(parent, &self.parent, &self.child()),
            ..parent.clone()
        }
    }

    fn refused(&self, why: impl Into<String>) -> Error {
        Error::Move { parent: self.parent.clone(), why: why.into() }
    }
}

/// What `ip link` shows of the child, and what it is known by.
fn alias_of(parent: &str) -> String {
    format!("llano host address of {parent}")
}

/// The parent without what it had: it neither speaks nor listens for itself.
fn bare(parent: &Link, mac: MacAddr, keep_mac: bool) -> Link {
    let mut sysctls = parent.sysctls.clone();
    let off = ["ipv6/accept_ra", "ipv6/autoconf"].map(|setting| (setting.to_owned(), "0".to_owned()));
    let known: BTreeMap<String, String> =
        off.into_iter().filter(|(setting, _)| sysctls.contains_key(setting)).collect();
    sysctls.extend(known);
    let own = parent.addresses.iter().filter(|a| is_kernels_address(a, parent.mac)).cloned().collect();
    Link {
        mac: Some(mac),
        neighbours: Vec::new(),
        // Its link-local address is made of its MAC: it stays with the MAC.
        addr_gen_mode: parent.addr_gen_mode.map(|mode| if keep_mac { ADDR_GEN_MODE_NONE } else { mode }),
        addresses: if keep_mac { Vec::new() } else { own },
        sysctls,
        ..parent.clone()
    }
}

/// The parent's addresses without those that the kernel makes; a label that names the parent names the child.
fn moved(parent: &Link, from: &str, to: &str) -> Vec<Address> {
    let own = |address: &&Address| !is_kernels_address(address, parent.mac);
    let mut addresses: Vec<Address> = parent.addresses.iter().filter(own).cloned().collect();
    for address in &mut addresses {
        let rest = address
            .label
            .as_ref()
            .and_then(|label| label.strip_prefix(from))
            .filter(|rest| rest.starts_with(':'));
        if let Some(label) = rest.map(|rest| format!("{to}{rest}")).filter(|label| label.len() <= IFNAME_MAX)
        {
            address.label = Some(label);
        }
    }
    addresses
}

fn rename(route: &mut Route, from: &str, to: &str) {
    let hops = route.hops.iter_mut().map(|hop| &mut hop.dev);
    for dev in route.dev.iter_mut().chain(hops) {
        if dev == from {
            to.clone_into(dev);
        }
    }
}

/// The same after every boot, so that a switch and the neighbours know it again.
fn stable_mac(parent: MacAddr, child: &str) -> MacAddr {
    let bytes: Vec<u8> = parent.0.into_iter().chain(child.bytes()).collect();
    let [a, b, c, d, e, f, ..] = fnv1a(&bytes).to_be_bytes();
    // Local, and of one machine.
    MacAddr([a & 0xfc | 2, b, c, d, e, f])
}

/// FNV-1a of 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
