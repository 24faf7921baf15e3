//! Lists of any length, and what is too much.

use std::net::IpAddr;

use api::addresses::{
    ADDRESSES, Family, LONGEST_ADDRESSES, Labels, MOST_SUBNETS, NamePattern, Selector, annotations,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::core::SelectorExt;

use crate::ask;

fn json(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.map(|item| format!("{item:?}")).collect::<Vec<_>>().join(","))
}

fn mac(n: u32) -> String {
    let [_, a, b, c] = n.to_be_bytes();
    format!("0a:00:27:{a:02x}:{b:02x}:{c:02x}")
}

#[test]
fn a_hundred_pairs_keep_their_order() {
    let address = |n: u32| format!("10.0.0.{}", 2 * (n % 50) + n / 50 + 1);
    let pairs: Vec<(String, String)> = (0..100).map(|n| (address(n), mac(n))).collect();
    let ips: Vec<&str> = pairs.iter().map(|(ip, _)| ip.as_str()).collect();
    let macs: Vec<&str> = pairs.iter().map(|(_, mac)| mac.as_str()).collect();

    let own = format!(
        r#"{{"ips":{},"macs":{}}}"#,
        json(ips.iter().map(|ip| (*ip).to_owned())),
        json(macs.iter().map(|mac| (*mac).to_owned()))
    );
    let own = ask(ADDRESSES, &own).unwrap();
    let [(_, request)] = own.iter().collect::<Vec<_>>()[..] else { panic!("one interface") };
    let found: Vec<(String, String)> = request
        .pairs()
        .of(Family::V4)
        .map(|(ip, mac)| (ip.to_string(), mac.map(|mac| mac.to_string()).unwrap_or_default()))
        .collect();
    assert_eq!(found, pairs);
    let ip: IpAddr = pairs[70].0.parse().unwrap();
    assert_eq!(request.pairs().mac_of(ip).map(|mac| mac.to_string()).as_deref(), Some(macs[70]));
    assert_eq!(request.pairs().mac_of("10.0.0.200".parse().unwrap()), None);
    assert_eq!(request.pairs().of(Family::V6).count(), 0);

    let rancher = [("ip", ips.join("-")), ("mac", macs.join("-"))]
        .map(|(key, text)| (format!("macvlan.pandaria.cattle.io/{key}"), text));
    let rancher = crate::parse(&rancher.into(), &crate::interfaces("net1")).unwrap();
    assert_eq!(rancher, own);
}

#[test]
fn ten_thousand_addresses_are_read_one_by_one() {
    // Every second one, from the top: nothing can be joined to a range.
    let address = |n: u32| std::net::Ipv4Addr::from(0x0a01_0000 - 2 * n).to_string();
    let text = format!(r#"{{"ips":{}}}"#, json((0..10_000).map(address)));
    assert!(text.len() <= LONGEST_ADDRESSES);
    let requests = ask(ADDRESSES, &text).unwrap();
    let (_, request) = requests.iter().next().unwrap();
    assert_eq!(request.pairs().ips().count(Family::V4), 10_000);
    let last = request.pairs().of(Family::V4).last().unwrap();
    assert_eq!(last, (address(9_999).parse().unwrap(), None));
    assert_eq!(request.pairs().ips().place(last.0), Some(9_999));
}

#[test]
fn what_is_too_much_is_refused() {
    let long = format!(r#"{{"reservation":"{}"}}"#, "a".repeat(LONGEST_ADDRESSES));
    let error = ask(ADDRESSES, &long).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("annotation {ADDRESSES}: has {} bytes, at most 262144 are allowed", long.len())
    );
    let rancher = "macvlan.pandaria.cattle.io/ip";
    assert!(ask(rancher, &long).unwrap_err().to_string().contains(rancher));

    let names = |count: usize| json((0..count).map(|n| format!("s{n}")));
    assert!(ask(ADDRESSES, &format!(r#"{{"subnet":{}}}"#, names(MOST_SUBNETS))).is_ok());
    let error = ask(ADDRESSES, &format!(r#"{{"subnet":{}}}"#, names(MOST_SUBNETS + 1))).unwrap_err();
    assert_eq!(error.to_string(), "llano.dev/addresses.subnet: 65, at most 64 are allowed");

    // A refusal stays short, and so do the warnings.
    let error = ask(ADDRESSES, &format!(r#"{{"{}":1}}"#, "x".repeat(100_000))).unwrap_err();
    assert!(error.to_string().len() < 400, "{error}");
    let keys: Vec<String> = (0..5_000).map(|n| format!(r#""k{n}":1"#)).collect();
    let requests =
        ask("ipam.spidernet.io/ippool", &format!(r#"{{"ipv4":["a"],{}}}"#, keys.join(","))).unwrap();
    assert_eq!(requests.warnings().len(), 16);
    assert_eq!(requests.warnings()[0].event().reason, "NetworkAnnotationIgnored");
}

#[test]
fn patterns_match_as_in_go() {
    let cases = [
        ("lan", "lan", true),
        ("lan", "lan2", false),
        ("*", "anything-0", true),
        ("lan-*", "lan-", true),
        ("lan-*", "wan-1", false),
        ("*-prod", "a-b-prod", true),
        ("*-prod", "a-b-prod-c", false),
        ("a*b*c", "axxbyybzc", true),
        ("a*b*c", "axxbyybz", false),
        ("lan-?", "lan-1", true),
        ("lan-?", "lan-", false),
        ("lan-?", "lan-12", false),
        ("r[0-9a]", "r7", true),
        ("r[0-9a]", "ra", true),
        ("r[0-9a]", "rb", false),
        ("r[^0-9]", "rb", true),
        ("r[!0-9]", "r1", false),
        ("**a**", "bab", true),
    ];
    for (pattern, name, expected) in cases {
        assert_eq!(NamePattern::parse(pattern).unwrap().matches(name), expected, "{pattern} {name}");
    }
    let slow = NamePattern::parse(&"*a".repeat(120)).unwrap();
    assert!(!slow.matches(&"a".repeat(63)));
    for bad in ["", "a/b", "*/b", "LAN*", "a[", "a[]", "a[z-a]", "a[-]", "a[^]", "a\\*", &"*".repeat(254)] {
        assert_eq!(NamePattern::parse(bad), None, "{bad}");
    }
}

#[test]
fn selectors_match_as_in_kubernetes() {
    let labels = Labels::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), String::new())]);
    let expression = |key: &str, operator: &str, values: &[&str]| LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
        }]),
        ..LabelSelector::default()
    };
    let cases = [
        ("app", "In", &["web", "db"][..], true),
        ("app", "In", &["db"], false),
        ("zone", "In", &["a"], false),
        ("app", "NotIn", &["db"], true),
        ("app", "NotIn", &["web"], false),
        ("zone", "NotIn", &["a"], true),
        ("tier", "Exists", &[], true),
        ("zone", "Exists", &[], false),
        ("zone", "DoesNotExist", &[], true),
        ("app", "DoesNotExist", &[], false),
    ];
    for (key, operator, values, expected) in cases {
        let selector = Selector::try_from(expression(key, operator, values)).unwrap();
        assert_eq!(selector.matches(&labels), expected, "{key} {operator} {values:?}");
    }
    assert!(Selector::try_from(expression("app", "in", &["a"])).is_err(), "no such operator");
    assert!(Selector::default().matches(&Labels::new()));
    let whole: Selector = labels.clone().into_iter().collect();
    assert!(whole.matches(&labels) && !whole.matches(&Labels::new()));
}

#[test]
fn every_annotation_that_is_read_is_told() {
    let read = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let interface = api::IfName::new("eth0").unwrap();
    let look = |key: &str| {
        read.borrow_mut().insert(key.to_owned());
        None
    };
    api::addresses::AddressRequests::parse(look, &[interface]).unwrap();
    assert_eq!(read.into_inner(), annotations().map(str::to_owned).collect());
}
