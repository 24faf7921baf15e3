//! The table of what is refused, taken with a warning, or taken: a case for each thing that the webhook looks at.

use super::*;

pub(super) fn networks(cluster: &mut Cluster) {
    let attached = |name: &str, as_name: &str| {
        network_with(name, &json!({"parent": "eth1", "attachAs": [{"name": as_name, "namespace": "shop"}]}))
    };
    check(
        cluster,
        &[
            ("a definition of its own", attached("new", "new"), Taken),
            (
                "another network's",
                attached("new", "lan"),
                Refused(&["MacvlanNetwork new: spec.attachAs: shop/lan", "choose another name"]),
            ),
        ],
    );
}

pub(super) fn subnets(cluster: &mut Cluster) {
    let new = |network: &str, cidr: &str, more: &Value| subnet("new", network, cidr, more);
    check(
        cluster,
        &[
            ("on its own", new("lan", "10.68.0.0/24", &json!({})), Taken),
            (
                "no network yet",
                new("later", "10.68.0.0/24", &json!({})),
                Warned("there is no MacvlanNetwork later yet"),
            ),
            (
                "a range in order",
                new("lan", "10.68.0.0/24", &json!({"ranges": ["10.68.0.5-10.68.0.9"]})),
                Taken,
            ),
            (
                "a range in the wrong order",
                new("lan", "10.68.0.0/24", &json!({"ranges": ["10.68.0.9-10.68.0.5"]})),
                Refused(&["spec.ranges[0]: 10.68.0.9-10.68.0.5 must have its first address first"]),
            ),
            (
                "the same CIDR, ranges apart",
                new(
                    "lan",
                    "10.60.0.0/24",
                    &json!({"gateway": "10.60.0.1", "ranges": ["10.60.0.100-10.60.0.199"]}),
                ),
                Taken,
            ),
            (
                "the same addresses",
                new(
                    "lan",
                    "10.60.0.0/24",
                    &json!({"gateway": "10.60.0.1", "ranges": ["10.60.0.90-10.60.0.120"]}),
                ),
                Refused(&[
                    "MacvlanSubnet new: spec.ranges: 10.60.0.90-10.60.0.99 is given by subnet a (10.60.0.0/24)",
                    "leave it out with spec.ranges or spec.exclude of either",
                ]),
            ),
            ("the same addresses on another network", new("wan", "10.61.0.0/24", &json!({})), Taken),
            (
                "a CIDR around another",
                new("lan", "10.61.0.0/16", &json!({"ranges": ["10.61.0.10"]})),
                Refused(&["spec.cidr", "10.61.0.10 is given by subnet shop-only"]),
            ),
            (
                "a router that pods may get",
                new("lan", "10.60.0.0/24", &json!({"gateway": "10.60.0.30", "ranges": ["10.60.0.100"]})),
                Refused(&["spec.gateway: pods of subnet a get 10.60.0.30", "put it into spec.exclude there"]),
            ),
            (
                "another's router",
                new("lan", "10.60.0.0/24", &json!({"ranges": ["10.60.0.1-10.60.0.9"]})),
                Refused(&["spec.ranges: must leave out 10.60.0.1, the gateway of subnet a"]),
            ),
            ("a pair", new("lan", "fd68::/64", &json!({"pairWith": "shop-only"})), Taken),
            (
                "no pair yet",
                new("lan", "fd68::/64", &json!({"pairWith": "later"})),
                Warned("there is no MacvlanSubnet later yet"),
            ),
            (
                "a pair of the same family",
                new("lan", "10.68.0.0/24", &json!({"pairWith": "shop-only"})),
                Refused(&["spec.pairWith: shop-only is 10.61.0.0/24 too (IPv4)", "name an IPv6 subnet"]),
            ),
            (
                "a pair on another network",
                new("lan", "fd68::/64", &json!({"pairWith": "w"})),
                Refused(&["spec.pairWith: w is on network wan, not on lan"]),
            ),
            (
                "the pair of another",
                new("lan", "10.68.0.0/24", &json!({"pairWith": "a6"})),
                Refused(&[
                    "spec.pairWith: a6 is the pair of a",
                    "take spec.pairWith away there, or name another",
                ]),
            ),
        ],
    );
}

pub(super) fn reservations(cluster: &mut Cluster) {
    let shop = |spec: &Value| reservation("shop", "new", spec);
    let one = |ip: &str, mac: Option<&str>| json!({"subnet": "a", "addresses": [{"ip": ip, "mac": mac}]});
    let lonely = |ip: &str| json!({"subnet": "lonely", "addresses": [{"ip": ip}]});
    let (own, others) = (address_of(cluster, "shop/web-0"), address_of(cluster, "bank/other"));
    check(
        cluster,
        &[
            ("free addresses", shop(&one("10.60.0.70", Some("02:00:00:00:00:70"))), Taken),
            (
                "no subnet yet",
                shop(&json!({"subnet": "later", "count": 3})),
                Warned("there is no MacvlanSubnet later yet"),
            ),
            (
                "a range in the wrong order",
                shop(&json!({"subnet": "a", "ranges": ["10.60.0.75-10.60.0.70"]})),
                Refused(&["spec.ranges[0]", "must have its first address first"]),
            ),
            ("a subnet of its namespace", shop(&json!({"subnet": "shop-only", "count": 3})), Taken),
            (
                "a subnet of other namespaces",
                reservation("bank", "new", &json!({"subnet": "shop-only", "count": 3})),
                Refused(&[
                    "spec.subnet: shop-only is not for namespace bank (its namespaceSelector)",
                    "name another",
                ]),
            ),
            (
                "outside of the subnet",
                shop(&one("10.60.1.70", None)),
                Refused(&["spec.addresses: 10.60.1.70 is not among the addresses that pods of subnet a get"]),
            ),
            (
                "the router's",
                shop(&json!({"subnet": "a", "ordinals": [{"ordinal": 0, "ip": "10.60.0.1"}]})),
                Refused(&["spec.ordinals: 10.60.0.1 is not among the addresses"]),
            ),
            (
                "an address of another reservation",
                shop(&one("10.60.0.41", None)),
                Refused(&[
                    "spec.addresses: 10.60.0.41 belongs to MacvlanReservation front already",
                    "leave it out",
                ]),
            ),
            (
                "addresses of another namespace",
                shop(&json!({"subnet": "a", "ranges": ["10.60.0.49-10.60.0.60"]})),
                Refused(&[
                    "10.60.0.50-10.60.0.52 belongs to a MacvlanReservation of another namespace",
                    "leave it out",
                ]),
            ),
            ("an address that a pod of its namespace has", shop(&lonely(&own)), Warned("not free yet")),
            (
                "an address that a pod of another namespace has",
                shop(&lonely(&others)),
                Refused(&["is not free, another namespace has it", "leave it out"]),
            ),
            ("a count that fits", shop(&json!({"subnet": "lonely", "count": 2})), Taken),
            (
                "a count larger than what is free",
                shop(&json!({"subnet": "lonely", "count": 4})),
                Warned("spec.count: 2 of 4 addresses are free in subnet lonely now"),
            ),
            (
                "a count larger than the subnet",
                shop(&json!({"subnet": "lonely", "count": 5})),
                Refused(&["spec.count: 5 addresses, and pods of subnet lonely get 4"]),
            ),
            (
                "a MAC that is taken",
                shop(&one("10.60.0.70", Some("02:00:00:00:00:40"))),
                Refused(&[
                    "02:00:00:00:00:40 is the MAC of MacvlanReservation front on this network",
                    "choose another",
                ]),
            ),
            (
                "the other family of the same interface",
                shop(&json!({"subnet": "a6", "addresses": [{"ip": "fd60::40", "mac": "02:00:00:00:00:40"}]})),
                Taken,
            ),
        ],
    );
}

pub(super) fn pods(cluster: &mut Cluster) {
    let shop = |annotations: &[(&str, &str)]| pod("shop", "new", annotations);
    let asks = |addresses: &str| shop(&[(NETWORKS, "lan"), (ADDRESSES, addresses)]);
    check(
        cluster,
        &[
            ("an overlay network beside the cluster's", shop(&[(NETWORKS, "lan")]), Taken),
            ("a standalone network first", shop(&[(FIRST, "shop/wan")]), Taken),
            (
                "an overlay network first",
                shop(&[(FIRST, "shop/lan")]),
                Refused(&["shop/lan", "llano.dev/role"]),
            ),
            (
                "an overlay network beside a standalone one",
                shop(&[(FIRST, "shop/wan"), (NETWORKS, "lan")]),
                Refused(&[
                    "network shop/lan is an overlay network (label llano.dev/role) and cannot stand beside shop/wan",
                ]),
            ),
            ("a standalone network beside the cluster's", shop(&[(NETWORKS, "wan")]), Refused(&["shop/wan"])),
            (
                "a network that is not there yet",
                shop(&[(NETWORKS, "later")]),
                Warned("there is no NetworkAttachmentDefinition shop/later"),
            ),
            (
                "cannot be read",
                shop(&[(NETWORKS, r#"[{"name": 7}]"#)]),
                Refused(&["k8s.v1.cni.cncf.io/networks[0].name"]),
            ),
            ("a subnet for this pod", asks(r#"{"subnet": "shop-only"}"#), Taken),
            (
                "a subnet that is not there yet",
                asks(r#"{"subnet": "later"}"#),
                Warned("there is no MacvlanSubnet later yet"),
            ),
            ("a subnet that is switched off", asks(r#"{"subnet": "off"}"#), Warned("subnet off is disabled")),
            (
                "a subnet of another namespace",
                pod("bank", "new", &[(NETWORKS, "lan"), (ADDRESSES, r#"{"subnet": "shop-only"}"#)]),
                Refused(&[
                    "subnet shop-only is not for namespace bank (its namespaceSelector)",
                    "name a subnet that is for this pod",
                ]),
            ),
            (
                "a subnet for other pods",
                asks(r#"{"subnet": "web-only"}"#),
                Refused(&["subnet web-only is not for a pod with these labels (its podSelector)"]),
            ),
            (
                "a subnet of another network",
                asks(r#"{"subnet": "w"}"#),
                Refused(&["subnet w is of network wan, the interface is on lan"]),
            ),
            (
                "addresses that cannot be read",
                asks(r#"{"ips": ["10.60.0.999"]}"#),
                Refused(&["llano.dev/addresses.ips[0]"]),
            ),
            (
                "addresses without a network of ours",
                shop(&[(NETWORKS, "foreign"), (ADDRESSES, r#"{"subnet": "a"}"#)]),
                Refused(&["no interface of this pod has its addresses from Llano's subnets"]),
            ),
            (
                "Rancher's words",
                shop(&[(NETWORKS, "lan"), ("macvlan.pandaria.cattle.io/ip", "10.60.0.300")]),
                Refused(&["macvlan.pandaria.cattle.io/ip"]),
            ),
            (
                "Spiderpool's words",
                pod(
                    "bank",
                    "new",
                    &[(NETWORKS, "lan"), ("ipam.spidernet.io/ippool", r#"{"ipv4": ["shop-only"]}"#)],
                ),
                Refused(&["subnet shop-only is not for namespace bank"]),
            ),
            ("a reservation", asks(r#"{"reservation": "front"}"#), Taken),
            (
                "no reservation yet",
                asks(r#"{"reservation": "later"}"#),
                Warned("there is no MacvlanReservation later"),
            ),
            (
                "a reservation on another network",
                asks(r#"{"reservation": "wide"}"#),
                Refused(&["reservation wide is of subnet w, which is of network wan", "name another"]),
            ),
            // Neither the cluster's own pods nor ours come to the webhook.
            ("of kube-system", pod("kube-system", "new", &[(NETWORKS, r#"[{"name": 7}]"#)]), Taken),
        ],
    );
}
