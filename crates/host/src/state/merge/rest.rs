//! Routes and rules.

use kernel::uapi::*;
use kernel::{Family, Rule};

use super::Merge;
use crate::plan::model::comes_with_address;
use crate::same::{counts, metric};
use crate::state::keys_of;
use crate::state::routes::{Prefix, RouteEntry, RouteType, RuleEntry, RuleFamily};
use crate::{Error, Result, Route};

impl Merge<'_> {
    /// Routes that cannot be any more: made by the kernel for an address that goes, with a source that goes, by a
    /// router that no address reaches, or by a link that goes down.
    pub(super) fn without_orphans(&mut self) {
        let mut network = std::mem::take(&mut self.wanted.network.routes);
        let wanted = &self.wanted.network;
        let has = |ip| {
            wanted.links.values().any(|link| link.addresses.iter().any(|address| address.net.addr() == ip))
        };
        let had = |ip| {
            self.current
                .links
                .values()
                .any(|link| link.addresses.iter().any(|address| address.net.addr() == ip))
        };
        let mut notes = Vec::new();
        network.retain(|route| {
            let Some((dev, link)) = route.dev.as_ref().and_then(|dev| Some((dev, wanted.links.get(dev)?)))
            else {
                return true;
            };
            if !self.wanted.affected.contains(dev) {
                return true;
            }
            let made = comes_with_address(self.current, route) && !comes_with_address(wanted, route);
            let reaches =
                |link: &crate::Link, via| link.addresses.iter().any(|address| address.net.contains(&via));
            let before = self.current.links.get(dev);
            let lost = route
                .route
                .gateway
                .is_some_and(|via| before.is_some_and(|old| reaches(old, via)) && !reaches(link, via));
            let source = route.route.src.is_some_and(|src| had(src) && !has(src));
            let gone = made || lost || source || !link.up;
            if gone && counts(route) {
                notes.push(format!("the route {route} goes with what it needs"));
            }
            !gone
        });
        self.wanted.notes.append(&mut notes);
        self.wanted.network.routes = network;
    }

    pub(super) fn routes(&mut self) -> Result<()> {
        for entry in self.state.routes.config.iter().filter(|entry| entry.state.is_some()) {
            let mut touched = Vec::new();
            let mut nowhere = false;
            self.wanted.network.routes.retain(|route| {
                let gone = counts(route) && entry.matches(&declared(route));
                if gone {
                    touched.extend(route.dev.iter().chain(route.hops.iter().map(|hop| &hop.dev)).cloned());
                    nowhere |= route.dev.is_none() && route.hops.is_empty();
                }
                !gone
            });
            touched.iter().for_each(|name| self.touch(name));
            self.wanted.rules |= nowhere;
        }
        for (at, entry) in
            self.state.routes.config.iter().enumerate().filter(|(_, entry)| entry.state.is_none())
        {
            let Some(route) = wanted(entry) else { continue };
            let path = format!("routes.config[{at}]");
            if let Some(dev) = &entry.next_hop_interface {
                match self.wanted.network.links.get(dev) {
                    None => {
                        return Err(Error::key(
                            format!("{path}.next-hop-interface"),
                            format!("is {dev}, which is not there; declare it"),
                        ));
                    }
                    Some(link) if link.controller.is_some() => {
                        let bond = link.controller.as_deref().unwrap_or_default();
                        return Err(Error::key(
                            format!("{path}.next-hop-interface"),
                            format!("is {dev}, a port; say {bond}"),
                        ));
                    }
                    Some(link) if !link.up => {
                        return Err(Error::key(
                            format!("{path}.next-hop-interface"),
                            format!("is {dev}, which is down; declare {}.state up", keys_of(dev)),
                        ));
                    }
                    Some(link) => {
                        let source = entry.source.filter(|source| {
                            !self.wanted.network.links.values().any(|link| {
                                link.addresses.iter().any(|address| address.net.addr() == *source)
                            })
                        });
                        if let Some(source) = source {
                            return Err(Error::key(
                                format!("{path}.source"),
                                format!("is {source}, which no interface has"),
                            ));
                        }
                        let reaches = |via| link.addresses.iter().any(|address| address.net.contains(&via));
                        let local = |via: std::net::IpAddr| matches!(via, std::net::IpAddr::V6(via) if via.is_unicast_link_local());
                        if let Some(via) = entry.next_hop_address.filter(|via| !reaches(*via) && !local(*via))
                        {
                            let by_route = self.wanted.network.routes.iter().any(|route| {
                                route.dev.as_ref() == Some(dev)
                                    && route.route.gateway.is_none()
                                    && route.route.dst.is_some_and(|dst| dst.contains(&via))
                            });
                            if !by_route {
                                return Err(Error::key(
                                    format!("{path}.next-hop-address"),
                                    format!("is {via}, which no address of {dev} reaches"),
                                ));
                            }
                        }
                    }
                }
                self.touch(dev);
            } else {
                self.wanted.rules = true;
            }
            let routes = &mut self.wanted.network.routes;
            let same = |old: &Route| {
                counts(old)
                    && old.route.family == route.route.family
                    && old.route.dst == route.route.dst
                    && old.route.table == route.route.table
                    && old.route.priority.unwrap_or(metric(old))
                        == route.route.priority.unwrap_or(metric(&route))
                    && old.route.tos == 0
                    && old.route.from.is_none()
            };
            match routes.iter().position(same) {
                // The kernel has one route to a destination with one metric; who set it stays who set it.
                Some(place) => {
                    if let Some(old) = routes.get_mut(place) {
                        let by: Vec<String> = old.dev.iter().cloned().collect();
                        let protocol = old.route.protocol;
                        let same_way = old.dev == route.dev
                            && old.route.gateway == route.route.gateway
                            && old.route.kind == route.route.kind;
                        if same_way {
                            old.route.src = route.route.src.or(old.route.src);
                            old.route.mtu = route.route.mtu.or(old.route.mtu);
                        } else {
                            *old = route;
                            old.route.protocol =
                                if protocol == RTPROT_BOOT { RTPROT_STATIC } else { protocol };
                        }
                        by.iter().for_each(|name| self.touch(name));
                    }
                }
                None => routes.push(route),
            }
        }
        Ok(())
    }

    pub(super) fn rules(&mut self) -> Result<()> {
        self.wanted.rules |= !self.state.route_rules.is_empty();
        for entry in self.state.route_rules.config.iter().filter(|entry| entry.state.is_some()) {
            self.wanted.network.rules.retain(|rule| !entry.matches(rule));
        }
        for entry in self.state.route_rules.config.iter().filter(|entry| entry.state.is_none()) {
            let rule = entry.rule();
            let rules = &mut self.wanted.network.rules;
            if !rules.iter().any(|old| Rule { protocol: rule.protocol, ..old.clone() } == rule) {
                // Among those of one priority the newest is the last.
                let key = |rule: &Rule| (rule.family == Family::V6, rule.priority.unwrap_or(0));
                let place = rules.partition_point(|old| key(old) <= key(&rule));
                rules.insert(place, rule);
            }
        }
        Ok(())
    }
}

/// A route in the language's words.
pub(crate) fn declared(route: &Route) -> RouteEntry {
    let everywhere = match route.route.family {
        Family::V4 => ipnet::IpNet::V4(ipnet::Ipv4Net::default()),
        Family::V6 => ipnet::IpNet::V6(ipnet::Ipv6Net::default()),
    };
    RouteEntry {
        state: None,
        destination: Some(route.route.dst.unwrap_or(everywhere)),
        // The kernel says lo for routes of IPv6 that lead nowhere.
        next_hop_interface: route.dev.clone().filter(|_| route_type(route.route.kind).is_none()),
        next_hop_address: route.route.gateway,
        metric: route.route.priority.filter(|priority| *priority != metric(route)),
        table_id: Some(route.route.table).filter(|table| *table != RT_TABLE_MAIN),
        source: route.route.src,
        mtu: route.route.mtu,
        route_type: route_type(route.route.kind),
    }
}

fn route_type(kind: u8) -> Option<RouteType> {
    match kind {
        RTN_BLACKHOLE => Some(RouteType::Blackhole),
        RTN_UNREACHABLE => Some(RouteType::Unreachable),
        RTN_PROHIBIT => Some(RouteType::Prohibit),
        _ => None,
    }
}

fn wanted(entry: &RouteEntry) -> Option<Route> {
    let destination = entry.destination?;
    let family = Family::of(destination.addr());
    let mut route = kernel::Route::new(family);
    route.dst = Some(destination).filter(|net| net.prefix_len() != 0);
    route.gateway = entry.next_hop_address;
    route.priority = entry.metric;
    route.table = entry.table_id.unwrap_or(RT_TABLE_MAIN);
    route.src = entry.source;
    route.mtu = entry.mtu;
    route.protocol = RTPROT_STATIC;
    route.kind = match entry.route_type {
        None => RTN_UNICAST,
        Some(RouteType::Blackhole) => RTN_BLACKHOLE,
        Some(RouteType::Unreachable) => RTN_UNREACHABLE,
        Some(RouteType::Prohibit) => RTN_PROHIBIT,
    };
    let nowhere = entry.route_type.is_some() && family == Family::V6;
    let dev = if nowhere { Some("lo".to_owned()) } else { entry.next_hop_interface.clone() };
    Some(Route { dev, hops: Vec::new(), route })
}

impl RuleEntry {
    /// The family that it says, or its nets do.
    fn family(&self) -> Option<Family> {
        let said = self.family.map(|family| if family == RuleFamily::Ipv4 { Family::V4 } else { Family::V6 });
        said.or_else(|| self.ip_from.or(self.ip_to).map(|net| Family::of(net.0.addr())))
    }

    /// The kernel's rule for it.
    pub(in crate::state) fn rule(&self) -> Rule {
        let mut rule =
            Rule::new(self.family().unwrap_or(Family::V4), self.route_table.unwrap_or(RT_TABLE_MAIN));
        rule.src = self.ip_from.and_then(narrow);
        rule.dst = self.ip_to.and_then(narrow);
        rule.priority = self.priority;
        // A mark of 0 is one that the mask alone says.
        rule.mark = self.fwmark.filter(|mark| *mark != 0);
        rule.mask = self.fwmask.or(rule.mark.map(|_| u32::MAX));
        rule.iif.clone_from(&self.iif);
        rule.suppress_prefix_len = self.suppress_prefix_length;
        rule.protocol = RTPROT_STATIC;
        rule.action = self.action.map_or(FR_ACT_TO_TBL, action);
        if self.action.is_some() {
            rule.table = 0;
        }
        rule
    }

    /// Whether what it says agrees with a rule.
    pub(in crate::state) fn matches(&self, rule: &Rule) -> bool {
        let mark = |mark: u32| rule.mark.unwrap_or(0) == mark;
        self.family().is_none_or(|family| family == rule.family)
            && self.ip_from.is_none_or(|net| narrow(net) == rule.src)
            && self.ip_to.is_none_or(|net| narrow(net) == rule.dst)
            && self.priority.is_none_or(|priority| rule.priority.unwrap_or(0) == priority)
            && self.route_table.is_none_or(|table| table == rule.table)
            && self.fwmark.is_none_or(mark)
            && self.fwmask.is_none_or(|mask| rule.mask == Some(mask))
            && self.iif.as_ref().is_none_or(|iif| rule.iif.as_ref() == Some(iif))
            && self.action.is_none_or(|does| action(does) == rule.action)
            && self.suppress_prefix_length.is_none_or(|len| rule.suppress_prefix_len == Some(len))
            // The kernel's own three are never meant.
            && (rule.protocol != RTPROT_KERNEL || self.priority.is_some())
    }
}

/// A net as the kernel tells of it: none for all there is.
fn narrow(net: Prefix) -> Option<ipnet::IpNet> {
    Some(net.0.trunc()).filter(|net| net.prefix_len() != 0)
}

fn action(action: RouteType) -> u8 {
    match action {
        RouteType::Blackhole => FR_ACT_BLACKHOLE,
        RouteType::Unreachable => FR_ACT_UNREACHABLE,
        RouteType::Prohibit => FR_ACT_PROHIBIT,
    }
}
