//! Addresses of one link: which are deleted and added, in an order that ends in the wanted one.
//!
//! IPv4 lists primary addresses by scope, then in the order they were added, then the secondaries as they were added;
//! with its primary a secondary goes too. IPv6 lists by scope, the newest first. [`insert`] and [`remove`] are that
//! behaviour; the plan is what leads there through them.

use ipnet::IpNet;
use kernel::uapi::{
    IFA_F_HOMEADDRESS, IFA_F_MANAGETEMPADDR, IFA_F_MCAUTOJOIN, IFA_F_NODAD, IFA_F_NOPREFIXROUTE,
    IFA_F_SECONDARY, IFAPROT_KERNEL_LL,
};
use kernel::{Address, Family, MacAddr};

/// Flags that are asked for; the others are the kernel's own.
const ASKED: u32 =
    IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;
/// IPv4 knows only these.
const ASKED_V4: u32 = IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;
/// Seconds by which lifetimes may differ: they run while one reads.
const SLACK: u32 = 5;

/// What one link's addresses need.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// In the way of what is added: deleted first.
    pub(crate) before: Vec<Address>,
    /// In this order.
    pub(crate) add: Vec<Address>,
    /// Deleted when what replaces them works.
    pub(crate) after: Vec<Address>,
}

/// Plans one link. `promote` is its `promote_secondaries`.
pub(crate) fn plan(current: &[Address], wanted: &[Address], promote: bool) -> Changes {
    let mut changes = Changes::default();
    for family in Family::ALL {
        let of = |all: &[Address]| -> Vec<Address> {
            all.iter().filter(|a| family_of(a) == family).cloned().collect()
        };
        let one = plan_family(&of(current), &of(wanted), promote);
        changes.before.extend(one.before);
        changes.add.extend(one.add);
        changes.after.extend(one.after);
    }
    changes
}

fn plan_family(current: &[Address], wanted: &[Address], promote: bool) -> Changes {
    let stays = |a: &Address| wanted.iter().any(|b| same_place(a, b));
    let extra: Vec<Address> = current.iter().filter(|a| !stays(a)).cloned().collect();
    let common = wanted.iter().filter(|a| current.iter().any(|b| same_place(a, b))).count();
    // The more can stay where they are, the better; none always works.
    for keep in (0..=common).rev().filter(|keep| *keep == common || common < 64 || *keep == 0) {
        let mut kept = 0;
        let mut moved = Vec::new();
        for address in wanted.iter().filter(|a| current.iter().any(|b| same_place(a, b))) {
            kept += 1;
            if kept > keep {
                moved.extend(current.iter().filter(|b| same_place(address, b)).cloned());
            }
        }
        for late in [true, false] {
            let (before, after) = if late {
                (moved.clone(), extra.clone())
            } else {
                ([moved.clone(), extra.clone()].concat(), Vec::new())
            };
            if let Some(changes) = attempt(current, wanted, before, after, promote) {
                return changes;
            }
        }
    }
    // Secondaries first, as above.
    Changes { before: current.iter().rev().cloned().collect(), add: in_order(wanted), after: Vec::new() }
}

/// Plays the deletions and additions, and says what they are when they end in what is wanted.
fn attempt(
    current: &[Address],
    wanted: &[Address],
    before: Vec<Address>,
    after: Vec<Address>,
    promote: bool,
) -> Option<Changes> {
    let mut list = current.to_vec();
    // Secondaries first: their primary would take them along, and then they could not be deleted.
    let delete = |list: &mut Vec<Address>, all: Vec<Address>| -> Vec<Address> {
        let mut gone = Vec::new();
        for address in all.into_iter().rev() {
            if remove(list, &address, promote) {
                gone.push(address);
            }
        }
        gone
    };
    let before = delete(&mut list, before);
    let mut add = Vec::new();
    for address in in_order(wanted) {
        let there = list.iter().position(|a| same_place(a, &address));
        if there.is_none_or(|at| !alike(&list[at], &address)) {
            insert(&mut list, address.clone());
            add.push(address);
        }
    }
    let after = delete(&mut list, after);
    let ends_well = list.len() == wanted.len() && list.iter().zip(wanted).all(|(a, b)| alike(a, b));
    ends_well.then_some(Changes { before, add, after })
}

/// The order in which they must be added.
fn in_order(wanted: &[Address]) -> Vec<Address> {
    let mut all = wanted.to_vec();
    if all.first().is_some_and(|address| family_of(address) == Family::V6) {
        all.reverse();
    }
    all
}

fn family_of(address: &Address) -> Family {
    Family::of(address.net.addr())
}

fn mask(address: &Address) -> u32 {
    if address.net.addr().is_ipv4() { ASKED_V4 } else { ASKED }
}

/// Whether `a` can become `b` where it is: the rest of an address is changed in place.
pub(crate) fn same_place(a: &Address, b: &Address) -> bool {
    let same = a.net == b.net && a.peer == b.peer && a.scope == b.scope;
    match a.net {
        // Of an IPv4 address only the lifetimes can be changed.
        IpNet::V4(_) => {
            let fixed = |a: &Address| (a.broadcast, a.label.clone(), a.flags & ASKED_V4, a.metric, a.proto);
            same && fixed(a) == fixed(b)
        }
        IpNet::V6(_) => same,
    }
}

/// Whether there is nothing to change.
pub(crate) fn alike(a: &Address, b: &Address) -> bool {
    let left = |a: Option<u32>, b: Option<u32>| match (a, b) {
        (Some(a), Some(b)) => a.abs_diff(b) <= SLACK,
        (a, b) => a == b,
    };
    same_place(a, b)
        && a.flags & mask(a) == b.flags & mask(b)
        && (a.metric, a.proto) == (b.metric, b.proto)
        && left(a.valid, b.valid)
        && left(a.preferred.or(a.valid), b.preferred.or(b.valid))
}

/// Made and removed by the kernel alone: the link-local address of a MAC, a temporary address.
pub(crate) fn is_kernels(address: &Address, mac: Option<MacAddr>) -> bool {
    let IpNet::V6(net) = address.net else { return false };
    address.proto == IFAPROT_KERNEL_LL
        || address.flags & IFA_F_SECONDARY != 0
        || (address.proto == 0 && is_of(address, mac) && net.prefix_len() == 64)
}

/// Whether it is the link-local address of this MAC.
pub(crate) fn is_of(address: &Address, mac: Option<MacAddr>) -> bool {
    mac.is_some_and(|mac| address.net.addr() == link_local(mac))
}

/// Whether it is an IPv6 link-local address.
pub(crate) fn is_link_local(address: &Address) -> bool {
    matches!(address.net, IpNet::V6(net) if net.addr().is_unicast_link_local())
}

/// The address of `addr_gen_mode` eui64.
pub(crate) fn link_local(mac: MacAddr) -> std::net::Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0.map(u16::from);
    std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, ((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f)
}

/// The kernel's rank of an IPv6 address in its list: the scope that its own bits say.
fn rank(address: &Address) -> u8 {
    match address.net {
        IpNet::V6(net) if net.addr().is_loopback() => 1,
        IpNet::V6(net) if net.addr().segments()[0] & 0xffc0 == 0xfe80 => 2,
        IpNet::V6(net) if net.addr().segments()[0] & 0xffc0 == 0xfec0 => 5,
        _ => 14,
    }
}

/// Whether the subnets that IPv4 looks at are one: that of the peer where there is one.
fn one_subnet(a: &Address, b: &Address) -> bool {
    let net = |a: &Address| {
        IpNet::new(a.peer.unwrap_or(a.net.addr()), a.net.prefix_len()).ok().map(|net| net.trunc())
    };
    net(a) == net(b)
}

/// Adds or changes an address as the kernel does.
pub(crate) fn insert(list: &mut Vec<Address>, mut address: Address) {
    let there = |a: &Address| match a.net {
        IpNet::V4(_) => a.net == address.net && a.peer == address.peer,
        IpNet::V6(_) => a.net.addr() == address.net.addr(),
    };
    if let Some(found) = list.iter_mut().find(|a| there(a)) {
        address.flags = address.flags & !IFA_F_SECONDARY | found.flags & IFA_F_SECONDARY;
        *found = address;
        return;
    }
    let family = family_of(&address);
    let at = if family == Family::V6 {
        let rank_of = rank(&address);
        list.iter().position(|a| family_of(a) == family && rank_of >= rank(a))
    } else {
        address.flags &= !IFA_F_SECONDARY;
        let v4 = |a: &&Address| family_of(a) == family;
        if list.iter().filter(v4).any(|a| one_subnet(a, &address)) {
            address.flags |= IFA_F_SECONDARY;
            None
        } else {
            let primary = |a: &Address| a.flags & IFA_F_SECONDARY == 0 && address.scope <= a.scope;
            let last = list.iter().rposition(|a| family_of(a) == family && primary(a));
            Some(last.map_or(0, |last| last + 1))
        }
    };
    // The families are lists of their own.
    let end = list.iter().rposition(|a| family_of(a) == family).map_or(list.len(), |at| at + 1);
    list.insert(at.unwrap_or(end), address);
}

/// IPv4 addresses as the kernel lists them when they are added in this order; the others behind them.
pub(crate) fn as_listed(all: Vec<Address>) -> Vec<Address> {
    let (v4, v6): (Vec<Address>, Vec<Address>) = all.into_iter().partition(|a| a.net.addr().is_ipv4());
    let mut list = Vec::new();
    v4.into_iter().for_each(|address| insert(&mut list, address));
    list.extend(v6);
    list
}

/// Deletes an address as the kernel does; whether it was there.
pub(crate) fn remove(list: &mut Vec<Address>, address: &Address, promote: bool) -> bool {
    let Some(at) =
        list.iter().position(|a| a.net == address.net && (a.peer == address.peer || !a.net.addr().is_ipv4()))
    else {
        return false;
    };
    let gone = list.remove(at);
    let is_secondary = |a: &Address| a.net.addr().is_ipv4() && a.flags & IFA_F_SECONDARY != 0;
    if is_secondary(&gone) || !gone.net.addr().is_ipv4() {
        return true;
    }
    let mine = |a: &Address| is_secondary(a) && one_subnet(a, &gone);
    if !promote {
        list.retain(|a| !mine(a));
    } else if let Some(first) = list.iter().position(mine) {
        let mut heir = list.remove(first);
        heir.flags &= !IFA_F_SECONDARY;
        // It goes behind the last primary that the kernel saw, or stays where it is when nothing was between.
        let last = list
            .iter()
            .rposition(|a| a.net.addr().is_ipv4() && a.flags & IFA_F_SECONDARY == 0 && gone.scope <= a.scope);
        let to = last.map_or(at.min(first), |last| last + 1);
        list.insert(to.min(list.len()), heir);
    }
    true
}

#[cfg(test)]
#[path = "addresses_tests.rs"]
mod tests;
