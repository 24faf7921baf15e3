//! What the kernel does by itself when something is changed: a small model, as far as a plan must foresee it.
//!
//! - A secondary IPv4 address goes with its primary ([`super::addresses`]).
//! - A route of table main with `src` goes with the last IPv4 address of that name; one of IPv6 loses its `src`.
//! - With the last IPv4 address of a link go all IPv4 routes by that link, a multipath route with its last hop, and its
//!   IPv4 neighbours.
//! - A lent IPv6 address leaves the route of its prefix behind.
//! - With a link that goes down go its routes and its IPv6 addresses; with one that is deleted everything that names it.
//! - Routes of addresses come and go with them; they are never steps.

use std::collections::BTreeMap;

use ipnet::IpNet;
use kernel::Family;
use kernel::uapi::{IFA_F_NOPREFIXROUTE, IFA_F_SECONDARY, RT_TABLE_MAIN, RTPROT_KERNEL, RTPROT_RA};

use super::{Step, addresses, routes, rules};
use crate::{Link, Network, Route};

/// A network on which steps are tried.
#[derive(Debug, Clone)]
pub struct Model {
    /// As it is after the steps so far.
    pub network: Network,
}

impl Model {
    /// Starts from what is.
    pub fn of(network: &Network) -> Self {
        Self { network: network.clone() }
    }

    /// Does what the kernel would.
    pub fn step(&mut self, step: &Step) {
        match step {
            Step::AddLink { name, link } => {
                let bare = Link {
                    addresses: Vec::new(),
                    neighbours: Vec::new(),
                    sysctls: BTreeMap::new(),
                    up: false,
                    ..(**link).clone()
                };
                self.network.links.insert(name.clone(), bare);
            }
            Step::ChangeLink { name, change } => {
                let was_up = self.network.links.get(name).is_some_and(|link| link.up);
                if let Some(link) = self.network.links.get_mut(name) {
                    link.mtu = change.mtu.unwrap_or(link.mtu);
                    link.mac = change.mac.or(link.mac);
                    link.up = change.up.unwrap_or(link.up);
                    link.addr_gen_mode = change.addr_gen_mode.or(link.addr_gen_mode);
                    if let Some(controller) = &change.controller {
                        link.controller.clone_from(controller);
                    }
                }
                // A port is set down to be enslaved, and comes up with its new controller.
                let enslaved = matches!(change.controller, Some(Some(_)));
                if was_up && (change.up == Some(false) || enslaved) {
                    self.down(name);
                }
            }
            Step::DeleteLink { name } => {
                self.down(name);
                self.network.links.remove(name);
            }
            Step::AddAddress { dev, address } => {
                if let Some(link) = self.network.links.get_mut(dev) {
                    addresses::insert(&mut link.addresses, address.clone());
                }
            }
            Step::DeleteAddress { dev, address } => self.delete_address(dev, address),
            Step::AddRoute(route) => self.add_route(route, true),
            Step::AppendRoute(route) => self.add_route(route, false),
            Step::DeleteRoute(route) => {
                if let Some(at) = self.network.routes.iter().position(|other| routes::alike(other, route)) {
                    self.network.routes.remove(at);
                }
            }
            Step::AddRule(rule) => self.network.rules.push(rule.clone()),
            Step::DeleteRule(rule) => {
                let _ = rules::remove(&mut self.network.rules, rule);
            }
            Step::SetNeighbour { dev, neighbour } => {
                if let Some(link) = self.network.links.get_mut(dev) {
                    link.neighbours.retain(|other| other.address != neighbour.address);
                    link.neighbours.push(neighbour.clone());
                }
            }
            Step::DeleteNeighbour { dev, neighbour } => {
                if let Some(link) = self.network.links.get_mut(dev) {
                    link.neighbours.retain(|other| other.address != neighbour.address);
                }
            }
            Step::SetSysctl { .. }
            | Step::Announce { .. }
            | Step::AddShim { .. }
            | Step::RemoveShim { .. } => {}
        }
    }

    fn add_route(&mut self, route: &Route, replace: bool) {
        let all = &mut self.network.routes;
        let first = all.iter().position(|other| routes::one_place(other, route));
        match first {
            Some(at) if replace => all[at] = route.clone(),
            _ => all.push(route.clone()),
        }
    }

    /// Whether any link has this address.
    fn has(&self, ip: std::net::IpAddr) -> bool {
        self.network.links.values().any(|link| link.addresses.iter().any(|address| address.net.addr() == ip))
    }

    fn delete_address(&mut self, dev: &str, address: &kernel::Address) {
        let came: Vec<Route> = self
            .network
            .routes
            .iter()
            .filter(|r| uses(r, dev) && comes_with_address(&self.network, r))
            .cloned()
            .collect();
        let Some(link) = self.network.links.get_mut(dev) else { return };
        let before: Vec<IpNet> = link.addresses.iter().map(|address| address.net).collect();
        let promote = promotes(link);
        addresses::remove(&mut link.addresses, address, promote);
        let gone: Vec<IpNet> =
            before.into_iter().filter(|net| !link.addresses.iter().any(|left| left.net == *net)).collect();
        let last_v4 = !link.addresses.iter().any(|address| address.net.addr().is_ipv4());
        // A lent IPv6 address leaves its route to expire; the last that stays has others of its prefix make it expire.
        let in_prefix = |other: &kernel::Address| other.net.trunc() == address.net.trunc();
        let stays =
            address.net.addr().is_ipv6() && (address.valid.is_some() || link.addresses.iter().any(in_prefix));
        if !stays {
            let network = &self.network;
            let gone: Vec<Route> = came.into_iter().filter(|r| !comes_with_address(network, r)).collect();
            self.network.routes.retain(|route| !gone.contains(route));
        }
        for net in gone {
            let ip = net.addr();
            if self.has(ip) {
                continue;
            }
            if ip.is_ipv4() {
                self.network.routes.retain(|r| r.route.src != Some(ip) || r.route.table != RT_TABLE_MAIN);
            } else {
                let on_dev = |route: &&mut Route| route.route.src == Some(ip) && uses(route, dev);
                self.network.routes.iter_mut().filter(on_dev).for_each(|route| route.route.src = None);
            }
        }
        if last_v4 && address.net.addr().is_ipv4() {
            self.drop_routes(dev, Some(Family::V4));
            if let Some(link) = self.network.links.get_mut(dev) {
                link.neighbours.retain(|neighbour| neighbour.address.is_ipv6());
            }
        }
    }

    fn down(&mut self, name: &str) {
        self.drop_routes(name, None);
        if let Some(link) = self.network.links.get_mut(name) {
            link.addresses.retain(|address| address.net.addr().is_ipv4());
            link.neighbours.clear();
        }
        // Of an IPv6 route the hops go one by one.
        for route in self.network.routes.iter_mut().filter(|route| route.route.family == Family::V6) {
            route.hops.retain(|hop| hop.dev != name);
        }
        let gone: Vec<std::net::IpAddr> = self
            .network
            .routes
            .iter()
            .filter_map(|route| route.route.src)
            .filter(|src| src.is_ipv6() && !self.has(*src))
            .collect();
        for route in self.network.routes.iter_mut().filter(|route| uses(route, name)) {
            route.route.src = route.route.src.filter(|src| !gone.contains(src));
        }
    }

    /// Takes the routes that have no way left.
    fn drop_routes(&mut self, dev: &str, family: Option<Family>) {
        self.network.routes.retain(|route| {
            let other_way = route.hops.iter().any(|hop| hop.dev != dev);
            family.is_some_and(|family| family != route.route.family) || !uses(route, dev) || other_way
        });
    }
}

/// Whether a secondary address takes the place of its primary.
pub(crate) fn promotes(link: &Link) -> bool {
    link.sysctls.get("ipv4/promote_secondaries").is_some_and(|value| value != "0")
}

/// Whether a route goes by a link.
pub fn uses(route: &Route, dev: &str) -> bool {
    route.dev.as_deref() == Some(dev) || route.hops.iter().any(|hop| hop.dev == dev)
}

/// Whether the kernel made a route together with an address of its link, and will again.
pub fn comes_with_address(network: &Network, route: &Route) -> bool {
    let plain = &route.route;
    let (Some(dev), Some(dst)) = (&route.dev, plain.dst) else { return false };
    // A route that a router advertisement brought goes on being its.
    if plain.protocol == RTPROT_RA && plain.gateway.is_none() {
        return true;
    }
    if plain.protocol != RTPROT_KERNEL || plain.gateway.is_some() || plain.table != RT_TABLE_MAIN {
        return false;
    }
    let Some(link) = network.links.get(dev) else { return false };
    if dst.to_string() == "fe80::/64" {
        return true;
    }
    link.addresses.iter().any(|address| {
        let secondary = address.net.addr().is_ipv4() && address.flags & IFA_F_SECONDARY != 0;
        let net = IpNet::new(address.peer.unwrap_or(address.net.addr()), address.net.prefix_len());
        let metric = match plain.family {
            Family::V4 => address.metric.unwrap_or(0),
            Family::V6 => address.metric.unwrap_or(256),
        };
        let src = plain.family == Family::V6 || plain.src == Some(address.net.addr());
        // Of a pair of IPv6 addresses both ends have a route.
        let own =
            IpNet::new(address.net.addr(), address.net.prefix_len()).is_ok_and(|net| net.trunc() == dst);
        address.flags & IFA_F_NOPREFIXROUTE == 0
            && !secondary
            && (net.is_ok_and(|net| net.trunc() == dst) || own)
            && src
            && plain.priority.unwrap_or(0) == metric
    })
}
