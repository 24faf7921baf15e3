//! The network that was, as one that is wanted again.
//!
//! A change is taken back, not the time since: what the change did not touch stays as it is now, renewed, added or
//! removed by whoever looks after it.

mod addresses;
mod routes;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::plan::can_be_made;
use crate::state::stands_on_parent;
use crate::{Kind, Link, Network, Wanted};

/// Changes that are taken back, oldest first.
pub(super) struct Past<'a> {
    /// The network now.
    pub(super) current: &'a Network,
    /// Before each change, and what it wanted.
    pub(super) changes: Vec<(&'a Network, &'a Wanted)>,
    /// Since the first network was read.
    pub(super) passed: Duration,
    /// Whether the change may have been cut short: what is gone may have gone with one of its steps, and what nobody wanted
    /// may be half of one.
    pub(super) is_half: bool,
}

/// The current network with what a change wanted otherwise as before: the links it could touch, their routes, and what
/// it changed of the rules. Lifetimes are less by the time that has passed, and addresses whose time is over are gone.
///
/// Hardware that has been pulled out meanwhile does not come back, nor what stood on it: the rest does.
pub fn restored(current: &Network, before: &Network, change: &Wanted, passed: Duration) -> Wanted {
    Past { current, changes: vec![(before, change)], passed, is_half: true }.wanted()
}

impl Past<'_> {
    /// What is wanted instead.
    pub(super) fn wanted(&self) -> Wanted {
        let mut wanted = Wanted { network: self.current.clone(), ..Wanted::default() };
        let Some((before, _)) = self.changes.first() else { return wanted };
        for (_, change) in &self.changes {
            wanted.affected.extend(change.affected.iter().cloned());
            wanted.rules |= change.rules;
            wanted.host_access.extend(change.host_access.clone());
        }
        for name in &wanted.affected {
            match before.links.get(name) {
                Some(link) => {
                    let link = self.link(name, link, &wanted.affected);
                    wanted.network.links.insert(name.clone(), link)
                }
                None => wanted.network.links.remove(name),
            };
        }
        wanted.network.routes = self.routes(&wanted);
        if wanted.rules {
            wanted.network.rules = self.rules(before);
        }
        without_the_gone(&mut wanted.network, self.current);
        wanted.host_access = crate::host_access::before(before, &wanted.host_access);
        crate::host_access::forget_shims(&mut wanted.network, &wanted.host_access);
        wanted
    }
}

fn without_the_gone(network: &mut Network, current: &Network) {
    let mut some_went = false;
    loop {
        let is_gone = |name: &str, link: &Link| {
            let parent = link.parent.as_ref().filter(|_| stands_on_parent(&link.kind));
            !current.links.contains_key(name)
                && (!can_be_made(link) || parent.is_some_and(|parent| !network.links.contains_key(parent)))
        };
        let gone: Vec<String> = network
            .links
            .iter()
            .filter(|(name, link)| is_gone(name, link))
            .map(|(name, _)| name.clone())
            .collect();
        if gone.is_empty() {
            break;
        }
        some_went = true;
        gone.iter().for_each(|name| drop(network.links.remove(name)));
    }
    if !some_went {
        return;
    }
    let links = &network.links;
    network.routes.retain_mut(|route| {
        let hops = route.hops.len();
        route.hops.retain(|hop| links.contains_key(&hop.dev));
        route.dev.as_ref().is_none_or(|dev| links.contains_key(dev)) && (hops == 0 || !route.hops.is_empty())
    });
    let names: BTreeSet<String> = network.links.keys().cloned().collect();
    for link in network.links.values_mut() {
        link.controller.take_if(|controller| !names.contains(controller));
        if let Kind::Bond(bond) = &mut link.kind {
            bond.primary.take_if(|primary| !names.contains(primary));
        }
    }
}
