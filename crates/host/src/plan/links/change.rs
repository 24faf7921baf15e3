//! What changes of one link in place.

use std::collections::BTreeSet;

use kernel::{BondValue, Macvlan};

use super::change;
use crate::plan::{LinkChange, Step};
use crate::same::mac_follows;
use crate::state::{BondMode, BondOption};
use crate::{Bond, Kind, Link};

/// What is not given at birth.
pub(super) fn after_birth(name: &str, new: &Link) -> Vec<Step> {
    let mut steps = Vec::new();
    let set = LinkChange {
        promiscuous: new.promiscuous.then_some(true),
        all_multicast: new.all_multicast.then_some(true),
        arp: (!new.arp).then_some(false),
        alias: new.alias.clone(),
        addr_gen_mode: new.addr_gen_mode.filter(|mode| *mode != 0),
        // The kernel gives it its parent's at birth.
        mac: new.mac.filter(|_| is_passthru(new)),
        ..LinkChange::default()
    };
    if new.ipv6_disabled {
        steps.push(disable_ipv6(name, true));
    }
    if !set.is_empty() {
        steps.push(change(name, set));
    }
    steps
}

fn is_passthru(link: &Link) -> bool {
    matches!(&link.kind, Kind::Macvlan(macvlan) | Kind::Macvtap(macvlan) if macvlan.mode == kernel::MacvlanMode::Passthru)
}

fn disable_ipv6(name: &str, on: bool) -> Step {
    Step::SetSysctl { path: format!("net/ipv6/conf/{name}/disable_ipv6"), value: u8::from(on).to_string() }
}

/// `enslaved`: MAC and MTU are its bond's. `closed`: it has just left a bond, which put back what it was.
pub(super) fn steps(name: &str, old: &Link, new: &Link, enslaved: bool, closed: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    if old.ipv6_disabled != new.ipv6_disabled && !enslaved {
        steps.push(disable_ipv6(name, new.ipv6_disabled));
    }
    let other = |old: bool, new: bool| (old != new).then_some(new);
    let set = LinkChange {
        // What the bond put back nobody knows.
        mtu: Some(new.mtu).filter(|mtu| !enslaved && *mtu != 0 && (*mtu > old.mtu || closed)),
        mac: new.mac.filter(|mac| !enslaved && !mac_follows(new) && (Some(*mac) != old.mac || closed)),
        promiscuous: other(old.promiscuous, new.promiscuous),
        all_multicast: other(old.all_multicast, new.all_multicast),
        arp: other(old.arp, new.arp),
        tx_queue_len: Some(new.tx_queue_len).filter(|len| *len != 0 && *len != old.tx_queue_len),
        alias: (old.alias != new.alias).then(|| new.alias.clone().unwrap_or_default()),
        addr_gen_mode: new.addr_gen_mode.filter(|mode| !enslaved && Some(*mode) != old.addr_gen_mode),
        kind: kind(&old.kind, &new.kind),
        ..LinkChange::default()
    };
    if !set.is_empty() {
        steps.push(change(name, set));
    }
    steps
}

/// The parameters that change; a bond's are its own matter.
fn kind(old: &Kind, new: &Kind) -> Option<Kind> {
    match (old, new) {
        (Kind::Vlan(_), Kind::Vlan(_)) => (old != new).then(|| new.clone()),
        (Kind::Macvlan(before), Kind::Macvlan(after)) | (Kind::Macvtap(before), Kind::Macvtap(after)) => {
            let mut unsaid = after.clone();
            unsaid.bc_queue_len = after.bc_queue_len.or(before.bc_queue_len);
            // The kernel keeps them in an order of its own.
            let macs = |macvlan: &Macvlan| macvlan.source_macs.iter().copied().collect::<BTreeSet<_>>();
            if macs(before) == macs(after) {
                unsaid.source_macs.clone_from(&before.source_macs);
            }
            (*before != unsaid).then(|| new.clone())
        }
        _ => None,
    }
}

/// The options of a bond that change; those of other modes are not asked for.
pub(super) fn bond(old: &Bond, new: &Bond) -> Bond {
    let mut set = Bond::default();
    let mode = BondMode::from_number(new.options.mode());
    let of_mode = |number| {
        let option = BondOption::of_number(number);
        option.zip(mode).is_none_or(|(option, mode)| option.is_of(mode))
    };
    for (number, value) in new.options.options().filter(|(number, _)| of_mode(*number)) {
        let none = matches!(value, BondValue::Addresses(list) if list.is_empty());
        if old.options.get(number) != Some(value) && !(none && old.options.get(number).is_none()) {
            set.options.set(number, value.clone());
        }
    }
    // The kernel tells of a list only when something is in it.
    for (number, value) in old.options.options() {
        if matches!(value, BondValue::Addresses(_)) && new.options.get(number).is_none() {
            set.options.set(number, BondValue::Addresses(Vec::new()));
        }
    }
    set
}
