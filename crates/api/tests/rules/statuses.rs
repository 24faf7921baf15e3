//! The status annotation: bytes of others stay, elements come and go.

use api::IfName;
use api::status::{DeviceInfo, Statuses, interfaces};
use cni::json;
use cni::{CniResult, Version};

fn result(text: &str) -> CniResult {
    CniResult::parse(&json::parse(text.as_bytes()).unwrap(), Version::V110).unwrap()
}

const NET1: &str = r#"{"interfaces":[{"name":"net1","mac":"02:00:00:00:00:01","sandbox":"/ns"}],"ips":[{"address":"10.0.0.1/24","interface":0}]}"#;

/// What Multus wrote, with a key that nobody knows, and an order of its own.
const OTHERS: &str = "[{\n    \"name\": \"cbr0\",\n    \"interface\": \"eth0\",\n    \"new-key\": {\n        \"b\": 1,\n        \"a\": []\n    },\n    \"default\": true,\n    \"dns\": {}\n},{\n    \"name\": \"ns/lan\",\n    \"interface\": \"net1\",\n    \"dns\": {}\n}]";

#[test]
fn what_others_wrote_stays_as_it_is() {
    let statuses = Statuses::parse(OTHERS).unwrap();
    assert_eq!(statuses.to_annotation(), OTHERS);
    let elements = statuses.elements();
    assert_eq!((elements[0].name.as_str(), elements[0].default), ("cbr0", true));
    assert!(statuses.has("ns/lan", &IfName::new("net1").unwrap()));
    assert!(!statuses.has("ns/lan", &IfName::new("eth0").unwrap()));
}

#[test]
fn elements_come_and_go() {
    let mut statuses = Statuses::parse(OTHERS).unwrap();
    statuses.remove("ns/lan", &["net1"]);
    let without = OTHERS.split(",{\n    \"name\": \"ns/lan\"").next().unwrap().to_owned() + "]";
    assert_eq!(statuses.to_annotation(), without);
    // Another network's interface of that name is not meant.
    statuses.remove("ns/other", &["eth0"]);
    assert_eq!(statuses.to_annotation(), without);
    statuses.add(&result(NET1), "ns/new", false, None);
    let added = concat!(
        ",{\n    \"name\": \"ns/new\",\n    \"interface\": \"net1\",\n    \"ips\": [\n        \"10.0.0.1\"\n    ],\n",
        "    \"mac\": \"02:00:00:00:00:01\",\n    \"dns\": {}\n}]"
    );
    assert_eq!(statuses.to_annotation(), without.trim_end_matches(']').to_owned() + added);
}

#[test]
fn an_annotation_that_is_none() {
    assert_eq!(Statuses::parse(" ").unwrap().to_annotation(), "[]");
    assert_eq!(Statuses::parse("null").unwrap().to_annotation(), "[]");
    for text in ["{}", "[", "x", "\"a\""] {
        assert!(Statuses::parse(text).is_err(), "{text}");
    }
    // Elements of strange types are kept, and say nothing.
    let strange = Statuses::parse(r#"[1,{"name":7,"ips":"x","mtu":-1,"default":"yes"}]"#).unwrap();
    assert!(strange.elements().iter().all(|element| element.name.is_empty() && element.ips.is_empty()));
}

fn of(text: &str, first: bool) -> String {
    let mut statuses = Statuses::default();
    statuses.add(&result(text), "n", first, None);
    statuses.to_annotation().replace(['\n', ' '], "")
}

/// The client's two ways: a result with one interface, and one with more or none.
#[test]
fn the_default_and_the_addresses_of_several_interfaces() {
    // One interface, whatever the addresses say.
    assert_eq!(
        of(
            r#"{"interfaces":[{"name":"a","sandbox":"/s"}],"ips":[{"address":"10.0.0.1/8","interface":7}]}"#,
            true
        ),
        r#"[{"name":"n","interface":"a","ips":["10.0.0.1"],"default":true,"dns":{}}]"#
    );
    // One interface, on the host: an element without interface.
    assert_eq!(of(r#"{"interfaces":[{"name":"a"}]}"#, false), r#"[{"name":"n","dns":{}}]"#);
    // None: no element.
    assert_eq!(of(r#"{"ips":[{"address":"10.0.0.1/8"}]}"#, true), "[]");
    // Two: the default is the one with a gateway.
    let two = r#"{"interfaces":[{"name":"a","sandbox":"/s"},{"name":"b","sandbox":"/s"}],"ips":[{"address":"10.0.0.1/8","interface":0},{"address":"10.0.0.2/8","interface":1,"gateway":"10.0.0.254"}]}"#;
    assert_eq!(
        of(two, true),
        r#"[{"name":"n","interface":"a","ips":["10.0.0.1"],"dns":{}},{"name":"n","interface":"b","ips":["10.0.0.2"],"default":true,"dns":{}}]"#
    );
    assert!(!of(two, false).contains("default"));
    // The gateway is of an interface on the host: no default at all, as the client has it.
    let host = r#"{"interfaces":[{"name":"h"},{"name":"b","sandbox":"/s"}],"ips":[{"address":"10.0.0.1/8","interface":0,"gateway":"10.0.0.254"}]}"#;
    assert_eq!(of(host, true), r#"[{"name":"n","interface":"b","dns":{}}]"#);
    assert_eq!(interfaces(&result(host)), ["b"]);
}

#[test]
fn gateways_are_those_of_default_routes() {
    let routes = r#"{"interfaces":[{"name":"a","sandbox":"/s"}],"routes":[{"dst":"10.0.0.0/8","gw":"10.0.0.1"},{"dst":"0.0.0.0/0","gw":"10.0.0.2"},{"dst":"::/0"}]}"#;
    assert_eq!(
        of(routes, false),
        r#"[{"name":"n","interface":"a","dns":{},"gateway":["10.0.0.2","\u003cnil\u003e"]}]"#
    );
}

#[test]
fn device_information_has_the_order_of_the_specification() {
    let info = DeviceInfo::parse(
        br#"{"memif":{"mode":"ip","role":"master","path":"/a"},"vdpa":{},"type":"memif","unknown":1}"#,
    )
    .unwrap();
    let mut statuses = Statuses::default();
    statuses.add(&result(NET1), "n", false, Some(&info));
    let text = statuses.to_annotation().replace(['\n', ' '], "");
    assert!(
        text.ends_with(r#""dns":{},"device-info":{"type":"memif","vdpa":{},"memif":{"role":"master","path":"/a","mode":"ip"}}}]"#),
        "{text}"
    );
    for bad in [&b"[]"[..], b"{", br#"{"pci":"x"}"#, br#"{"type":1}"#, &[b' '; 70_000]] {
        assert!(DeviceInfo::parse(bad).is_err());
    }
}
