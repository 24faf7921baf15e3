//! What is read of addresses, routes and rules is enough to make them again: `ip` shows no difference.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::process::Command;

use common::TestNs;
use kernel::uapi::*;
use kernel::{Change, RouteFilter};

fn ip(t: &TestNs, arguments: &str) -> String {
    let run = || Command::new("ip").args(arguments.split(' ')).output().unwrap();
    let output = t.ns.run(run).unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Before and after, without counters, seconds and numbers that are the socket's own.
fn both(t: &TestNs, arguments: &str) -> String {
    ["-4", "-6"].map(|family| ip(t, &format!("{family} -d {arguments}"))).concat()
}

#[test]
fn routes_of_every_metric() {
    let (mut t, a, _) = TestNs::with_veth();
    let name = t.nl.link_by_index(a).unwrap().unwrap().name;
    ip(&t, &format!("addr add 10.1.2.3/24 dev {name}"));
    ip(&t, &format!("-6 addr add fd01::3/64 nodad dev {name}"));
    let base = ["10.20.0.0/16 via 10.1.2.1", "fd20::/32 via fd01::1"];
    let extras = [
        "mtu lock 1400",
        "advmss 1300 mtu 1400",
        "window 30000",
        "rtt 300ms",
        "rttvar 150ms",
        "ssthresh 20",
        "cwnd lock 30",
        "reordering 5",
        "hoplimit 63",
        "initcwnd 20",
        "initrwnd 21",
        "features ecn",
        "rto_min 90ms",
        "quickack 1",
        "congctl lock reno",
        "fastopen_no_cookie 1",
    ];
    for (nth, extra) in extras.iter().enumerate() {
        for base in base {
            ip(&t, &format!("route add {base} dev {name} metric {} proto {} {extra}", 10 + nth, 100 + nth));
        }
    }
    for route in [
        "10.21.0.0/16 via 10.1.2.1 realm 7",
        "10.22.0.0/16 tos 0x10 via 10.1.2.1",
        "10.22.0.0/16 via 10.1.2.1",
        "10.23.0.0/16 scope link src 10.1.2.3",
        "unreachable 10.24.0.0/16 metric 5",
        "blackhole 10.25.0.0/16",
        "prohibit 10.26.0.0/16",
        "throw 10.27.0.0/16 table 4000",
        "10.28.0.0/16 via 10.1.2.1 table 77",
        "10.29.0.0/16 nexthop via 10.1.2.1 weight 3 nexthop via 10.1.2.2 weight 5",
        "10.30.0.0/16 via inet6 fd01::7",
        "192.0.2.7 via 198.51.100.1 onlink",
        "fd21::/32 via fd01::1 pref high",
        "fd22::/32 from fd01::/64 via fd01::1",
        "unreachable fd23::/32 metric 9",
        "fd24::/32 nexthop via fd01::1 nexthop via fd01::2 weight 4",
        "fd25::/32 via fd01::1 src fd01::3 table 77",
        "fd26::/32 via fd01::1 ttl-propagate enabled",
    ] {
        let needs_dev =
            !["unreachable", "blackhole", "prohibit", "throw"].iter().any(|kind| route.starts_with(kind));
        let route = match route.split_once(" nexthop ") {
            Some((net, hops)) => {
                let hops = hops.replace(" nexthop", &format!(" dev {name} nexthop"));
                format!("{net} nexthop {hops} dev {name}")
            }
            None if needs_dev => format!("{route} dev {name}"),
            None => route.to_owned(),
        };
        // Without CONFIG_IPV6_SUBTREES a source is refused, and ttl-propagate where it is not known.
        let run = || Command::new("ip").arg("route").arg("add").args(route.split(' ')).output().unwrap();
        let output = t.ns.run(run).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let optional = route.contains(" from ") || route.contains("ttl-propagate");
        assert!(output.status.success() || optional, "{route}: {said}");
    }
    let before = both(&t, "route show table all");
    let mut routes = t.nl.routes(&RouteFilter::default()).unwrap();
    routes.retain(|route| route.table != RT_TABLE_LOCAL && route.protocol != RTPROT_KERNEL);
    assert!(routes.len() >= 2 * extras.len() + 14, "{}", routes.len());
    for route in &routes {
        assert_eq!(route.unknown, [], "{route:?}");
        t.ok(Change::DeleteRoute(route.clone()));
    }
    assert_ne!(both(&t, "route show table all"), before);
    for route in &routes {
        t.ok(Change::AppendRoute(route.clone()));
    }
    assert_eq!(both(&t, "route show table all"), before);
    let again = t.nl.routes(&RouteFilter::default()).unwrap();
    assert!(routes.iter().all(|route| again.contains(route)));
}

#[test]
fn what_cannot_be_copied_says_so() {
    let (mut t, a, _) = TestNs::with_veth();
    let name = t.nl.link_by_index(a).unwrap().unwrap().name;
    ip(&t, &format!("addr add 10.1.2.3/24 dev {name}"));
    ip(&t, &format!("nexthop add id 9 via 10.1.2.1 dev {name}"));
    ip(&t, "route add 10.20.0.0/16 nhid 9");
    let routes = t.nl.routes(&RouteFilter { table: Some(RT_TABLE_MAIN), ..RouteFilter::default() }).unwrap();
    let unknown: Vec<_> = routes.iter().filter(|route| !route.unknown.is_empty()).collect();
    assert_eq!(unknown.len(), 1, "{routes:?}");
    assert_eq!(unknown[0].unknown, [30]);
}

#[test]
fn rules_with_every_condition() {
    let (mut t, a, _) = TestNs::with_veth();
    let name = t.nl.link_by_index(a).unwrap().unwrap().name;
    for family in ["-4", "-6"] {
        let (src, dst) =
            if family == "-4" { ("10.1.0.0/16", "10.2.0.0/16") } else { ("fd01::/32", "fd02::/32") };
        for rule in [
            format!("from {src} to {dst} priority 100 lookup 77"),
            format!("from {src} priority 100 lookup 78"),
            format!("not from {src} priority 100 lookup 79 protocol 99"),
            format!("iif {name} oif lo priority 101 lookup 4000"),
            "iif gone0 priority 102 lookup main suppress_prefixlength 0".to_owned(),
            "fwmark 0x10/0xff priority 103 lookup main suppress_ifgroup 3".to_owned(),
            "tos 0x10 priority 104 lookup 77".to_owned(),
            "ipproto tcp sport 80 dport 1000-2000 priority 105 lookup 77".to_owned(),
            "uidrange 0-1000 priority 106 lookup 77".to_owned(),
            "tun_id 5 priority 107 lookup 77".to_owned(),
            "priority 108 goto 32766".to_owned(),
            "priority 109 prohibit".to_owned(),
        ] {
            ip(&t, &format!("{family} rule add {rule}"));
        }
    }
    let before = both(&t, "rule show");
    let rules = t.nl.rules().unwrap();
    let own: Vec<_> = rules.into_iter().filter(|rule| (1..32766).contains(&rule.priority.unwrap())).collect();
    assert_eq!(own.len(), 24);
    for rule in &own {
        t.ok(Change::DeleteRule(rule.clone()));
    }
    for rule in &own {
        t.ok(Change::AddRule(rule.clone()));
    }
    assert_eq!(both(&t, "rule show"), before);
}

#[test]
fn addresses_with_label_metric_and_owner() {
    let (mut t, a, _) = TestNs::with_veth();
    let name = t.nl.link_by_index(a).unwrap().unwrap().name;
    for address in [
        format!("10.1.0.1/24 brd + dev {name} label {name}:1"),
        format!("10.1.0.2/24 dev {name}"),
        format!("10.2.0.1/24 dev {name} metric 300"),
        format!("10.3.0.1 peer 10.3.0.2/32 dev {name}"),
        format!("10.4.0.1/24 dev {name} scope link noprefixroute"),
        format!("fd01::1/64 dev {name} nodad metric 300"),
        format!("fd02::1/64 dev {name} home nodad"),
        format!("fd03::1/64 dev {name} nodad mngtmpaddr noprefixroute"),
        format!("fd04::1/128 peer fd04::2 dev {name} nodad"),
    ] {
        ip(&t, &format!("addr add {address}"));
    }
    let show = format!("addr show dev {name}");
    let before = both(&t, &show);
    let mut addresses = t.nl.addresses(Some(a)).unwrap();
    addresses.retain(|address| address.proto != IFAPROT_KERNEL_LL);
    assert_eq!(addresses.len(), 9, "{addresses:?}");
    for address in addresses.iter().rev() {
        t.ok(Change::DeleteAddress(address.clone()));
    }
    // IPv6 lists the newest first.
    let (v4, v6): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.net.addr().is_ipv4());
    for address in v4.into_iter().chain(v6.into_iter().rev()) {
        t.ok(Change::AddAddress(address));
    }
    assert_eq!(both(&t, &show), before);
}
