//! Parsed forms: what follows from an object, for any object.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use api::kinds::{
    Claim, ClaimOwner, HoldReason, Holder, MacvlanNetwork, MacvlanReservation, MacvlanSubnet, Network, Pair,
    PodOn, Reservation, Subnet, What, claim_name, ordinal_of, parse_claim_name,
};
use api::{IfName, Mac, NetworkRef, Role};
use proptest::prelude::*;
use serde_json::{Value, json};

fn subnet(spec: &Value) -> Result<Subnet, api::Error> {
    let object = json!({"apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanSubnet", "metadata": {"name": "a"}, "spec": spec});
    Subnet::parse(&serde_json::from_value::<MacvlanSubnet>(object).unwrap())
}

fn reservation(spec: &Value) -> Reservation {
    let metadata = json!({"name": "web", "namespace": "default"});
    let object = json!({"apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanReservation", "metadata": metadata, "spec": spec});
    Reservation::parse(&serde_json::from_value::<MacvlanReservation>(object).unwrap()).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The address so many after the first of the subnet that the properties use.
fn nth(v4: bool, n: u8) -> IpAddr {
    if v4 {
        Ipv4Addr::new(10, 0, 0, n).into()
    } else {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n.into()).into()
    }
}

/// A run of places, as text and as the places.
fn text_of(v4: bool, (a, b): (u8, u8)) -> (String, std::ops::RangeInclusive<u8>) {
    let (from, to) = (a.min(b), a.max(b));
    let text =
        if from == to { nth(v4, from).to_string() } else { format!("{}-{}", nth(v4, from), nth(v4, to)) };
    (text, from..=to)
}

proptest! {
    /// Usable is what a slow look at every single address says.
    #[test]
    fn usable_is_ranges_without_what_is_taken_away(
        v4 in any::<bool>(),
        bits in 0u8..=8,
        ranges in proptest::collection::vec((any::<u8>(), any::<u8>()), 0..5),
        exclude in proptest::collection::vec((any::<u8>(), any::<u8>()), 0..5),
        gateway in proptest::option::of(any::<u8>()),
    ) {
        let last = u8::try_from((1u32 << bits) - 1).unwrap();
        let own: &[u8] = match (v4, bits) { (true, 2..) => &[0, last], (false, 2..) => &[0], _ => &[] };
        let inside = |runs: Vec<(u8, u8)>| -> Vec<(u8, u8)> { runs.into_iter().map(|(a, b)| (a & last, b & last)).collect() };
        let (ranges, exclude) = (inside(ranges), inside(exclude));
        // The gateway of an IPv4 subnet is none of its own addresses.
        let gateway = gateway.map(|n| n & last).filter(|n| !v4 || !own.contains(n));
        let mut slow: BTreeSet<u8> = ranges.iter().flat_map(|run| text_of(v4, *run).1).collect();
        if ranges.is_empty() {
            slow.extend(0..=last);
        }
        for n in exclude.iter().flat_map(|run| text_of(v4, *run).1).chain(gateway).chain(own.iter().copied()) {
            slow.remove(&n);
        }
        let prefix = if v4 { 32 } else { 128 } - bits;
        let texts = |runs: &[(u8, u8)]| runs.iter().map(|run| text_of(v4, *run).0).collect::<Vec<_>>();
        let read = subnet(&json!({
            "network": "lan",
            "cidr": format!("{}/{prefix}", nth(v4, 0)),
            "gateway": gateway.map(|n| nth(v4, n)),
            "ranges": texts(&ranges),
            "exclude": texts(&exclude),
        })).unwrap();
        prop_assert_eq!(read.usable().iter().collect::<Vec<_>>(), slow.iter().map(|n| nth(v4, *n)).collect::<Vec<_>>());
        prop_assert_eq!(read.total(), i64::try_from(slow.len()).unwrap());
    }

    #[test]
    fn a_claims_name_says_its_network_and_address(network in "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", address in any_address()) {
        let name = claim_name(&network, address);
        prop_assert_eq!(parse_claim_name(&name), Some((network.as_str(), address.to_canonical())));
        // As the API server wants it: parts of lower-case letters, digits and -, a letter or digit at each end.
        let fits = |part: &str| {
            let plain = part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
            plain && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
        };
        prop_assert!(name.len() <= 105 && name.split('.').all(fits), "{}", name);
    }

    /// Every name that is read is the one that would be written: there are no two names of one address.
    #[test]
    fn a_name_that_is_read_is_the_only_one(rest in "[0-9a-f:.-]{1,16}") {
        let name = format!("lan.{rest}");
        if let Some((network, address)) = parse_claim_name(&name) {
            prop_assert_eq!(claim_name(network, address), name);
        }
    }

    #[test]
    fn a_claim_is_written_as_it_was_read(
        address in any_address(),
        mac in any::<[u8; 6]>(),
        seconds in 0u64..4_000_000_000,
        rests in 0u64..4_000_000,
        active in any::<bool>(),
    ) {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let pod = PodOn {
            namespace: "default".into(),
            pod: "web-0".into(),
            uid: "8f1c".into(),
            node: "node1".into(),
            container_id: "c0ffee".into(),
            interface: IfName::new("net1").unwrap(),
        };
        let claim = Claim {
            network: "lan".into(),
            subnet: "lan-a".into(),
            address: address.to_canonical(),
            mac: Mac::new(mac),
            kept_for: None,
            holder: if active { Holder::Active(pod) } else {
                Holder::Held {
                    reason: HoldReason::ReuseDelay,
                    since,
                    until: Some(since + Duration::from_secs(rests)),
                    message: None,
                    last: Some(ClaimOwner { pod: "web-0".into(), ..ClaimOwner::default() }),
                }
            },
        };
        let object = claim.object();
        prop_assert_eq!(object.metadata.name.clone(), Some(claim.name()));
        prop_assert_eq!(Claim::parse(&object), Ok(claim));
    }

    /// Ordinals: the pod of each number has its address, and no other pod has one.
    #[test]
    fn each_ordinal_has_its_address(ordinals in proptest::collection::btree_map(0u32..10_000, any::<[u8; 2]>(), 1..40)) {
        let mut taken = BTreeSet::new();
        let ordinals: BTreeMap<u32, IpAddr> = ordinals
            .into_iter()
            .map(|(ordinal, [a, b])| (ordinal, IpAddr::from([10, 0, a, b])))
            .filter(|(_, address)| taken.insert(*address))
            .collect();
        let written: Vec<Value> =
            ordinals.iter().rev().map(|(ordinal, ip)| json!({"ordinal": ordinal, "ip": ip})).collect();
        let read = reservation(&json!({"subnet": "a", "ordinals": written}));
        let What::Ordinals(pairs) = &read.what else { panic!("{read:?}") };
        for n in (0..10_000).step_by(7).chain(ordinals.keys().copied()) {
            let ordinal = ordinal_of("web", &format!("web-{n}")).unwrap();
            prop_assert_eq!(ordinal, n);
            let pair = ordinals.get(&n).map(|address| Pair { address: *address, mac: None });
            prop_assert_eq!(pairs.get(&ordinal).copied(), pair);
        }
    }

    #[test]
    fn a_mac_is_read_as_it_is_printed(bytes in any::<[u8; 6]>()) {
        match Mac::new(bytes) {
            Some(mac) => {
                prop_assert_eq!(mac.to_string().parse::<Mac>(), Ok(mac));
                prop_assert_eq!(mac.bytes(), bytes);
            }
            None => prop_assert!(bytes[0] & 1 == 1 || bytes == [0; 6]),
        }
    }
}

/// Addresses with runs of zeros, where an IPv6 text has its `::`.
fn any_address() -> impl Strategy<Value = IpAddr> {
    let group = prop_oneof![Just(0u16), Just(0), any::<u16>()];
    prop_oneof![
        any::<Ipv4Addr>().prop_map(IpAddr::from),
        proptest::array::uniform8(group).prop_map(|groups| IpAddr::from(Ipv6Addr::from(groups))),
    ]
}

#[test]
fn names_that_are_no_claims() {
    for name in [
        "lan",
        "lan.",
        "lan.10.0.0",
        "lan.10.0.0.05",
        "lan.fd00",
        "lan.fd00--",
        "lan.--1",
        "lan.FD00--1",
        "lan.fd00-0--1",
        "lan.0-0-0-0-0-0-0-1",
        "lan.x.10.0.0.5",
        "lan.0--ffff-10.0.0.5",
    ] {
        assert_eq!(parse_claim_name(name), None, "{name}");
    }
    assert_eq!(claim_name("lan", ip("::ffff:10.0.0.5")), "lan.10.0.0.5");
}

#[test]
fn ordinals_are_written_in_one_way() {
    for (pod, ordinal) in [
        ("web-0", Some(0)),
        ("web-12", Some(12)),
        ("web-01", None),
        ("web-+1", None),
        ("web-", None),
        ("web", None),
        ("web1", None),
        ("web-a", None),
        ("db-1", None),
        ("web-4294967296", None),
    ] {
        assert_eq!(ordinal_of("web", pod), ordinal, "{pod}");
    }
    assert_eq!(ordinal_of("web-1", "web-1-3"), Some(3));
}

#[test]
fn a_64_is_as_large_as_a_status_can_say_and_costs_two_runs() {
    let read = subnet(&json!({"network": "lan", "cidr": "fd00::/64", "gateway": "fd00::1"})).unwrap();
    assert_eq!(read.usable().len(), (1 << 64) - 2);
    assert_eq!(read.total(), i64::MAX);
    assert_eq!(read.usable().runs().collect::<Vec<_>>(), [(ip("fd00::2"), ip("fd00::ffff:ffff:ffff:ffff"))]);
}

#[test]
fn every_selector_has_to_match() {
    let read = subnet(&json!({
        "network": "lan", "cidr": "10.0.0.0/24",
        "namespaceSelector": {"matchLabels": {"team": "a"}},
        "podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]},
        "nodeSelector": {"matchExpressions": [{"key": "rack", "operator": "Exists"}]},
    }))
    .unwrap();
    let (team, app, rack) = (labels(&[("team", "a")]), labels(&[("app", "web")]), labels(&[("rack", "")]));
    let none = labels(&[]);
    assert!(read.is_for(&team, &app, &rack) && read.is_for(&team, &none, &rack));
    assert!(!read.is_for(&none, &app, &rack));
    assert!(!read.is_for(&team, &labels(&[("app", "db")]), &rack));
    assert!(!read.is_for(&team, &app, &none));
    let open = subnet(&json!({"network": "lan", "cidr": "10.0.0.0/24"})).unwrap();
    assert!(open.is_for(&none, &none, &none));
}

#[test]
fn a_route_goes_through_its_own_router_or_the_gateway() {
    let routes = json!([{"dst": "0.0.0.0/0"}, {"dst": "192.168.0.0/16", "gw": "10.0.0.2"}]);
    let read =
        subnet(&json!({"network": "lan", "cidr": "10.0.0.0/24", "gateway": "10.0.0.1", "routes": routes}))
            .unwrap();
    let through = |read: &Subnet| read.routes.iter().map(|route| route.gateway).collect::<Vec<_>>();
    assert_eq!(through(&read), [Some(ip("10.0.0.1")), Some(ip("10.0.0.2"))]);
    let read = subnet(&json!({"network": "lan", "cidr": "10.0.0.0/24", "routes": routes})).unwrap();
    assert_eq!(through(&read), [None, Some(ip("10.0.0.2"))]);
}

#[test]
fn delays_are_read() {
    let delay = |text: &str| {
        subnet(&json!({"network": "lan", "cidr": "10.0.0.0/24", "reuseDelay": text}))
            .map(|read| read.reuse_delay.as_secs())
    };
    for (text, seconds) in
        [("0s", 0), ("30s", 30), ("10m", 600), ("1h30m", 5400), ("1h1m1s", 3661), ("720h", 2_592_000)]
    {
        assert_eq!(delay(text), Ok(seconds), "{text}");
    }
    for text in ["", "1", "1s1h", "1h1h", "-1s", "+1s", "1.5h", "s", "1d", "721h", "99999999999999999999s"] {
        assert!(delay(text).is_err(), "{text}");
    }
    let object = json!({"metadata": {"name": "a"}, "spec": {"network": "lan", "cidr": "10.0.0.0/24"}});
    let object: MacvlanSubnet = serde_json::from_value(object).unwrap();
    assert_eq!(Subnet::parse(&object).unwrap().reuse_delay, Duration::ZERO);
}

#[test]
fn a_refusal_names_the_object_the_field_and_the_way_out() {
    let error = subnet(
        &json!({"network": "lan", "cidr": "10.0.0.0/24", "ranges": ["10.0.0.7", "10.0.0.9-10.0.0.8"]}),
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "MacvlanSubnet a: spec.ranges[1]: 10.0.0.9-10.0.0.8 must have its first address first: 10.0.0.8-10.0.0.9"
    );
}

#[test]
fn a_networks_parent_depends_on_the_node() {
    let parse = |spec: Value| {
        let object = json!({"metadata": {"name": "lan"}, "spec": spec});
        Network::parse(&serde_json::from_value::<MacvlanNetwork>(object).unwrap()).unwrap()
    };
    let network = parse(json!({"parents": [
        {"nodeSelector": {"matchLabels": {"rack": "a"}}, "parent": "eth1"},
        {"nodeSelector": {"matchExpressions": [{"key": "rack", "operator": "Exists"}]}, "parent": "eth2"},
    ]}));
    let parent =
        |rack: &[(&str, &str)]| network.parent_on(&labels(rack)).map(|name| name.as_str().to_owned());
    assert_eq!(parent(&[("rack", "a")]).as_deref(), Some("eth1"));
    assert_eq!(parent(&[("rack", "b")]).as_deref(), Some("eth2"));
    assert_eq!(parent(&[]), None);

    let network = parse(json!({"parent": "eth0", "attachAs": [{"name": "lan", "namespace": "default"}]}));
    assert_eq!(network.parent_on(&labels(&[])).map(IfName::as_str), Some("eth0"));
    assert_eq!(
        (network.vlan, network.host_access, network.probe, network.anti_spoof),
        (None, true, true, false)
    );
    let lan = NetworkRef::new("default", "lan").unwrap();
    assert_eq!(network.attach_as, BTreeMap::from([(lan, Role::Overlay)]));

    let network = parse(json!({"parent": "eth0", "mode": "private", "vlan": 7}));
    assert_eq!((network.vlan, network.host_access), (Some(7), false));
}

#[test]
fn a_reservation_fits_its_subnet_or_not() {
    let subnet = subnet(
        &json!({"network": "lan", "cidr": "10.0.0.0/24", "gateway": "10.0.0.1", "exclude": ["10.0.0.9"]}),
    )
    .unwrap();
    let outside = |what: Value| {
        let mut spec = json!({"subnet": "a"});
        spec.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
        reservation(&spec).outside(&subnet)
    };
    assert_eq!(outside(json!({"count": 3})), None);
    assert_eq!(outside(json!({"addresses": [{"ip": "10.0.0.7"}, {"ip": "10.0.0.9"}]})), Some(ip("10.0.0.9")));
    assert_eq!(outside(json!({"ranges": ["10.0.0.2-10.0.0.8"]})), None);
    assert_eq!(outside(json!({"ranges": ["10.0.0.200-10.0.0.255"]})), Some(ip("10.0.0.255")));
    assert_eq!(outside(json!({"ordinals": [{"ordinal": 4, "ip": "10.0.0.1"}]})), Some(ip("10.0.0.1")));
}
