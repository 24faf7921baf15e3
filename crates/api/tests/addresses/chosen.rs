//! The subnets that a request leads to, in a small world of networks.

use std::net::IpAddr;

use api::addresses::{
    ADDRESSES, Choice, Family, Labels, PodFacts, Request, Selector, SubnetFacts, choose_subnets,
};

use ipnet::IpNet;

use crate::{Annotations, interfaces, parse, table};

/// Name, network, CIDR, and what is special.
const WORLD: &str = "
    lan4    lan     10.0.0.0/24  default pair=lan6
    lan6    lan     fd00::/64
    extra   lan     10.0.1.0/24
    old4    lan     10.0.2.0/24  disabled pair=old6
    old6    lan     fd00:2::/64
    shop4   lan     10.0.3.0/24  default namespace=team:shop
    shop6   lan     fd00:3::/64  pair=shop4 namespace=team:shop
    zone-a  lan     10.0.4.0/24  node=zone:a
    zone-b  lan     10.0.5.0/24  node=zone:b
    db      lan     10.0.6.0/24  pod=app:db
    half4   lan     10.0.7.0/24  pair=half6
    half6   lan     fd00:7::/64  disabled
    dead    lan     10.0.8.0/24  default disabled namespace=team:dead
    rack-1  store   10.1.1.0/24  default
    rack-2  store   10.1.2.0/24  default node=zone:a
    rack-3  store   10.1.3.0/24  default pod=app:db
    rack-0  store   10.1.4.0/24  default
    lone    single  10.2.0.0/24
    front   shared  10.4.0.0/24  gives=10.4.0.1-10.4.0.99 default
    back    shared  10.4.0.0/24  gives=10.4.0.100-10.4.0.199
    shut    closed  10.3.0.0/24  default disabled
    ";

fn world() -> Vec<SubnetFacts> {
    WORLD.trim().lines().map(subnet).collect()
}

fn subnet(line: &str) -> SubnetFacts {
    let mut words = line.split_whitespace();
    let [name, network, cidr] = [(); 3].map(|()| words.next().unwrap());
    let special: Vec<(&str, &str)> = words.map(|word| word.split_once('=').unwrap_or((word, ""))).collect();
    let value = |key: &str| special.iter().find(|(own, _)| *own == key).map(|(_, value)| *value);
    let selector = |key: &str| value(key).map(|text| labels(text).into_iter().collect::<Selector>());
    SubnetFacts {
        name: name.to_owned(),
        network: network.to_owned(),
        cidr: cidr.parse().unwrap(),
        usable: vec![value("gives").map_or_else(|| whole(cidr), run)],
        namespace_selector: selector("namespace"),
        pod_selector: selector("pod"),
        node_selector: selector("node"),
        default: value("default").is_some(),
        closed: value("disabled").map(|_| "is disabled"),
        pair: value("pair").map(str::to_owned),
    }
}

/// Every address of a CIDR.
pub(crate) fn whole(cidr: &str) -> (IpAddr, IpAddr) {
    let cidr: IpNet = cidr.parse().unwrap();
    (cidr.network(), cidr.broadcast())
}

fn run(text: &str) -> (IpAddr, IpAddr) {
    let (from, to) = text.split_once('-').unwrap();
    (from.parse().unwrap(), to.parse().unwrap())
}

fn labels(text: &str) -> Labels {
    text.split_whitespace()
        .map(|label| label.split_once(':').unwrap())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn request(annotations: &Annotations) -> Request {
    let names = interfaces("net1");
    parse(annotations, &names).unwrap().of(&names[0]).cloned().unwrap_or_default()
}

fn names(choice: &Choice<'_>, family: Family) -> Vec<String> {
    choice.of(family).iter().map(|subnet| subnet.name.clone()).collect()
}

#[test]
fn requests_lead_to_the_subnets_of_the_table() {
    let world = world();
    table::check("chosen.txt", |case| {
        let mut annotations = case.given.clone();
        let mut take = |key: &str| annotations.remove(key).unwrap_or_default();
        let (network, reservation) = (take("network"), take("reservation"));
        let [pod_labels, namespace_labels, node_labels] =
            ["pod", "namespace", "node"].map(|key| labels(&take(key)));
        if let Some(text) = annotations.remove("ask") {
            annotations.insert(ADDRESSES.to_owned(), text);
        }
        let pod = PodFacts {
            network: if network.is_empty() { "lan" } else { &network },
            pod_labels: &pod_labels,
            namespace_labels: &namespace_labels,
            node_labels: &node_labels,
            reservation_subnet: Some(reservation.as_str()).filter(|name| !name.is_empty()),
        };
        match choose_subnets(&request(&annotations), &pod, &world) {
            Err(error) => {
                assert_eq!((error.to_cni().code(), error.event().reason), (11, "NoSubnet"));
                format!("{error}\n")
            }
            Ok(choice) => Family::BOTH
                .into_iter()
                .filter(|family| !choice.of(*family).is_empty())
                .map(|family| format!("{family} {}\n", names(&choice, family).join(" ")))
                .collect(),
        }
    });
}

/// The order in which the API server lists subnets does not matter.
#[test]
fn the_order_of_the_world_does_not_matter() {
    let (forwards, mut backwards) = (world(), world());
    backwards.reverse();
    let empty = Labels::new();
    for (network, ask) in
        [("store", "{}"), ("lan", r#"{"subnet":"*"}"#), ("lan", r#"{"subnet":["extra","l*"]}"#)]
    {
        let request = request(&[(ADDRESSES.to_owned(), ask.to_owned())].into());
        let pod = PodFacts {
            network,
            pod_labels: &empty,
            namespace_labels: &empty,
            node_labels: &empty,
            reservation_subnet: None,
        };
        let (one, other) = (
            choose_subnets(&request, &pod, &forwards).unwrap(),
            choose_subnets(&request, &pod, &backwards).unwrap(),
        );
        assert_eq!(one, other, "{network} {ask}");
    }
}

#[test]
fn the_second_address_is_from_the_pair_of_the_first() {
    let world: Vec<SubnetFacts> =
        ["a4 n 10.0.0.0/24 pair=a6", "b4 n 10.0.1.0/24", "a6 n fd00::/64", "b6 n fd00:1::/64 pair=b4"]
            .map(subnet)
            .into();
    let empty = Labels::new();
    let pod = PodFacts {
        network: "n",
        pod_labels: &empty,
        namespace_labels: &empty,
        node_labels: &empty,
        reservation_subnet: None,
    };
    let request = request(&[(ADDRESSES.to_owned(), r#"{"subnet":["a4","b4"]}"#.to_owned())].into());
    let choice = choose_subnets(&request, &pod, &world).unwrap();
    let beside = |taken: usize| {
        choice.beside(&world[taken]).iter().map(|subnet| subnet.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(names(&choice, Family::V6), ["a6", "b6"]);
    assert_eq!(beside(0), ["a6", "b6"]);
    assert_eq!(beside(1), ["b6", "a6"]);
    assert_eq!(beside(3), ["b4", "a4"]);
}
