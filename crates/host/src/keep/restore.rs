//! The network that was, as one that is wanted again.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel::Rule;

use crate::{Link, Network, Route, Wanted};

/// The current network with what a change wanted otherwise as before: the links it could touch, their routes, and what
/// it changed of the rules. Lifetimes are less by the time that has passed, and addresses whose time is over are gone.
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
    Wanted::back_to(network, change.affected.clone(), change.rules)
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
