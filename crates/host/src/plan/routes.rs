//! Routes: which are added, replaced, deleted, in an order that ends in the wanted one.
//!
//! Routes of one *place* (family, table, destination, source, type of service, metric) compete, and the kernel takes the
//! first. One is replaced in a single step, so that there is no moment without; several are appended and deleted.
//! Of IPv6 the ways through gateways of one place are one multipath route.

use ipnet::IpNet;
use kernel::uapi::{
    RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, RTN_ANYCAST, RTN_BROADCAST, RTN_MULTICAST, RTN_UNICAST, RTNH_F_ONLINK,
    RTPROT_RA,
};
use kernel::{Family, Route as Plain};

use crate::Route;

/// What routes need.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// Additions that need nothing deleted, and what must be deleted for them, in order.
    pub(crate) before: Vec<Change>,
    /// Deleted when what replaces them works.
    pub(crate) after: Vec<Route>,
}

/// One change of a route.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    /// Adds it, or replaces the first of its place.
    Replace(Route),
    /// Adds it behind those of its place.
    Append(Route),
    /// Deletes it.
    Delete(Route),
}

/// `IP6_RT_PRIO_USER`: the metric of an IPv6 route that says none.
pub(crate) const DEFAULT_METRIC_V6: u32 = 1024;

/// The place for which routes compete.
type Place = (Family, u32, Option<IpNet>, Option<IpNet>, u8, u32);

fn place(route: &Plain) -> Place {
    let metric = route.priority.unwrap_or(if route.family == Family::V6 { DEFAULT_METRIC_V6 } else { 0 });
    (route.family, route.table, route.dst, route.from, route.tos, metric)
}

/// Without what the kernel tells of its state, and what runs down.
fn settled(route: &Route) -> Route {
    let mut route = route.clone();
    route.route.flags = 0;
    route.route.expires = None;
    let gateway = has_gateway(&route);
    let plain = &mut route.route;
    match plain.family {
        Family::V4 => {
            let near =
                !gateway && matches!(plain.kind, RTN_UNICAST | RTN_BROADCAST | RTN_MULTICAST | RTN_ANYCAST);
            plain.scope.get_or_insert(if near { RT_SCOPE_LINK } else { RT_SCOPE_UNIVERSE });
            plain.priority = plain.priority.filter(|metric| *metric != 0);
        }
        Family::V6 => {
            // The kernel knows no scope there.
            plain.scope = Some(RT_SCOPE_UNIVERSE);
            plain.priority = Some(plain.priority.unwrap_or(DEFAULT_METRIC_V6));
        }
    }
    for hop in &mut route.hops {
        hop.hop.flags &= u8::try_from(RTNH_F_ONLINK).unwrap_or(0);
    }
    route
}

/// Whether two routes are one but for what the kernel tells of its state.
pub(crate) fn alike(a: &Route, b: &Route) -> bool {
    settled(a) == settled(b)
}

/// Whether a route is among others.
pub(crate) fn is_among(all: &[Route], route: &Route) -> bool {
    all.iter().any(|other| alike(other, route))
}

/// Whether two routes compete.
pub(crate) fn one_place(a: &Route, b: &Route) -> bool {
    place(&a.route) == place(&b.route)
}

/// Plans routes. `kernels` says which the kernel makes and removes by itself with the addresses: they are neither added
/// nor deleted, but what shares their place must not replace them. `mine` says which may be deleted.
pub(crate) fn plan(
    current: &[Route],
    wanted: &[Route],
    kernels: &dyn Fn(&Route) -> bool,
    mine: &dyn Fn(&Route) -> bool,
) -> Changes {
    let mut changes = Changes::default();
    let mut places: Vec<Place> = Vec::new();
    for route in wanted.iter().chain(current) {
        let place = place(&route.route);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    // A gateway must be on a link that a route says.
    let (direct, far): (Vec<Place>, Vec<Place>) = places.into_iter().partition(|at| {
        wanted.iter().filter(|route| place(&route.route) == *at).all(|route| !has_gateway(route))
    });
    for at in direct.into_iter().chain(far) {
        let of = |all: &[Route]| -> Vec<Route> {
            all.iter().filter(|route| place(&route.route) == at).map(settled_but_expiry).collect()
        };
        let (has, wants) = (of(current), of(wanted));
        let shared = has.iter().chain(&wants).any(kernels);
        let not = |routes: Vec<Route>| routes.into_iter().filter(|route| !kernels(route)).collect::<Vec<_>>();
        plan_place(&not(has), &not(wants), shared, mine, &mut changes);
    }
    changes
}

/// As [`settled`], with the expiry: it is needed to make the route.
fn settled_but_expiry(route: &Route) -> Route {
    Route { route: Plain { expires: route.route.expires, ..settled(route).route }, ..settled(route) }
}

fn has_gateway(route: &Route) -> bool {
    route.route.gateway.is_some() || route.hops.iter().any(|hop| hop.hop.gateway.is_some())
}

fn plan_place(has: &[Route], wants: &[Route], shared: bool, mine: &dyn Fn(&Route) -> bool, to: &mut Changes) {
    let is_in = |route: &Route, all: &[Route]| all.iter().any(|other| alike(route, other));
    let has_all = has;
    // What may not be deleted is as good as wanted.
    let extra: Vec<&Route> = has.iter().filter(|route| !is_in(route, wants) && mine(route)).collect();
    let strange = has.len() - extra.len() - has.iter().filter(|route| is_in(route, wants)).count();
    let missing: Vec<&Route> = wants.iter().filter(|route| !is_in(route, has)).collect();
    if let ([new], [_], false, 1) = (missing.as_slice(), extra.as_slice(), shared, has_all.len()) {
        to.before.push(Change::Replace((*new).clone()));
        return;
    }
    let kept: Vec<&Route> = has.iter().filter(|route| is_in(route, wants)).collect();
    let in_order = wants.iter().zip(&kept).all(|(a, b)| alike(a, b)) || has.iter().any(joins);
    if !in_order && strange == 0 {
        // Nothing of it can stay where it is.
        by_detail(has.iter().collect()).for_each(|route| to.before.push(Change::Delete(route)));
        wants.iter().for_each(|route| to.before.push(Change::Append(route.clone())));
        return;
    }
    let mut extra = extra;
    for new in missing {
        // Appended, it would be joined with the ways that are there; replacing takes them all at once.
        if joins(new) && extra.iter().any(|old| joins(old)) {
            extra.retain(|old| !joins(old));
            to.before.push(Change::Replace(new.clone()));
        } else {
            to.before.push(Change::Append(new.clone()));
        }
    }
    // A deletion takes the first that agrees: what stays must not agree.
    let ambiguous = extra.iter().any(|old| wants.iter().any(|other| agrees(old, other)));
    if ambiguous && strange == 0 {
        to.before.truncate(to.before.len().saturating_sub(wants.len() - kept.len()));
        by_detail(has.iter().collect()).for_each(|route| to.before.push(Change::Delete(route)));
        wants.iter().for_each(|route| to.before.push(Change::Append(route.clone())));
        return;
    }
    to.after.extend(by_detail(extra));
}

/// Those with most said first, so that none goes in another's place.
fn by_detail(mut routes: Vec<&Route>) -> impl Iterator<Item = Route> {
    routes.sort_by_key(|route| std::cmp::Reverse(detail(route)));
    routes.into_iter().cloned()
}

fn detail(route: &Route) -> usize {
    let plain = &route.route;
    let some = [plain.src.is_some(), plain.gateway.is_some(), plain.mtu.is_some(), plain.advmss.is_some()];
    some.into_iter().filter(|some| *some).count()
        + plain.metrics.len()
        + plain.attributes.len()
        + route.hops.len()
}

/// Whether deleting `asked` could delete `other` of the same place.
fn agrees(asked: &Route, other: &Route) -> bool {
    let (a, b) = (&asked.route, &other.route);
    asked.dev == other.dev
        && asked.hops.is_empty() == other.hops.is_empty()
        && a.kind == b.kind
        && a.scope == b.scope
        && (a.protocol == 0 || a.protocol == b.protocol)
        && (a.src.is_none() || a.src == b.src)
        && (a.gateway.is_none() || a.gateway == b.gateway)
}

/// Whether the kernel joins it with others of its place to one multipath route.
fn joins(route: &Route) -> bool {
    route.route.family == Family::V6 && has_gateway(route) && route.route.protocol != RTPROT_RA
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
