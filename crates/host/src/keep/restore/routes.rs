//! Routes and rules.

use std::net::IpAddr;

use kernel::{Family, Rule};

use super::Past;
use crate::plan::model::comes_with_address;
use crate::plan::routes::{alike, is_among, one_place};
use crate::{Link, Network, Route, Wanted};

/// What is there of one kind, how it is told apart, and what competes.
struct Items<'a, T> {
    current: &'a [T],
    before: &'a [T],
    /// What each change found and wanted.
    changes: Vec<(&'a [T], &'a [T])>,
    same: fn(&T, &T) -> bool,
    one_place: fn(&T, &T) -> bool,
    is_half: bool,
}

impl<T: Clone> Items<'_, T> {
    fn is_in<'b>(&self, all: impl IntoIterator<Item = &'b T>, item: &T) -> bool
    where
        T: 'b,
    {
        all.into_iter().any(|other| (self.same)(other, item))
    }

    /// What is ours of the past and what is not ours of now, in the order of the past, with what is new after it.
    fn restored(&self, ours: impl Fn(&T) -> bool) -> Vec<T> {
        let mut touched: Vec<&T> = Vec::new();
        for (before, wanted) in &self.changes {
            let own = |all: &&T| ours(all);
            touched.extend(before.iter().filter(own).filter(|item| !self.is_in(*wanted, item)));
            touched.extend(wanted.iter().filter(own).filter(|item| !self.is_in(*before, item)));
        }
        let is_touched = |item: &T| self.is_in(touched.iter().copied(), item);
        let mut all = Vec::new();
        for item in self.before {
            let now = self.current.iter().find(|now| (self.same)(now, item));
            if ours(item) && (is_touched(item) || (now.is_none() && self.is_half)) {
                all.push(item.clone());
            } else {
                all.extend(now.cloned());
            }
        }
        let place_of = |item: &T, other: &T| (self.one_place)(other, item);
        let is_new = |item: &&T| {
            // Where the change altered something there may be half of it, or what somebody has made of it since.
            let instead = touched.iter().any(|other| place_of(item, other))
                && (self.is_half || self.before.iter().any(|old| ours(old) && place_of(item, old)));
            !self.is_in(self.before, item) && !(ours(item) && (is_touched(item) || instead))
        };
        all.extend(self.current.iter().filter(is_new).cloned());
        all
    }
}

impl Past<'_> {
    /// Routes for links, addresses and neighbours that are back already.
    pub(super) fn routes(&self, wanted: &Wanted) -> Vec<Route> {
        let Some((before, _)) = self.changes.first() else { return self.current.routes.clone() };
        let by = |dev: &String| wanted.affected.contains(dev);
        // A route by no interface, a blackhole, is ours when the change made it or took it away.
        let by_none = |route: &Route| route.dev.is_none() && route.hops.is_empty();
        let changed = |route: &Route| {
            let is_in = |network: &Network| is_among(&network.routes, route);
            self.changes.iter().any(|(before, change)| is_in(before) != is_in(&change.network))
        };
        let ours = |route: &Route| {
            route.dev.as_ref().is_some_and(by)
                || route.hops.iter().any(|hop| by(&hop.dev))
                || (by_none(route) && changed(route))
        };
        let items = Items {
            current: &self.current.routes,
            before: &before.routes,
            changes: self
                .changes
                .iter()
                .map(|(before, change)| (before.routes.as_slice(), change.network.routes.as_slice()))
                .collect(),
            same: |a, b| one_place(a, b) && alike(a, b),
            one_place,
            is_half: self.is_half,
        };
        let mut routes = items.restored(ours);
        for route in &mut routes {
            let seconds = u32::try_from(self.passed.as_secs()).unwrap_or(u32::MAX);
            if !self.current.routes.contains(route) {
                route.route.expires = route.route.expires.map(|left| left.saturating_sub(seconds).max(1));
            }
        }
        let stands = |route: &Route| !ours(route) || self.stands(before, &wanted.network, route);
        routes.retain(stands);
        let direct = routes.clone();
        routes.retain(|route| !ours(route) || self.reaches(before, &wanted.network, &direct, route));
        routes
    }

    /// Whether the addresses that a route came with, or has as its source, are there.
    fn stands(&self, before: &Network, wanted: &Network, route: &Route) -> bool {
        let came = [before, self.current].iter().any(|network| comes_with_address(network, route));
        if came && !comes_with_address(wanted, route) {
            return false;
        }
        let has = |network: &Network, ip: IpAddr| {
            network.links.values().flat_map(|link| &link.addresses).any(|address| address.net.addr() == ip)
        };
        let had = |ip| has(before, ip) || has(self.current, ip);
        route.route.src.is_none_or(|src| !had(src) || has(wanted, src))
    }

    /// Whether the router of a route is still behind an address or a route.
    fn reaches(&self, before: &Network, wanted: &Network, routes: &[Route], route: &Route) -> bool {
        let (Some(dev), Some(via)) = (&route.dev, route.route.gateway) else { return true };
        let on = |link: &Link| link.addresses.iter().any(|address| address.net.contains(&via));
        let by = |network: &Network| network.links.get(dev).is_some_and(on);
        let by_route = |other: &Route| {
            other.dev.as_ref() == Some(dev)
                && other.route.gateway.is_none()
                && other.route.dst.is_some_and(|dst| dst.contains(&via))
        };
        let reached = by(before) || by(self.current);
        !reached || by(wanted) || routes.iter().any(by_route)
    }

    pub(super) fn rules(&self, before: &Network) -> Vec<Rule> {
        let items = Items {
            current: &self.current.rules,
            before: &before.rules,
            changes: self
                .changes
                .iter()
                .filter(|(_, change)| change.rules)
                .map(|(before, change)| (before.rules.as_slice(), change.network.rules.as_slice()))
                .collect(),
            same: |a, b| a == b,
            one_place: |a, b| place(a) == place(b),
            is_half: self.is_half,
        };
        items.restored(|_| true)
    }
}

/// The kernel may list a rule otherwise than it was asked for: it is known by its place.
fn place(rule: &Rule) -> (Family, u32) {
    (rule.family, rule.priority.unwrap_or(0))
}
