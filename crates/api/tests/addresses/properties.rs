//! For every input: what is read means what it says, what is refused is refused in words.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use api::addresses::{
    ADDRESSES, AddressList, Family, IpRange, Labels, NamePattern, PodFacts, SubnetFacts, choose_subnets,
};
use proptest::prelude::*;

use crate::chosen::whole;
use crate::{ask, interfaces, parse};

const KEYS: [&str; 12] = [
    ADDRESSES,
    "ipam.spidernet.io/ippool",
    "ipam.spidernet.io/ippools",
    "ipam.spidernet.io/subnet",
    "ipam.spidernet.io/subnets",
    "ipam.spidernet.io/default-route-nic",
    "macvlan.pandaria.cattle.io/ip",
    "macvlan.pandaria.cattle.io/mac",
    "macvlan.pandaria.cattle.io/subnet",
    "flatnetwork.pandaria.io/ip",
    "flatnetwork.pandaria.io/mac",
    "flatnetwork.pandaria.io/subnet",
];

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0x0a00_0000u32..0x0a00_0100).prop_map(|n| IpAddr::V4(Ipv4Addr::from(n))),
        (0u128..256).prop_map(|n| IpAddr::V6(Ipv6Addr::from((0xfd << 120) + n))),
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[ab]{1,2}|[a-z0-9]([a-z0-9-]{0,4}[a-z0-9])?|[a-z]{0,2}(\\*|\\?|\\[[^!]?[a-f]-z\\])[a-z]{0,2}"
}

/// Two subnets of each family that share the addresses of [`address`], and one of another network.
fn world(disabled: u8, default: u8, paired: bool) -> Vec<SubnetFacts> {
    let subnets = [
        ("a", "lan", "10.0.0.0/25"),
        ("b", "lan", "10.0.0.128/25"),
        ("aa", "lan", "fd00::/121"),
        ("bb", "lan", "fd00::80/121"),
        ("c", "other", "10.0.0.0/24"),
    ];
    let facts = |(at, (name, network, cidr)): (usize, (&str, &str, &str))| SubnetFacts {
        name: name.to_owned(),
        network: network.to_owned(),
        cidr: cidr.parse().unwrap(),
        usable: vec![whole(cidr)],
        namespace_selector: None,
        pod_selector: None,
        node_selector: None,
        default: default >> at & 1 == 1,
        closed: (disabled >> at & 1 == 1).then_some("is disabled"),
        pair: (paired && name.len() == 1).then(|| name.repeat(2)),
    };
    subnets.into_iter().enumerate().map(facts).collect()
}

prop_compose! {
    /// One element of the annotation, with whatever may stand in it.
    fn element()(
        subnet in proptest::option::of(prop_oneof![
            name().prop_map(|name| format!("{name:?}")),
            proptest::collection::vec(name(), 0..4).prop_map(|names| format!("{names:?}")),
            (proptest::collection::vec(name(), 0..3), proptest::collection::vec(name(), 0..3))
                .prop_map(|(v4, v6)| format!(r#"{{"ipv4":{v4:?},"ipv6":{v6:?}}}"#)),
        ]),
        ips in proptest::collection::vec((address(), 0u8..4), 0..6),
        paired in any::<bool>(),
        auto in proptest::option::of(any::<bool>()),
        reservation in proptest::option::of("[a-z]{1,5}"),
        route in proptest::option::of(any::<bool>()),
    ) -> String {
        let ranges: Vec<String> = ips.iter().map(|(first, more)| match first {
            IpAddr::V4(ip) => format!("{first}-{}", Ipv4Addr::from(u32::from(*ip) + u32::from(*more))),
            IpAddr::V6(_) => first.to_string(),
        }).collect();
        let macs: Vec<String> = if paired { (0..ranges.len()).map(|n| format!("02:00:00:00:00:{n:02x}")).collect() } else { Vec::new() };
        let mut keys = vec![format!(r#""ips":{ranges:?},"macs":{macs:?}"#)];
        keys.extend(subnet.map(|text| format!(r#""subnet":{text}"#)));
        keys.extend(auto.map(|auto| format!(r#""auto":{auto}"#)));
        keys.extend(reservation.map(|text| format!(r#""reservation":{text:?}"#)));
        keys.extend(route.map(|route| format!(r#""defaultRoute":{route}"#)));
        format!("{{{}}}", keys.join(","))
    }
}

proptest! {
    /// What is printed reads as the same, and prints as the same.
    #[test]
    fn requests_survive_their_text(first in element(), second in proptest::option::of(element())) {
        let named = |interface: &str, element: &str| format!(r#"{{"interface":"{interface}",{}"#, &element[1..]);
        let mut elements = vec![named("net2", &first)];
        elements.extend(second.map(|element| named("net1", &element)));
        let (text, names) = (format!("[{}]", elements.join(",")), interfaces("net1 net2"));
        let read = |text: &str| parse(&[(ADDRESSES.to_owned(), text.to_owned())].into(), &names);
        match read(&text) {
            Ok(requests) => {
                let again = read(&requests.to_annotation()).unwrap();
                prop_assert_eq!(&again, &requests);
                prop_assert_eq!(again.to_annotation(), requests.to_annotation());
            }
            Err(error) => prop_assert!(error.to_string().contains(ADDRESSES), "{}", error),
        }
    }

    /// A list has exactly the addresses that were written, in their order, and each at its place.
    #[test]
    fn lists_keep_their_order(addresses in proptest::collection::vec(address(), 0..40)) {
        let list = AddressList::new(addresses.iter().map(|address| IpRange::new(*address, *address).unwrap()));
        let distinct: BTreeSet<&IpAddr> = addresses.iter().collect();
        prop_assert_eq!(list.is_ok(), distinct.len() == addresses.len());
        let Ok(list) = list else { return Ok(()) };
        for family in Family::BOTH {
            let expected: Vec<IpAddr> = addresses.iter().copied().filter(|ip| Family::of(*ip) == family).collect();
            prop_assert_eq!(list.count(family), expected.len() as u128);
            for (place, address) in expected.iter().enumerate() {
                prop_assert_eq!(list.place(*address), Some(place as u128));
            }
            prop_assert_eq!(list.iter(family).collect::<Vec<_>>(), expected);
        }
    }

    /// A range has an address exactly when its number is between those of the ends.
    #[test]
    fn ranges_read_as_they_print(a in any::<u32>(), b in any::<u32>(), c in any::<u32>()) {
        let text = format!("{}-{}", Ipv4Addr::from(a), Ipv4Addr::from(b));
        let Some(range) = IpRange::parse(&text) else { return Ok(()) };
        prop_assert!(a <= b);
        prop_assert_eq!(range.count(), u128::from(b - a) + 1);
        prop_assert_eq!(range.contains(Ipv4Addr::from(c).into()), (a..=b).contains(&c));
        prop_assert_eq!(IpRange::parse(&range.to_string()), Some(range));
    }

    /// A pattern of stars and question marks matches what a slow and plain matcher says.
    #[test]
    fn patterns_agree_with_a_plain_matcher(pattern in "[ab*?]{1,8}", name in "[ab]{0,8}") {
        fn plain(pattern: &[u8], name: &[u8]) -> bool {
            match (pattern, name) {
                ([], []) => true,
                ([b'*', rest @ ..], _) => plain(rest, name) || (!name.is_empty() && plain(pattern, &name[1..])),
                ([byte, rest @ ..], [first, others @ ..]) => (*byte == b'?' || byte == first) && plain(rest, others),
                _ => false,
            }
        }
        let found = NamePattern::parse(&pattern).unwrap().matches(&name);
        prop_assert_eq!(found, plain(pattern.as_bytes(), name.as_bytes()));
    }

    /// Any text under any key is read or refused, and a refusal names the key.
    #[test]
    fn any_annotation_is_answered(key in proptest::sample::select(&KEYS[..]), text in "\\PC{0,60}|[\\[\\]{}\":,a-f0-9. -]{0,60}") {
        if let Err(error) = ask(key, &text) {
            prop_assert!(error.to_string().contains(key), "{}", error);
        }
    }

    /// Whatever is asked, the subnets are such as the pod may have, and have the addresses that were asked for.
    #[test]
    fn choices_are_allowed(element in element(), disabled in 0u8..16, default in 0u8..16, paired in any::<bool>()) {
        let Ok(requests) = ask(ADDRESSES, &element) else { return Ok(()) };
        let request = requests.iter().next().map(|(_, request)| request.clone()).unwrap_or_default();
        let (world, none) = (world(disabled, default, paired), Labels::new());
        let pod = PodFacts {
            network: "lan",
            pod_labels: &none,
            namespace_labels: &none,
            node_labels: &none,
            reservation_subnet: None,
        };
        let Ok(choice) = choose_subnets(&request, &pod, &world) else { return Ok(()) };
        prop_assert!(!choice.v4.is_empty() || !choice.v6.is_empty());
        for family in Family::BOTH {
            let (subnets, names) = (choice.of(family), request.subnets().of(family));
            let named = |subnet: &SubnetFacts| names.iter().any(|name| name.matches(&subnet.name));
            for subnet in subnets {
                prop_assert!(subnet.family() == family && subnet.network == "lan" && subnet.closed.is_none());
                prop_assert!(names.is_empty() || named(subnet) || paired, "{}", subnet.name);
            }
            for address in request.pairs().ips().iter(family) {
                prop_assert!(subnets.iter().any(|subnet| subnet.cidr.contains(&address)), "{}", address);
            }
        }
    }

    /// Rancher's separators all mean the same.
    #[test]
    fn separators_mean_the_same(addresses in proptest::collection::btree_set(address(), 1..8), separators in proptest::collection::vec(proptest::sample::select(&["-", ",", "，", " , "][..]), 8)) {
        let mut text = String::new();
        for (at, address) in addresses.iter().enumerate() {
            if at > 0 {
                text += separators[at];
            }
            text += &address.to_string();
        }
        let own: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        let own = ask(ADDRESSES, &format!(r#"{{"ips":{own:?}}}"#)).unwrap();
        prop_assert_eq!(ask("flatnetwork.pandaria.io/ip", &text).unwrap(), own);
    }
}
