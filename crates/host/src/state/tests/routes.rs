//! Routes and rules: what takes what away, and what is refused.

use kernel::uapi::{FR_ACT_UNREACHABLE, RTPROT_STATIC};
use kernel::{Family, Rule};

use super::*;
use crate::Route;

fn overlaid(old: &str, newer: &str) -> State {
    let mut state = State::parse(old).unwrap();
    state.overlay(&State::parse(newer).unwrap());
    state
}

/// By what it matches, as a route, not only by its very words.
#[test]
fn a_rule_that_was_removed_is_not_declared_any_more() {
    let rules = |list: &str| format!("route-rules: {{config: [{list}]}}");
    let declared = rules(
        "{ip-from: 10.1.0.0/16, priority: 100, route-table: 100}, {ip-from: 10.2.0.0/16, priority: 101, route-table: 100}, {family: ipv6, priority: 100, fwmark: 7}",
    );
    let left = |absent: &str| {
        let state = overlaid(&declared, &rules(absent));
        let wanted = state.route_rules.config.iter().filter(|entry| entry.state.is_none());
        wanted.map(|entry| entry.rule()).collect::<Vec<_>>()
    };
    let all: Vec<Rule> =
        State::parse(&declared).unwrap().route_rules.config.iter().map(RuleEntry::rule).collect();
    assert_eq!(left("{state: absent, priority: 101}"), [all[0].clone(), all[2].clone()]);
    assert_eq!(left("{state: absent, route-table: 100}"), [all[2].clone()]);
    assert_eq!(left("{state: absent, ip-from: 10.1.0.0/16}"), all[1..]);
    assert_eq!(left("{state: absent, ip-from: '::/0', priority: 100}"), all[..2]);
    assert_eq!(left("{state: absent, priority: 102}"), all);

    // What is wanted again is no longer unwanted; one rule is not there twice.
    let again = rules("{ip-from: 10.2.0.0/16, priority: 101, route-table: 100}");
    let state = overlaid(&rules("{state: absent, priority: 101}, {state: absent, priority: 102}"), &again);
    assert_eq!(state.route_rules.config.len(), 2, "{state:?}");
    let state =
        overlaid(&again, &rules("{ip-from: 10.2.0.0/16, family: ipv4, priority: 101, route-table: 100}"));
    assert_eq!(state.route_rules.config.len(), 1, "{state:?}");
}

#[test]
fn a_pattern_matches_what_it_says_and_nothing_else() {
    let mut network = Network::default();
    let entry = |yaml: &str| State::parse(&format!("routes: {{config: [{yaml}]}}")).unwrap();
    let of = |yaml: &str| entry(yaml).wanted(&Network::default()).unwrap().network.routes;
    let v4 = of("{destination: 10.77.0.0/16, route-type: blackhole}");
    let small = of("{destination: 10.78.0.0/16, route-type: blackhole, mtu: 1400, metric: 5}");
    let v6 = of("{destination: '2001:db8:7::/48', route-type: blackhole}");
    // As the kernel tells of it.
    let v6: Vec<Route> = v6
        .into_iter()
        .map(|route| Route { route: kernel::Route { priority: Some(1024), ..route.route }, ..route })
        .collect();
    network.routes = [v4.clone(), small.clone(), v6.clone()].concat();
    let left = |pattern: &str| {
        let wanted = entry(&format!("{{state: absent, {pattern}}}")).wanted(&network).unwrap();
        wanted.network.routes
    };
    assert_eq!(left("mtu: 1400"), [v4.clone(), v6.clone()].concat());
    assert_eq!(left("mtu: 1300"), network.routes);
    assert_eq!(left("metric: 0"), small, "of IPv6 it is the default");
    assert_eq!(left("metric: 1024"), [v4.clone(), small.clone()].concat());
    assert_eq!(left("metric: 5"), [v4.clone(), v6.clone()].concat());
    assert_eq!(left("destination: '2001:db8:7::/48', metric: 0"), [v4, small].concat());

    let rule = Rule { priority: Some(50), protocol: RTPROT_STATIC, ..Rule::new(Family::V4, 100) };
    let network = Network { rules: vec![rule.clone()], ..Network::default() };
    let left = |pattern: &str| {
        let yaml = format!("route-rules: {{config: [{{state: absent, {pattern}}}]}}");
        State::parse(&yaml).unwrap().wanted(&network).unwrap().network.rules
    };
    assert_eq!(left("ip-from: 0.0.0.0/0, priority: 50"), []);
    assert_eq!(left("ip-from: '::/0', priority: 50"), std::slice::from_ref(&rule));
    assert_eq!(left("ip-to: 10.0.0.0/8, priority: 50"), [rule]);
}

/// The kernel keeps it otherwise, or keeps one of the two only.
#[test]
fn what_the_kernel_would_keep_otherwise_is_refused() {
    let table = [
        (
            "route-rules: {config: [{priority: 104, ip-from: 10.6.0.1/24}]}",
            "route-rules.config[0].ip-from 10.6.0.1/24 has bits beyond its prefix: say 10.6.0.0/24",
        ),
        ("route-rules: {config: [{priority: 104, ip-to: '2001:db8::1/64'}]}", "say 2001:db8::/64"),
        ("route-rules: {config: [{priority: 104, family: ipv4, fwmark: '0x0'}]}", "config[0].fwmark is 0"),
        ("route-rules: {config: [{priority: 104, family: ipv4, fwmask: 0}]}", "config[0].fwmask is 0"),
        (
            "routes: {config: [{destination: 10.77.0.0/16, next-hop-interface: a}, {destination: 10.77.0.0/16, next-hop-interface: b, metric: 0, table-id: 254}]}",
            "routes.config[1] is to 10.77.0.0/16 with the metric of routes.config[0]: give it another metric; several ways are not declared",
        ),
        (
            "routes: {config: [{destination: '::/0', next-hop-interface: a}, {destination: '::/0', next-hop-interface: b, metric: 1024}]}",
            "is to ::/0 with the metric of routes.config[0]",
        ),
    ];
    for (yaml, words) in table {
        let error = refused(yaml);
        assert!(error.contains(words), "{yaml}: {error}");
    }
    for yaml in [
        "{destination: 10.77.0.0/16, next-hop-interface: a}, {destination: 10.77.0.0/16, next-hop-interface: b, metric: 5}",
        "{destination: 10.77.0.0/16, next-hop-interface: a}, {destination: 10.77.0.0/16, next-hop-interface: b, table-id: 77}",
        "{destination: 10.77.0.0/16, next-hop-interface: a}, {destination: 10.77.0.0/16, state: absent}",
    ] {
        State::parse(&format!("routes: {{config: [{yaml}]}}")).unwrap();
    }
    let masked = "route-rules: {config: [{priority: 104, family: ipv4, fwmark: 0, fwmask: 255}]}";
    let rule = State::parse(masked).unwrap().route_rules.config[0].rule();
    assert_eq!((rule.mark, rule.mask), (None, Some(255)));
}

/// What an older program declared stays readable.
#[test]
fn of_two_routes_declared_earlier_the_later_counts() {
    let yaml = "
routes: {config: [{destination: 10.77.0.0/16, next-hop-interface: a}, {destination: 10.77.0.0/16, next-hop-interface: b, metric: 0}]}
";
    let state = State::parse_kept(yaml).unwrap();
    let by: Vec<_> = state.routes.config.iter().map(|route| route.next_hop_interface.as_deref()).collect();
    assert_eq!(by, [Some("b")]);
}

#[test]
fn what_is_shown_of_several_ways_can_be_applied() {
    let way = |via: &str| {
        let mut route = kernel::Route::to("10.77.0.0/16".parse().unwrap());
        (route.gateway, route.protocol) = (via.parse().ok(), RTPROT_STATIC);
        Route { dev: Some("eth0".to_owned()), hops: Vec::new(), route }
    };
    let network = Network { routes: vec![way("10.9.0.2"), way("10.9.0.3")], ..Network::default() };
    let shown = State::parse(&State::of(&network).to_yaml()).unwrap();
    let by: Vec<_> = shown.routes.config.iter().filter_map(|route| route.next_hop_address).collect();
    assert_eq!(by, ["10.9.0.2".parse::<std::net::IpAddr>().unwrap()]);
}

/// A rule without one of its conditions is of more packets.
#[test]
fn what_the_language_cannot_say_is_not_shown_as_something_else() {
    let plain = Rule { priority: Some(50), protocol: RTPROT_STATIC, ..Rule::new(Family::V4, 100) };
    let src = "10.5.0.0/24".parse().ok();
    let rules = vec![
        Rule { oif: Some("eth0".to_owned()), ..plain.clone() },
        Rule { invert: true, src, ..plain.clone() },
        Rule { action: 2, ..plain.clone() },
        Rule { action: FR_ACT_UNREACHABLE, table: 0, ..plain.clone() },
        plain.clone(),
    ];
    let shown = State::of(&Network { rules: rules.clone(), ..Network::default() });
    let shown: Vec<Rule> = shown.route_rules.config.iter().map(RuleEntry::rule).collect();
    assert_eq!(shown, rules[3..]);
    let words: Vec<String> = rules.iter().map(crate::plan::words_of).collect();
    assert_eq!(
        words,
        [
            "50: from all oif eth0 lookup 100",
            "50: not from 10.5.0.0/24 lookup 100",
            "50: from all action 2",
            "50: from all unreachable",
            "50: from all lookup 100",
        ]
    );
    let marked = Rule { mark: Some(7), mask: Some(255), iif: Some("eth1".to_owned()), ..plain };
    assert_eq!(crate::plan::words_of(&marked), "50: from all fwmark 0x7/0xff iif eth1 lookup 100");
}
