//! Which rules and routes make an interface's addresses route by source; no system call here.

use cni::IpConfig;
use ipnet::IpNet;
use kernel::uapi::{RT_SCOPE_LINK, RT_TABLE_DEFAULT, RT_TABLE_LOCAL, RT_TABLE_MAIN, RTN_UNICAST};
use kernel::{Family, Route, Rule};

use super::config::Config;

/// Tables from here on are taken.
const FIRST_TABLE: u32 = 100;

/// The work of one ADD, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// One per address.
    pub(crate) rules: Vec<Rule>,
    /// For tables that nobody used: nothing can be there already.
    pub(crate) routes: Vec<Route>,
    /// For the main table, replacing what is there.
    pub(crate) hints: Vec<Route>,
    /// From the main table.
    pub(crate) remove: Vec<Route>,
}

/// Rules to a table that somebody else fills.
pub(crate) fn rules_only(ips: &[&IpConfig], table: u32) -> Vec<Rule> {
    ips.iter().map(|ip| Rule::from_net(host(ip), table)).collect()
}

/// A table per address, with its default route and what the main table has for interface `index`.
/// `rules` and `routes` are all of the namespace.
pub(crate) fn plan(ips: &[&IpConfig], config: &Config, index: u32, rules: &[Rule], routes: &[Route]) -> Plan {
    let mut used: Vec<u32> =
        rules.iter().map(|rule| rule.table).chain(routes.iter().map(|route| route.table)).collect();
    let mains: Vec<&Route> =
        routes.iter().filter(|route| route.table == RT_TABLE_MAIN && is_by(route, index)).collect();
    let mut plan = Plan::default();
    for ip in ips {
        let table = free_table(&used);
        used.push(table);
        plan.rules.push(Rule::from_net(host(ip), table));
        if let Some(gateway) = config.gateway_of(ip) {
            plan.routes.push(Route { table, ..Route::default_via(gateway).dev(index) });
        }
        let here = mains.iter().filter(|route| goes_with(route, ip, ips));
        plan.routes.extend(here.map(|route| Route { table, ..(*route).clone() }));
    }
    if config.add_source_hints {
        plan.hints = ips
            .iter()
            .map(|ip| Route {
                src: Some(ip.address.addr()),
                scope: Some(RT_SCOPE_LINK),
                ..Route::to(ip.address).dev(index)
            })
            .collect();
    }
    plan.remove = mains
        .into_iter()
        .filter(|route| !is_link_local(route))
        .filter(|route| !config.add_source_hints || route.scope != Some(RT_SCOPE_LINK))
        .cloned()
        .collect();
    plan
}

/// The address alone, as a rule's source.
pub(crate) fn host(ip: &IpConfig) -> IpNet {
    IpNet::from(ip.address.addr())
}

/// Tables that [`plan`] may have taken.
pub(crate) fn is_own_table(table: u32) -> bool {
    table >= FIRST_TABLE && !(RT_TABLE_DEFAULT..=RT_TABLE_LOCAL).contains(&table)
}

/// The first table that no rule and no route names.
fn free_table(used: &[u32]) -> u32 {
    (FIRST_TABLE..).find(|table| is_own_table(*table) && !used.contains(table)).unwrap_or(FIRST_TABLE)
}

/// Whether all of a unicast route goes by the interface.
fn is_by(route: &Route, index: u32) -> bool {
    let by = match route.nexthops.is_empty() {
        true => route.oif == Some(index),
        false => route.nexthops.iter().all(|hop| hop.oif == index),
    };
    by && route.kind == RTN_UNICAST
}

/// Whether packets from this address need the route: its source or a next hop is in the address's subnet, or it has
/// neither. One that fits the subnet of no address at all is needed by every address of its family: it would
/// be lost otherwise.
fn goes_with(route: &Route, ip: &IpConfig, all: &[&IpConfig]) -> bool {
    let fits = |ip: &IpConfig| {
        let hops = route.gateway.into_iter().chain(route.nexthops.iter().filter_map(|hop| hop.gateway));
        hops.chain(route.src).any(|address| ip.address.contains(&address))
    };
    Family::of(ip.address.addr()) == route.family && (fits(ip) || !all.iter().any(|other| fits(other)))
}

/// fe80::/10 stays in the main table: packets from link-local addresses match no rule of ours.
fn is_link_local(route: &Route) -> bool {
    match route.dst {
        Some(IpNet::V6(net)) => net.addr().segments()[0] & 0xffc0 == 0xfe80,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use kernel::uapi::RTPROT_KERNEL;

    const INDEX: u32 = 7;

    fn ip(address: &str, gateway: Option<&str>) -> IpConfig {
        IpConfig {
            address: address.parse().unwrap(),
            gateway: gateway.map(|g| g.parse().unwrap()),
            interface: None,
        }
    }

    fn connected(net: &str, src: Option<&str>) -> Route {
        Route {
            src: src.map(|src| src.parse().unwrap()),
            protocol: RTPROT_KERNEL,
            scope: Some(RT_SCOPE_LINK),
            ..Route::to(net.parse().unwrap()).dev(INDEX)
        }
    }

    fn via(net: &str, gateway: &str) -> Route {
        Route { scope: Some(0), ..Route::to(net.parse().unwrap()).via(gateway.parse().unwrap()).dev(INDEX) }
    }

    fn make(ips: &[IpConfig], keys: &str, rules: &[Rule], routes: &[Route]) -> Plan {
        let value = cni::json::parse(format!("{{{keys}}}").as_bytes()).unwrap();
        let config = Config::read(&cni::json::Object::root(&value).unwrap()).unwrap();
        let ips: Vec<&IpConfig> = ips.iter().collect();
        plan(&ips, &config, INDEX, rules, routes)
    }

    fn shown(routes: &[Route]) -> Vec<(u32, String)> {
        let text = |route: &Route| {
            let dst = route.dst.map_or("default".to_owned(), |dst| dst.to_string());
            match route.gateway {
                Some(gateway) => format!("{dst} via {gateway}"),
                None => dst,
            }
        };
        routes.iter().map(|route| (route.table, text(route))).collect()
    }

    fn expect(routes: &[(u32, &str)]) -> Vec<(u32, String)> {
        routes.iter().map(|(table, text)| (*table, (*text).to_owned())).collect()
    }

    #[test]
    fn one_address_moves_into_the_first_free_table() {
        let ips = [ip("10.1.2.3/24", Some("10.1.2.1"))];
        let foreign = Route { table: 101, ..connected("10.9.0.0/24", None) };
        let other = Route { oif: Some(2), ..connected("10.7.0.0/24", Some("10.7.0.2")) };
        let routes = [
            connected("10.1.2.0/24", Some("10.1.2.3")),
            via("0.0.0.0/0", "10.1.2.1"),
            via("10.5.0.0/16", "10.1.2.9"),
            foreign,
            other,
        ];
        let rules = [Rule::new(Family::V4, 254), Rule::new(Family::V4, 100)];
        let plan = make(&ips, "", &rules, &routes);
        assert_eq!(plan.rules, [Rule::from_net("10.1.2.3/32".parse().unwrap(), 102)]);
        assert_eq!(
            shown(&plan.routes),
            expect(&[
                (102, "default via 10.1.2.1"),
                (102, "10.1.2.0/24"),
                (102, "default via 10.1.2.1"),
                (102, "10.5.0.0/16 via 10.1.2.9"),
            ])
        );
        assert_eq!(plan.remove, routes[..3]);
        assert!(plan.hints.is_empty());
    }

    #[test]
    fn families_and_subnets_keep_apart() {
        let ips = [ip("10.1.2.3/24", None), ip("10.1.3.3/24", None), ip("2001:db8::3/64", Some("fe80::1"))];
        let routes = [
            connected("10.1.2.0/24", Some("10.1.2.3")),
            connected("10.1.3.0/24", Some("10.1.3.3")),
            via("10.5.0.0/16", "10.1.3.9"),
            connected("192.0.2.0/24", None),
            via("198.51.100.0/24", "172.16.0.1"),
            connected("2001:db8::/64", None),
            via("2001:db8:5::/48", "fe80::9"),
            connected("fe80::/64", None),
        ];
        let plan = make(&ips, "", &[], &routes);
        assert_eq!(
            shown(&plan.routes),
            expect(&[
                (100, "10.1.2.0/24"),
                (100, "192.0.2.0/24"),
                (100, "198.51.100.0/24 via 172.16.0.1"),
                (101, "10.1.3.0/24"),
                (101, "10.5.0.0/16 via 10.1.3.9"),
                (101, "192.0.2.0/24"),
                (101, "198.51.100.0/24 via 172.16.0.1"),
                (102, "default via fe80::1"),
                (102, "2001:db8::/64"),
                (102, "2001:db8:5::/48 via fe80::9"),
                (102, "fe80::/64"),
            ])
        );
        assert_eq!(plan.remove, routes[..7], "link-local stays");
    }

    #[test]
    fn hints_keep_subnets_in_main() {
        let ips = [ip("10.1.2.3/24", None)];
        let routes = [connected("10.1.2.0/24", Some("10.1.2.3")), via("0.0.0.0/0", "10.1.2.1")];
        let plan = make(&ips, r#""addSourceHints":true,"gateways":["10.1.2.9"]"#, &[], &routes);
        assert_eq!(plan.routes[0].gateway, "10.1.2.9".parse().ok());
        assert_eq!(plan.hints.len(), 1);
        assert_eq!((plan.hints[0].src, plan.hints[0].table), ("10.1.2.3".parse().ok(), RT_TABLE_MAIN));
        assert_eq!(plan.remove, routes[1..]);
    }

    proptest::proptest! {
        #[test]
        fn tables_are_fresh_and_no_route_is_lost(
            used in proptest::collection::btree_set(90u32..270, 0..180),
            hosts in proptest::collection::vec((0u8..4, 2u8..250), 1..5),
            dsts in proptest::collection::vec((0u8..4, 0u8..6), 0..6),
        ) {
            let ips: Vec<IpConfig> = hosts.iter().map(|(net, host)| ip(&format!("10.0.{net}.{host}/24"), None)).collect();
            let routes: Vec<Route> =
                dsts.iter().map(|(net, gw)| via(&format!("192.168.{net}.0/24"), &format!("10.0.{gw}.1"))).collect();
            let rules: Vec<Rule> = used.iter().map(|table| Rule::new(Family::V4, *table)).collect();
            let plan = make(&ips, "", &rules, &routes);
            let tables: BTreeSet<u32> = plan.rules.iter().map(|rule| rule.table).collect();
            proptest::prop_assert_eq!(tables.len(), ips.len());
            proptest::prop_assert!(tables.iter().all(|table| !used.contains(table) && is_own_table(*table)));
            for route in &plan.remove {
                let copies = plan.routes.iter().filter(|copy| Route { table: RT_TABLE_MAIN, ..(*copy).clone() } == *route);
                proptest::prop_assert!(copies.count() >= 1);
            }
            proptest::prop_assert_eq!(plan.remove.len(), routes.len());
        }
    }
}
