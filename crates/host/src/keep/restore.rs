//! The network that was, as one that is wanted again.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel::Rule;

use crate::plan::can_be_made;
use crate::state::stands_on_parent;
use crate::{Kind, Link, Network, Route, Wanted};

/// The current network with what a change wanted otherwise as before: the links it could touch, their routes, and what
/// it changed of the rules. Lifetimes are less by the time that has passed, and addresses whose time is over are gone.
///
/// Hardware that has been pulled out meanwhile does not come back, nor what stood on it: the rest does.
pub fn restored(current: &Network, before: &Network, change: &Wanted, passed: Duration) -> Wanted {
    let mut network = current.clone();
    for name in &change.affected {
        match before.links.get(name) {
            Some(link) => network.links.insert(name.clone(), aged(link, passed)),
            None => network.links.remove(name),
        };
    }
    network.routes = routes(current, before, &change.network, &change.affected);
    if change.rules {
        network.rules = rules(current, before, &change.network);
    }
    without_the_gone(&mut network, current);
    let host_access = crate::host_access::before(before, &change.host_access);
    Wanted { host_access, ..Wanted::back_to(network, change.affected.clone(), change.rules) }
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

fn aged(link: &Link, passed: Duration) -> Link {
    let mut link = link.clone();
    let seconds = u32::try_from(passed.as_secs()).unwrap_or(u32::MAX);
    link.addresses.retain_mut(|address| {
        address.valid = address.valid.map(|valid| valid.saturating_sub(seconds));
        address.preferred = address.preferred.map(|preferred| preferred.saturating_sub(seconds));
        address.valid != Some(0)
    });
    link
}

fn routes(current: &Network, before: &Network, wanted: &Network, affected: &BTreeSet<String>) -> Vec<Route> {
    let ours = |route: &Route| {
        let by = |dev: &String| affected.contains(dev);
        // A route by no interface, a blackhole, is ours when the change made it or took it away.
        let by_none = route.dev.is_none() && route.hops.is_empty();
        let changed = || before.routes.contains(route) != wanted.routes.contains(route);
        route.dev.as_ref().is_some_and(by)
            || route.hops.iter().any(|hop| by(&hop.dev))
            || (by_none && changed())
    };
    merged(&current.routes, &before.routes, ours)
}

fn rules(current: &Network, before: &Network, wanted: &Network) -> Vec<Rule> {
    let changed = |rule: &Rule| before.rules.contains(rule) != wanted.rules.contains(rule);
    merged(&current.rules, &before.rules, changed)
}

/// What is ours of the past and what is not ours of now, in the order of the past, with what is new after it.
fn merged<T: Clone + PartialEq>(current: &[T], before: &[T], ours: impl Fn(&T) -> bool) -> Vec<T> {
    let mut all: Vec<T> =
        before.iter().filter(|item| ours(item) || current.contains(item)).cloned().collect();
    let new: Vec<T> = current.iter().filter(|item| !ours(item) && !all.contains(item)).cloned().collect();
    all.extend(new);
    all
}
