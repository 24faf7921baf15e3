//! Addresses, routes, rules, neighbours, queueing disciplines and filters against the real kernel.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation)]

mod common;

use std::net::IpAddr;

use common::TestNs;
use ipnet::IpNet;
use kernel::uapi::*;
use kernel::{
    Address, Change, Errno, Family, Filter, LinkKind, MacAddr, Neighbour, NewLink, NextHop, Qdisc, QdiscKind,
    Route, RouteFilter, Rule, SetLink, Tbf,
};

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn addresses_with_flags_and_lifetimes() {
    let (mut t, a, b) = TestNs::with_veth();
    let v4 = Address::new(a, net("10.1.2.3/24")).with_broadcast();
    assert_eq!(v4.broadcast, Some([10, 1, 2, 255].into()));
    let mut lent = Address::new(a, net("10.1.2.4/24"));
    (lent.valid, lent.preferred) = (Some(1000), Some(500));
    let v6 = Address::new(a, net("2001:db8::3/64")).with_flags(IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
    let other = Address::new(b, net("10.9.9.9/32"));
    let changes: Vec<_> = [&v4, &lent, &v6, &other].into_iter().cloned().map(Change::AddAddress).collect();
    t.nl.apply_all(&changes).unwrap();
    let read = t.nl.addresses(Some(a)).unwrap();
    assert!(read.iter().all(|address| address.index == a), "{read:?}");
    let find =
        |net: IpNet| read.iter().find(|address| address.net == net).unwrap_or_else(|| panic!("{read:?}"));
    let got = find(v4.net);
    assert_eq!((got.broadcast, got.valid, got.preferred, got.peer), (v4.broadcast, None, None, None));
    assert_ne!(got.flags & IFA_F_PERMANENT, 0);
    let got = find(lent.net);
    assert!(got.valid.is_some_and(|s| (900..=1000).contains(&s)), "{got:?}");
    assert!(got.preferred.is_some_and(|s| (400..=500).contains(&s)), "{got:?}");
    assert_ne!(got.flags & IFA_F_SECONDARY, 0);
    let got = find(v6.net);
    assert_eq!(got.flags & (IFA_F_NODAD | IFA_F_NOPREFIXROUTE), IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
    assert_eq!(got.flags & IFA_F_TENTATIVE, 0, "without DAD an address is never tentative");
    let routes =
        t.nl.routes(&RouteFilter { family: Some(Family::V6), oif: Some(a), ..Default::default() }).unwrap();
    assert!(!routes.iter().any(|r| r.dst == Some(net("2001:db8::/64"))), "{routes:?}");
    assert!(t.nl.addresses(None).unwrap().iter().any(|address| address.net == other.net));

    let error = t.refused(Change::AddAddress(v4.clone()));
    assert!(error.is_exists(), "{error}");
    assert!(error.to_string().starts_with("cannot add address 10.1.2.3/24 on interface"), "{error}");
    let mut longer = lent.clone();
    (longer.valid, longer.preferred) = (None, None);
    t.ok(Change::ReplaceAddress(longer));
    t.ok(Change::DeleteAddress(v4.clone()));
    assert_eq!(t.refused(Change::DeleteAddress(v4)).errno(), Some(Errno::ADDRNOTAVAIL));
    assert!(t.nl.addresses(Some(4242)).is_err());
}

#[test]
fn optimistic_addresses_and_peers() {
    let (mut t, a, _) = TestNs::with_veth();
    let mut peer = Address::new(a, net("10.1.2.3/32"));
    peer.peer = Some(ip("10.1.2.9"));
    peer.scope = RT_SCOPE_LINK;
    let mut peer6 = Address::new(a, net("2001:db8::3/128")).with_flags(IFA_F_NODAD);
    peer6.peer = Some(ip("2001:db8::9"));
    let optimistic = Address::new(a, net("2001:db8::4/64")).with_flags(IFA_F_OPTIMISTIC);
    t.ok(Change::AddAddress(peer.clone()));
    t.ok(Change::AddAddress(peer6.clone()));
    // Kernels without CONFIG_IPV6_OPTIMISTIC_DAD ignore the flag.
    t.ok(Change::AddAddress(optimistic));
    let read = t.nl.addresses(Some(a)).unwrap();
    for want in [peer, peer6] {
        assert!(read.iter().any(|r| r.net == want.net && r.peer == want.peer), "{want:?} of {read:?}");
    }
}

fn routes(t: &mut TestNs, table: u32) -> Vec<Route> {
    t.nl.routes(&RouteFilter { table: Some(table), ..RouteFilter::default() }).unwrap()
}

/// As read, without what the kernel adds.
fn plain(mut route: Route) -> Route {
    route.flags = 0;
    for hop in &mut route.nexthops {
        hop.flags = 0;
    }
    route
}

#[test]
fn routes_come_back_as_they_were_made() {
    let (mut t, a, _) = TestNs::with_veth();
    t.ok(Change::AddAddress(Address::new(a, net("10.1.2.3/24"))));
    t.ok(Change::AddAddress(Address::new(a, net("2001:db8::3/64")).with_flags(IFA_F_NODAD)));
    let mut full = Route::to(net("10.5.0.0/16")).via(ip("10.1.2.1")).dev(a);
    full.src = Some(ip("10.1.2.3"));
    full.priority = Some(77);
    (full.mtu, full.advmss) = (Some(1300), Some(1200));
    full.protocol = RTPROT_STATIC;
    let mut onlink = Route::to(net("10.6.0.0/16")).via(ip("192.0.2.1")).dev(a);
    onlink.onlink = true;
    let mut full6 = Route::to(net("2001:db8:5::/48")).via(ip("2001:db8::1")).dev(a);
    full6.priority = Some(78);
    (full6.mtu, full6.advmss) = (Some(1300), Some(1200));
    let mut far = Route::default_via(ip("10.1.2.1")).dev(a);
    far.table = 70_000;
    let mut site = Route::to(net("10.7.0.0/16")).dev(a);
    site.scope = Some(RT_SCOPE_SITE);
    let mut black = Route::to(net("10.8.0.0/16"));
    black.kind = RTN_BLACKHOLE;
    let mut local = Route::to(net("10.9.0.1/32")).dev(a);
    local.kind = RTN_LOCAL;
    let mut over6 = Route::to(net("10.10.0.0/16")).via(ip("2001:db8::1")).dev(a);
    over6.priority = Some(5);
    let link = Route::to(net("10.11.0.0/16")).dev(a);
    for (mut want, scope) in [
        (full, 0),
        (onlink, 0),
        (full6, 0),
        (far, 0),
        (site, RT_SCOPE_SITE),
        (black, 0),
        (local, RT_SCOPE_HOST),
        (over6, 0),
        (link, RT_SCOPE_LINK),
    ] {
        t.ok(Change::AddRoute(want.clone()));
        let read = routes(&mut t, want.table);
        let asked = want.clone();
        want.scope = Some(scope);
        assert!(read.iter().cloned().map(plain).any(|r| r == want), "{want:?}\nof {read:#?}");
        assert!(t.refused(Change::AddRoute(asked.clone())).is_exists());
        t.ok(Change::ReplaceRoute(asked.clone()));
        t.ok(Change::DeleteRoute(asked.clone()));
        assert_eq!(t.refused(Change::DeleteRoute(asked)).errno(), Some(Errno::SRCH));
    }
    assert_eq!(routes(&mut t, 70_001), []);
    let wrong = Route { dst: Some(net("10.0.0.0/8")), ..Route::new(Family::V6) };
    assert_eq!(t.refused(Change::AddRoute(wrong)).errno(), None);
    let error = t.refused(Change::AddRoute(Route::default_via(ip("192.0.2.9"))));
    assert!(error.to_string().contains("Nexthop has invalid gateway"), "{error}");
}

#[test]
fn multipath_routes() {
    let (mut t, a, b) = TestNs::with_veth();
    t.ok(Change::AddAddress(Address::new(a, net("10.1.2.3/24"))));
    t.ok(Change::AddAddress(Address::new(b, net("10.1.3.3/24"))));
    t.ok(Change::AddAddress(Address::new(a, net("2001:db8::3/64")).with_flags(IFA_F_NODAD)));
    let hop = |oif, gateway: &str, weight| NextHop { oif, gateway: Some(ip(gateway)), weight, flags: 0 };
    let mut want = Route::new(Family::V4);
    want.nexthops = vec![hop(b, "10.1.3.1", 3), hop(a, "10.1.2.1", 256)];
    t.ok(Change::AddRoute(want.clone()));
    want.scope = Some(0);
    let read = routes(&mut t, RT_TABLE_MAIN);
    assert!(read.iter().cloned().map(plain).any(|r| r == want), "{read:#?}");
    let by_hop = t.nl.routes(&RouteFilter { oif: Some(b), ..RouteFilter::default() }).unwrap();
    assert!(by_hop.iter().any(|r| r.nexthops.len() == 2), "{by_hop:?}");
    assert_eq!(t.nl.default_route_parent().unwrap(), Some(b));

    // As the reference plugins add them: the second IPv6 route joins the first.
    for gateway in ["2001:db8::1", "2001:db8::2"] {
        t.ok(Change::AddRouteBeside(Route::default_via(ip(gateway)).dev(a)));
    }
    let read = t.nl.routes(&RouteFilter { family: Some(Family::V6), ..RouteFilter::default() }).unwrap();
    let joined: Vec<_> = read.iter().filter(|r| r.dst.is_none() && r.kind == RTN_UNICAST).collect();
    assert!(matches!(&joined[..], [r] if r.nexthops.len() == 2), "{joined:?}");
}

#[test]
fn default_route_parent_is_of_the_lowest_metric() {
    let (mut t, a, b) = TestNs::with_veth();
    assert_eq!(t.nl.default_route_parent().unwrap(), None);
    t.ok(Change::AddAddress(Address::new(b, net("2001:db8::3/64")).with_flags(IFA_F_NODAD)));
    t.ok(Change::AddRoute(Route::default_via(ip("2001:db8::1")).dev(b)));
    assert_eq!(t.nl.default_route_parent().unwrap(), Some(b));
    t.ok(Change::AddAddress(Address::new(a, net("10.1.2.3/24"))));
    t.ok(Change::AddAddress(Address::new(b, net("10.1.3.3/24"))));
    let route = |gateway: &str, oif, priority| Route {
        priority: Some(priority),
        ..Route::default_via(ip(gateway)).dev(oif)
    };
    t.ok(Change::AddRoute(route("10.1.2.1", a, 200)));
    assert_eq!(t.nl.default_route_parent().unwrap(), Some(a), "IPv4 first");
    t.ok(Change::AddRoute(route("10.1.3.1", b, 300)));
    assert_eq!(t.nl.default_route_parent().unwrap(), Some(a));
    t.ok(Change::AddRoute(route("10.1.3.1", b, 100)));
    assert_eq!(t.nl.default_route_parent().unwrap(), Some(b));
    let mut other = Route::default_via(ip("10.1.2.1")).dev(a);
    other.table = 100;
    t.ok(Change::AddRoute(other));
    assert_eq!(t.nl.default_route_parent().unwrap(), Some(b), "main table only");
}

#[test]
fn rules_come_back_as_they_were_made() {
    let (mut t, _, _) = TestNs::with_veth();
    let mut full = Rule::from_net(net("10.1.2.3/32"), 100);
    full.priority = Some(1000);
    full.dst = Some(net("10.9.0.0/16"));
    full.iif = Some("a".into());
    (full.mark, full.mask) = (Some(7), Some(0xff));
    full.suppress_prefix_len = Some(0);
    full.protocol = RTPROT_STATIC;
    full.invert = true;
    let mut v6 = Rule::from_net(net("2001:db8::/64"), 100_000);
    v6.priority = Some(1001);
    v6.oif = Some("b".into());
    let mut all = Rule::new(Family::V4, 200);
    all.priority = Some(1002);
    for want in [full, v6, all] {
        t.ok(Change::AddRule(want.clone()));
        let mut read = t.nl.rules().unwrap();
        let at = read.iter().position(|rule| rule.priority == want.priority).unwrap();
        // The protocol of a rule that says none is not ours to choose.
        read[at].protocol = want.protocol;
        assert_eq!(read[at], want);
        assert!(t.refused(Change::AddRule(want.clone())).is_exists());
        let loose = Rule { priority: None, ..want.clone() };
        t.ok(Change::DeleteRule(loose));
        assert_eq!(t.refused(Change::DeleteRule(want)).errno(), Some(Errno::NOENT));
    }
    let read = t.nl.rules().unwrap();
    assert!(
        read.iter().any(|r| r.family == Family::V4 && r.table == RT_TABLE_LOCAL && r.priority == Some(0))
    );
    assert!(read.iter().any(|r| r.family == Family::V6 && r.table == RT_TABLE_MAIN), "{read:?}");
}

#[test]
fn neighbours_come_back_as_they_were_made() {
    let (mut t, a, b) = TestNs::with_veth();
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let other = MacAddr([2, 0, 0, 0, 0, 2]);
    for want in [
        Neighbour::permanent(a, ip("10.1.2.9"), mac),
        Neighbour::permanent(a, ip("fe80::9"), mac),
        Neighbour::stale(a, ip("10.1.2.10"), mac),
        Neighbour { state: NUD_REACHABLE, ..Neighbour::permanent(a, ip("10.1.2.11"), mac) },
        Neighbour { state: NUD_NOARP, ..Neighbour::permanent(a, ip("10.1.2.12"), mac) },
        Neighbour { flags: NTF_ROUTER, ..Neighbour::permanent(a, ip("fe80::a"), mac) },
    ] {
        t.ok(Change::SetNeighbour(want.clone()));
        assert!(t.nl.neighbours(Some(a)).unwrap().contains(&want), "{want:?}");
        let moved = Neighbour { mac: Some(other), ..want.clone() };
        t.ok(Change::SetNeighbour(moved.clone()));
        let read = t.nl.neighbours(Some(a)).unwrap();
        assert!(read.contains(&moved) && !read.contains(&want), "{read:?}");
        assert!(!t.nl.neighbours(Some(b)).unwrap().contains(&moved));
        assert!(t.nl.neighbours(None).unwrap().contains(&moved));
        t.ok(Change::DeleteNeighbour(moved.clone()));
        assert!(!t.nl.neighbours(Some(a)).unwrap().contains(&moved));
    }
    let missing = Neighbour::permanent(a, ip("10.1.2.77"), mac);
    assert_eq!(t.refused(Change::DeleteNeighbour(missing)).errno(), Some(Errno::NOENT));
}

#[test]
fn token_buckets_agree_with_what_was_asked() {
    let (mut t, a, _) = TestNs::with_veth();
    for (rate, burst) in
        [(1_000, 2_000), (125_000, 15_000), (1_250_000_000, 5_000_000), (12_500_000_000, 50_000_000)]
    {
        let tbf = Tbf::with_latency(rate, burst, 25_000);
        t.ok(Change::ReplaceQdisc(Qdisc::tbf(a, tbf)));
        let read = t.nl.qdiscs(Some(a)).unwrap();
        let [Qdisc { kind: QdiscKind::Tbf(got), handle: 0x1_0000, parent: TC_H_ROOT, .. }] = &read[..] else {
            panic!("{read:?}");
        };
        assert!(tbf.agrees(got), "{tbf:?} {got:?}");
        assert!(!Tbf { burst_bytes: burst / 2, ..tbf }.agrees(got));
    }
    let tbf = Tbf { rate_bytes: 0, burst_bytes: 1, limit_bytes: 1 };
    assert_eq!(t.refused(Change::AddQdisc(Qdisc::tbf(a, tbf))).errno(), None);
    t.ok(Change::DeleteQdisc(Qdisc::tbf(a, tbf)));
    let read = t.nl.qdiscs(Some(a)).unwrap();
    assert!(
        matches!(&read[..], [Qdisc { kind: QdiscKind::Other(name), .. }] if name == "noqueue"),
        "{read:?}"
    );
}

#[test]
fn what_arrives_is_redirected() {
    let (mut t, a, b) = TestNs::with_veth();
    t.ok(Change::AddLink(NewLink { up: true, ..NewLink::new("ifb7", LinkKind::Ifb) }));
    let ifb = t.index("ifb7");
    t.ok(Change::AddQdisc(Qdisc::ingress(a)));
    assert!(t.nl.qdiscs(Some(a)).unwrap().contains(&Qdisc::ingress(a)));
    let filter = Filter::redirect_ingress(a, ifb);
    t.ok(Change::AddFilter(filter.clone()));
    assert_eq!(t.nl.filters(a, TC_INGRESS_HANDLE).unwrap(), std::slice::from_ref(&filter));
    t.ok(Change::DeleteFilter(filter));
    assert_eq!(t.nl.filters(a, TC_INGRESS_HANDLE).unwrap(), []);
    t.ok(Change::AddQdisc(Qdisc::clsact(b)));
    for (parent, priority) in [(TC_H_MIN_INGRESS, 1), (TC_H_MIN_EGRESS, 2)] {
        let filter = Filter { parent, priority, ..Filter::redirect_ingress(b, ifb) };
        t.ok(Change::AddFilter(filter.clone()));
        assert_eq!(t.nl.filters(b, parent).unwrap(), [filter]);
    }
    t.ok(Change::DeleteQdisc(Qdisc::clsact(b)));
    assert!(!t.nl.qdiscs(Some(b)).unwrap().contains(&Qdisc::clsact(b)));
}

#[test]
fn a_list_that_changes_is_read_whole() {
    let (mut t, a, _) = TestNs::with_veth();
    let add: Vec<_> = (0..2000u32)
        .map(|n| {
            let dst = IpNet::new(IpAddr::from([10, 50, (n >> 8) as u8, n as u8]), 32).unwrap();
            Change::AddRoute(Route::to(dst).dev(a))
        })
        .collect();
    t.nl.apply_all(&add).unwrap();
    let mut other = kernel::Netlink::open_in(&t.ns).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                other
                    .apply(&Change::SetLink {
                        index: a,
                        set: SetLink { group: Some(3), ..SetLink::default() },
                    })
                    .unwrap();
                let extra = Neighbour::permanent(a, ip("10.1.2.9"), MacAddr([2; 6]));
                other.apply(&Change::SetNeighbour(extra)).unwrap();
            }
        });
        for _ in 0..50 {
            let read = routes(&mut t, RT_TABLE_MAIN);
            assert_eq!(read.iter().filter(|r| r.dst.is_some_and(|d| d.prefix_len() == 32)).count(), 2000);
            assert_eq!(t.nl.links().unwrap().len(), 3);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
