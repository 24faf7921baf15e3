//! The annotations that ask for addresses, one a line, its first letter the key: they are read or refused in words, what is
//! read is printed and read again, and it leads to subnets that it may have.
#![no_main]

use std::net::IpAddr;

use api::IfName;
use api::addresses::{
    ADDRESSES, AddressRequests, Family, Labels, PodFacts, Request, SubnetFacts, choose_subnets,
};
use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;

const KEYS: [&str; 13] = [
    ADDRESSES,
    "ipam.spidernet.io/ippool",
    "ipam.spidernet.io/ippools",
    "ipam.spidernet.io/subnet",
    "ipam.spidernet.io/subnets",
    "ipam.spidernet.io/default-route-nic",
    "ipam.spidernet.io/routes",
    "macvlan.pandaria.cattle.io/ip",
    "macvlan.pandaria.cattle.io/mac",
    "macvlan.pandaria.cattle.io/subnet",
    "flatnetwork.pandaria.io/ip",
    "flatnetwork.pandaria.io/mac",
    "flatnetwork.pandaria.io/subnet",
];

/// Most addresses of a request that are looked at one by one.
const LOOKED_AT: usize = 200;

fn subnet(name: &str, cidr: &str, disabled: bool, pair: Option<&str>) -> SubnetFacts {
    let cidr: IpNet = cidr.parse().expect("a prefix");
    SubnetFacts {
        name: name.to_owned(),
        network: "lan".to_owned(),
        cidr,
        usable: vec![(cidr.network(), cidr.broadcast())],
        namespace_selector: None,
        pod_selector: None,
        node_selector: None,
        default: name == "a",
        closed: disabled.then_some("is disabled"),
        pair: pair.map(str::to_owned),
    }
}

/// Each address has its place, and its MAC when there are MACs.
fn check_pairs(request: &Request) {
    let pairs = request.pairs();
    for family in Family::BOTH {
        for (place, (address, mac)) in pairs.of(family).take(LOOKED_AT).enumerate() {
            assert_eq!(pairs.ips().place(address), Some(place as u128));
            assert_eq!(pairs.mac_of(address), mac);
            assert_eq!(mac.is_some(), !pairs.macs().is_empty());
            assert_eq!(Family::of(address), family);
        }
    }
    assert!(request.auto() || request.reservation().is_some() || !pairs.ips().is_empty());
}

fn check_choice(request: &Request, world: &[SubnetFacts]) {
    let none = Labels::new();
    let pod = PodFacts {
        network: "lan",
        pod_labels: &none,
        namespace_labels: &none,
        node_labels: &none,
        reservation_subnet: request.reservation(),
    };
    let choice = match choose_subnets(request, &pod, world) {
        Ok(choice) => choice,
        Err(error) => {
            assert!(error.to_string().contains("network lan") && error.event().message.len() <= 1024);
            return;
        }
    };
    assert!(!choice.v4.is_empty() || !choice.v6.is_empty());
    for family in Family::BOTH {
        let subnets = choice.of(family);
        assert!(subnets.iter().all(|subnet| subnet.closed.is_none() && subnet.family() == family));
        let inside = |address: IpAddr| subnets.iter().any(|subnet| subnet.cidr.contains(&address));
        for (address, _) in request.pairs().of(family).take(LOOKED_AT) {
            assert!(inside(address), "{address}");
        }
    }
}

fuzz_target!(|text: &str| {
    let annotations: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| {
            let key = KEYS.get(usize::from(line.bytes().next()?.checked_sub(b'a')?))?;
            Some((*key, &line[1..]))
        })
        .collect();
    let interfaces: Vec<IfName> = ["eth0", "net1"].iter().filter_map(|name| IfName::new(name)).collect();
    let lookup = |key: &str| annotations.iter().find(|(own, _)| *own == key).map(|(_, text)| *text);
    let requests = match AddressRequests::parse(lookup, &interfaces) {
        Ok(requests) => requests,
        Err(error) => {
            let words = error.to_string();
            assert!(KEYS.iter().any(|key| words.contains(key)), "{words}");
            assert!(error.event().message.len() <= 1024);
            return;
        }
    };
    let printed = requests.to_annotation();
    let again = AddressRequests::parse(|key| (key == ADDRESSES).then_some(printed.as_str()), &interfaces)
        .expect("what is printed is read");
    assert!(again.iter().eq(requests.iter()), "{printed}");
    let world = [
        subnet("a", "10.0.0.0/24", false, Some("c")),
        subnet("b", "10.0.1.0/24", true, None),
        subnet("c", "fd00::/64", false, None),
        subnet("d", "10.0.2.0/23", false, None),
    ];
    for (_, request) in requests.iter() {
        check_pairs(request);
        check_choice(request, &world);
    }
});
