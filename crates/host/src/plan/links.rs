//! Steps for links, in the order that the kernel needs.

mod bond;
mod change;

use std::collections::BTreeSet;

use super::{LinkChange, Step};
use crate::same::is_port;
use crate::state::{order, stands_on_parent};
use crate::{Error, Kind, Link, Network, Result, Wanted};

/// Steps before addresses and routes are added, and steps after the old ones were removed.
#[derive(Default)]
pub(super) struct LinkSteps {
    pub(super) before: Vec<Step>,
    pub(super) after: Vec<Step>,
    /// Links that are made again: what was on them is gone by then.
    pub(super) again: BTreeSet<String>,
}

pub(super) fn steps(current: &Network, wanted: &Wanted) -> Result<LinkSteps> {
    let network = &wanted.network;
    let again = made_again(current, wanted);
    for name in &again {
        if let Some(link) = network.links.get(name) {
            can_make(name, link)?;
        }
    }
    let mut steps = LinkSteps::default();
    let upwards = order(network)?;
    let affected = |name: &&String| wanted.affected.contains(*name);
    let stays = |name: &str| current.links.contains_key(name) && !again.contains(name);

    // What gets smaller: children before parents.
    for name in upwards.iter().rev().filter(affected).filter(|name| stays(name)) {
        let (Some(old), Some(new)) = (current.links.get(name), network.links.get(name)) else { continue };
        if new.mtu != 0 && new.mtu < old.mtu && !is_port(network, new) && !is_port(current, old) {
            steps.before.push(change(name, LinkChange { mtu: Some(new.mtu), ..LinkChange::default() }));
        }
    }

    // What must be out of the way first, children before parents; the rest goes when nothing needs it any more.
    let downwards = order(current)?;
    for name in downwards.iter().rev().filter(affected) {
        let gone = !network.links.contains_key(name);
        if again.contains(name) && current.links.contains_key(name)
            || gone && in_the_way(name, current, network, &again)
        {
            steps.before.push(Step::DeleteLink { name: name.clone() });
        } else if gone {
            steps.after.push(Step::DeleteLink { name: name.clone() });
        }
    }

    // Ports that leave; the kernel closes them.
    let mut closed = BTreeSet::new();
    for name in upwards.iter().filter(affected).filter(|name| stays(name)) {
        let (Some(old), Some(new)) = (current.links.get(name), network.links.get(name)) else { continue };
        let Some(bond) = &old.controller else { continue };
        if again.contains(bond) || !network.links.contains_key(bond) {
            closed.insert(name.clone());
        }
        if new.controller.as_ref() != Some(bond) {
            if !steps.before.contains(&Step::DeleteLink { name: bond.clone() }) {
                steps
                    .before
                    .push(change(name, LinkChange { controller: Some(None), ..LinkChange::default() }));
            }
            closed.insert(name.clone());
        }
    }

    for name in upwards.iter().filter(affected) {
        let Some(new) = network.links.get(name) else { continue };
        let old = current.links.get(name).filter(|_| !again.contains(name));
        let enslaved = is_port(network, new);
        match old {
            None => {
                can_make(name, new)?;
                steps.before.push(Step::AddLink { name: name.clone(), link: Box::new(bare(new)) });
                steps.before.extend(change::after_birth(name, new));
            }
            Some(old) => steps.before.extend(change::steps(name, old, new, enslaved, closed.contains(name))),
        }
        if let Kind::Bond(_) = &new.kind {
            bond::steps(name, current, network, old, &closed, &mut steps.before);
        } else if new.controller.is_some()
            && !enslaved
            && old.and_then(|old| old.controller.as_ref()) != new.controller.as_ref()
        {
            let controller = Some(new.controller.clone());
            steps.before.push(change(name, LinkChange { controller, ..LinkChange::default() }));
        }
        let was_up = old.is_some_and(|old| old.up) && !closed.contains(name) && !bond::goes_down(old, new);
        if new.up && !was_up && !enslaved {
            steps.before.push(change(name, LinkChange::up()));
        }
    }

    // What goes down, when nothing needs it any more.
    for name in upwards.iter().rev().filter(affected).filter(|name| stays(name) && !closed.contains(*name)) {
        let (Some(old), Some(new)) = (current.links.get(name), network.links.get(name)) else { continue };
        if old.up && !new.up {
            steps.after.insert(0, change(name, LinkChange::down()));
        }
    }
    steps.again = again;
    Ok(steps)
}

pub(super) fn change(name: &str, change: LinkChange) -> Step {
    Step::ChangeLink { name: name.to_owned(), change: Box::new(change) }
}

/// What a link is at birth.
fn bare(link: &Link) -> Link {
    Link { up: false, controller: None, addresses: Vec::new(), neighbours: Vec::new(), ..link.clone() }
}

/// Links of which something cannot change in place, and all that is on them.
fn made_again(current: &Network, wanted: &Wanted) -> BTreeSet<String> {
    let mut again = BTreeSet::new();
    for name in &wanted.affected {
        if let (Some(old), Some(new)) = (current.links.get(name), wanted.network.links.get(name))
            && !same_being(old, new)
        {
            again.insert(name.clone());
        }
    }
    loop {
        let before = again.len();
        for (name, link) in &current.links {
            let parent_goes = link.parent.as_ref().is_some_and(|parent| {
                again.contains(parent)
                    || (wanted.affected.contains(parent) && !wanted.network.links.contains_key(parent))
            });
            if stands_on_parent(&link.kind) && parent_goes && wanted.network.links.contains_key(name) {
                again.insert(name.clone());
            }
        }
        if again.len() == before {
            return again;
        }
    }
}

/// Whether one can become the other in place.
fn same_being(old: &Link, new: &Link) -> bool {
    use kernel::MacvlanMode::Passthru;
    let parent = !stands_on_parent(&new.kind) || old.parent == new.parent;
    parent
        && match (&old.kind, &new.kind) {
            (Kind::Vlan(old), Kind::Vlan(new)) => (old.id, old.protocol) == (new.id, new.protocol),
            (Kind::Macvlan(old), Kind::Macvlan(new)) | (Kind::Macvtap(old), Kind::Macvtap(new)) => {
                (old.mode == Passthru) == (new.mode == Passthru)
            }
            (Kind::Bond(_), Kind::Bond(_)) => true,
            (Kind::Vxlan(old), Kind::Vxlan(new)) => old == new,
            (old, new) => old == new,
        }
}

/// Whether llano can make a link like this.
pub(crate) fn can_be_made(link: &Link) -> bool {
    can_make("", link).is_ok()
}

fn can_make(name: &str, link: &Link) -> Result<()> {
    let what = match &link.kind {
        Kind::Bond(_) | Kind::Dummy | Kind::Bridge => return Ok(()),
        Kind::Vlan(_) | Kind::Macvlan(_) | Kind::Macvtap(_) if link.parent.is_some() => return Ok(()),
        Kind::Vlan(_) | Kind::Macvlan(_) | Kind::Macvtap(_) => {
            "its parent is not in this namespace".to_owned()
        }
        Kind::Physical | Kind::Loopback => "it is hardware, and it is not here".to_owned(),
        kind => format!("llano makes no {}", kind.name()),
    };
    Err(Error::CannotMake { name: name.to_owned(), what })
}

/// Whether a link that goes must go before the new ones come.
fn in_the_way(name: &str, current: &Network, wanted: &Network, again: &BTreeSet<String>) -> bool {
    let Some(link) = current.links.get(name) else { return false };
    let new = |other: &&String| !current.links.contains_key(*other) || again.contains(*other);
    let parent = link.parent.as_ref().filter(|_| stands_on_parent(&link.kind));
    let shares = parent.is_some_and(|parent| {
        wanted.links.iter().any(|(other, link)| link.parent.as_ref() == Some(parent) && new(&other))
            || wanted.links.get(parent).is_some_and(|link| link.controller.is_some())
            || again.contains(parent)
    });
    // A bond that goes gives its ports back first, when another wants them.
    let ports = wanted.links.iter().any(|(port, link)| {
        link.controller.is_some()
            && current.links.get(port).is_some_and(|old| old.controller.as_deref() == Some(name))
    });
    shares || ports
}
