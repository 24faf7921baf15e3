//! Questions that nobody should ask: every one gets an answer, none ends the process.

use std::sync::LazyLock;

use controller::webhook::{judge, read};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cluster::Cluster;

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::new);

/// Any JSON, in part with the words that the decisions look for.
fn value() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "",
        "a",
        "a6",
        "lan",
        "front",
        "10.0.0.0/24",
        "10.0.0.20",
        "10.0.0.5-10.0.0.1",
        "fd00::/64",
        "::",
        "0.0.0.0/0",
        "255.255.255.255",
        "02:00:00:00:00:20",
        "StatefulSet",
        "default/lan",
        "web-*",
        "[",
        "{\"subnet\":[{}]}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words.prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "metadata",
        "name",
        "namespace",
        "annotations",
        "labels",
        "spec",
        "network",
        "cidr",
        "gateway",
        "ranges",
        "exclude",
        "pairWith",
        "subnet",
        "addresses",
        "ip",
        "mac",
        "ordinals",
        "ordinal",
        "count",
        "workload",
        "kind",
        "parent",
        "parents",
        "attachAs",
        api::NETWORKS,
        api::DEFAULT_NETWORK,
        api::addresses::ADDRESSES,
        "ipam.spidernet.io/ippools",
    ]);
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..6).prop_map(|entries| entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

fn kind() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({"group": "llano.dev", "version": "v1alpha1", "kind": "MacvlanNetwork"}),
        json!({"group": "llano.dev", "version": "v1alpha1", "kind": "MacvlanSubnet"}),
        json!({"group": "llano.dev", "version": "v1alpha1", "kind": "MacvlanReservation"}),
        json!({"group": "", "version": "v1", "kind": "Pod"}),
        json!({"version": "v1", "kind": "Service"}),
    ])
}

/// A spec of some kind that is nearly one.
fn spec() -> impl Strategy<Value = Value> {
    let text = |words: &[&'static str]| prop::sample::select(words.to_vec());
    let v4 = (0u8..4, any::<u8>()).prop_map(|(net, host)| format!("10.{net}.0.{host}"));
    let range = (v4.clone(), v4.clone()).prop_map(|(from, to)| format!("{from}-{to}"));
    let ranges = prop::collection::vec(prop_oneof![v4.clone(), range], 0..6);
    let subnet = (text(&["lan", "wan", "x"]), text(&["10.0.0.0/24", "10.1.0.0/24", "10.0.0.0/8", "fd00::/64"]), ranges.clone(), text(&["a", "a6", "x"]))
        .prop_map(|(network, cidr, ranges, pair)| json!({"network": network, "cidr": cidr, "ranges": ranges, "pairWith": pair}));
    let addresses = prop::collection::vec((v4, 0x20u8..0x44), 1..6).prop_map(|pairs| {
        let pairs =
            pairs.into_iter().map(|(ip, mac)| json!({"ip": ip, "mac": format!("02:00:00:00:00:{mac:02x}")}));
        Value::from(pairs.collect::<Vec<_>>())
    });
    let named = text(&["a", "shop-only", "lonely", "x"]);
    let reservation = prop_oneof![
        (named.clone(), addresses)
            .prop_map(|(subnet, addresses)| json!({"subnet": subnet, "addresses": addresses})),
        (named.clone(), ranges).prop_map(|(subnet, ranges)| json!({"subnet": subnet, "ranges": ranges})),
        (named, any::<u32>()).prop_map(|(subnet, count)| json!({"subnet": subnet, "count": count})),
    ];
    prop_oneof![subnet, reservation, value()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = read(&bytes);
    }

    #[test]
    fn any_object_is_judged(kind in kind(), object in value(), old in value(), namespace in "[a-z]{0,5}") {
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u", "kind": kind,
            "namespace": namespace, "operation": "UPDATE", "object": object, "oldObject": old}});
        let question = read(body.to_string().as_bytes()).unwrap();
        let _ = judge(&question, &*CLUSTER);
    }

    #[test]
    fn any_spec_is_judged_and_a_refusal_names_object_and_field(
        kind in prop::sample::select(vec!["MacvlanSubnet", "MacvlanReservation"]),
        spec in spec(),
        old in prop::option::of(spec()),
    ) {
        let question = crate::table::question(kind, "shop", "new", &spec, old.as_ref());
        if let Some(said) = judge(&question, &*CLUSTER).refused {
            prop_assert!(said.starts_with(kind), "{}", said);
            prop_assert!(said.contains("spec") || said.contains("cannot be read"), "{}", said);
            prop_assert!(said.len() < 2000, "{}", said);
        }
    }
}
