//! A bond: some options change only while it is down or has no ports, the primary only when it is a port.

use std::collections::BTreeSet;

use kernel::BondValue;
use kernel::uapi::{
    IFLA_BOND_ARP_INTERVAL, IFLA_BOND_ARP_VALIDATE, IFLA_BOND_DOWNDELAY, IFLA_BOND_MIIMON, IFLA_BOND_MODE,
    IFLA_BOND_PEER_NOTIF_DELAY, IFLA_BOND_UPDELAY,
};

use super::change;
use super::change::bond as changed;
use crate::plan::{LinkChange, Step};
use crate::same::mac_follows;
use crate::state::{BondOption, Needs};
use crate::{Bond, Kind, Link, Network};

fn of(link: Option<&Link>) -> Option<&Bond> {
    match &link?.kind {
        Kind::Bond(bond) => Some(bond),
        _ => None,
    }
}

/// What the bond must be for these options to change.
fn needs(set: &Bond) -> Needs {
    let of = |(number, _)| match number {
        IFLA_BOND_MODE => Needs::Empty,
        number => BondOption::of_number(number).map_or(Needs::Nothing, |option| option.needs),
    };
    set.options.options().map(of).max().unwrap_or(Needs::Nothing)
}

/// Whether its options make it go down for a moment.
pub(super) fn goes_down(old: Option<&Link>, new: &Link) -> bool {
    match (of(old), of(Some(new))) {
        (Some(old), Some(new)) => needs(&changed(old, new)) != Needs::Nothing,
        _ => false,
    }
}

/// What must be gone before the rest is asked: one monitor's options before the other comes. Delays are multiples of
/// miimon, and without it the kernel does not even take 0; with it not even `arp_validate: none`.
fn first_off(set: &mut Bond, old: Option<&Bond>, new: &Bond) -> Bond {
    let monitored = |bond: &Bond| bond.options.number(IFLA_BOND_MIIMON).is_some_and(|ms| ms > 0);
    let mut first = Bond::default();
    if monitored(new) {
        for option in [IFLA_BOND_ARP_VALIDATE, IFLA_BOND_ARP_INTERVAL] {
            if set.options.number(option) == Some(0) {
                first.options.set(option, BondValue::Number(0));
                set.options.remove(option);
            }
        }
        return first;
    }
    for delay in [IFLA_BOND_UPDELAY, IFLA_BOND_DOWNDELAY, IFLA_BOND_PEER_NOTIF_DELAY] {
        if set.options.number(delay) == Some(0) && old.is_some_and(monitored) {
            first.options.set(delay, BondValue::Number(0));
        }
        set.options.remove(delay);
    }
    first
}

pub(super) fn steps(
    name: &str,
    current: &Network,
    wanted: &Network,
    old: Option<&Link>,
    closed: &BTreeSet<String>,
    steps: &mut Vec<Step>,
) {
    let Some(new) = of(wanted.links.get(name)) else { return };
    let set = of(old).map(|old| changed(old, new)).unwrap_or_default();
    let needs = needs(&set);
    let is_in = |port: &str| {
        old.is_some()
            && !closed.contains(port)
            && current.links.get(port).is_some_and(|port| port.controller.as_deref() == Some(name))
    };
    let ports = || wanted.links.iter().filter(|(_, link)| link.controller.as_deref() == Some(name));
    if needs == Needs::Empty {
        for (port, _) in ports().filter(|(port, _)| is_in(port)) {
            steps.push(change(port, LinkChange { controller: Some(None), ..LinkChange::default() }));
        }
    }
    if needs != Needs::Nothing && old.is_some_and(|old| old.up) {
        steps.push(change(name, LinkChange::down()));
    }
    let mut set = set;
    let first = first_off(&mut set, of(old), new);
    for set in [first, set] {
        if !set.options.is_empty() {
            let kind = Some(Kind::Bond(Box::new(set)));
            steps.push(change(name, LinkChange { kind, ..LinkChange::default() }));
        }
    }
    // Without ports the kernel makes one up, which the first port that comes would replace by its own.
    let emptied = needs == Needs::Empty || !ports().any(|(port, _)| is_in(port));
    let mac =
        wanted.links.get(name).filter(|link| old.is_some() && !mac_follows(link)).and_then(|link| link.mac);
    if emptied && mac.is_some() && current.links.values().any(|link| link.controller.as_deref() == Some(name))
    {
        steps.push(change(name, LinkChange { mac, ..LinkChange::default() }));
    }
    for (port, link) in ports() {
        if is_in(port) && needs != Needs::Empty {
            continue;
        }
        let up = current.links.get(port).is_none_or(|link| link.up) && !closed.contains(port) || is_in(port);
        if up {
            steps.push(change(port, LinkChange::down()));
        }
        let controller = Some(Some(name.to_owned()));
        steps.push(change(port, LinkChange { controller, ..LinkChange::default() }));
        if !link.up {
            steps.push(change(port, LinkChange::down()));
        }
    }
    for (port, link) in ports().filter(|(port, _)| is_in(port) && needs != Needs::Empty) {
        if link.up && current.links.get(port).is_some_and(|old| !old.up) {
            steps.push(change(port, LinkChange::up()));
        }
    }
    let before = of(old).and_then(|old| old.primary.as_ref()).filter(|_| needs != Needs::Empty);
    if before != new.primary.as_ref() {
        let primary = Some(new.primary.clone().unwrap_or_default());
        let kind = Some(Kind::Bond(Box::new(Bond { options: kernel::Bond::default(), primary })));
        steps.push(change(name, LinkChange { kind, ..LinkChange::default() }));
    }
}
