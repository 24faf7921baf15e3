//! For every input: what is read means what it says, what is refused is refused in words.

use api::{Error, NETWORKS, NetConfig, Selection, Selections};
use cni::json;
use proptest::prelude::*;

use crate::support::Cluster;

fn label() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?"
}

fn mac() -> impl Strategy<Value = String> {
    any::<[u8; 5]>()
        .prop_map(|b| format!("02:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[0], b[1], b[2], b[3], b[4]))
}

fn address() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        (any::<std::net::Ipv4Addr>(), 0..=32).prop_map(|(ip, len)| format!("{ip}/{len}")),
        (any::<std::net::Ipv6Addr>(), 0..=128).prop_map(|(ip, len)| format!("{ip}/{len}")),
    ]
}

prop_compose! {
    fn element()(
        name in label(),
        namespace in proptest::option::of(label()),
        interface in proptest::option::of("[a-z][a-z0-9.]{0,14}"),
        ips in proptest::option::of(proptest::collection::vec(address(), 0..4)),
        mac in proptest::option::of(mac()),
        gateway in proptest::option::of(proptest::option::of((1u8..=9).prop_map(|n| format!("10.0.0.{n}")))),
        port in proptest::option::of(1u16..),
        rate in proptest::option::of(1u32..),
    ) -> String {
        let list = |items: &[String]| format!("[{}]", items.iter().map(|i| format!("{i:?}")).collect::<Vec<_>>().join(","));
        let mut keys = vec![format!(r#""name":{name:?}"#)];
        keys.extend(namespace.map(|text| format!(r#""namespace":{text:?}"#)));
        keys.extend(interface.filter(|name| name != "lo").map(|text| format!(r#""interface":{text:?}"#)));
        keys.extend(ips.map(|ips| format!(r#""ips":{}"#, list(&ips))));
        keys.extend(mac.map(|text| format!(r#""mac":{text:?}"#)));
        keys.extend(gateway.map(|gw| format!(r#""default-route":{}"#, list(&Vec::from_iter(gw)))));
        keys.extend(port.map(|port| format!(r#""portMappings":[{{"hostPort":{port},"containerPort":80}}]"#)));
        keys.extend(rate.map(|rate| format!(r#""bandwidth":{{"egressRate":{rate},"egressBurst":{rate}}}"#)));
        format!("{{{}}}", keys.join(","))
    }
}

proptest! {
    /// The two forms say the same.
    #[test]
    fn comma_and_json_agree(items in proptest::collection::vec((proptest::option::of(label()), label(), proptest::option::of("[a-z]{1,10}")), 1..5)) {
        let comma: Vec<String> = items.iter().map(|(namespace, name, interface)| {
            let namespace = namespace.as_ref().map(|text| format!("{text}/")).unwrap_or_default();
            format!("{namespace}{name}{}", interface.as_ref().map(|text| format!("@{text}")).unwrap_or_default())
        }).collect();
        let json: Vec<String> = items.iter().map(|(namespace, name, interface)| {
            let key = |key: &str, text: &Option<String>| text.as_ref().map(|text| format!(r#","{key}":"{text}""#)).unwrap_or_default();
            format!(r#"{{"name":"{name}"{}{}}}"#, key("namespace", namespace), key("interface", interface))
        }).collect();
        let json = Selections::parse(&format!("[{}]", json.join(",")), "pods");
        prop_assert_eq!(Selections::parse(&comma.join(" , "), "pods"), json);
    }

    /// What an element says survives the record.
    #[test]
    fn selections_survive_their_record(element in element()) {
        match Selections::parse(&format!("[{element}]"), "pods") {
            Ok(found) => {
                let value = found.elements[0].to_value();
                let again = json::parse(value.to_compact().as_bytes()).unwrap();
                prop_assert_eq!(&Selection::from_value(&again).unwrap(), &found.elements[0]);
            }
            // Addresses of a handful can be equal, and may not be.
            Err(error) => prop_assert!(error.to_string().ends_with("expected each address once"), "{}", error),
        }
    }

    /// A plan has a call for each element, with names that are different, each element's own where it has one.
    #[test]
    fn plans_leave_nothing_out(names in proptest::collection::vec(proptest::option::of("(net[1-4]|x|y|z)"), 0..6)) {
        let cluster = Cluster::of(&[("a", r#"{"type":"macvlan"}"#)]);
        let text: Vec<String> = names.iter().map(|name| match name {
            Some(name) => format!("a@{name}"),
            None => "a".to_owned(),
        }).collect();
        match cluster.plan(&text.join(",")) {
            Ok(plan) => {
                prop_assert_eq!(plan.calls.len(), names.len() + 1);
                for (at, call) in plan.calls.iter().enumerate().skip(1) {
                    let expected = names[at - 1].clone().unwrap_or_else(|| format!("net{at}"));
                    prop_assert_eq!(call.ifname.as_str(), expected);
                    prop_assert!(plan.calls[..at].iter().all(|other| other.ifname != call.ifname));
                }
            }
            Err(error) => prop_assert!(matches!(error, Error::SameInterface { .. }), "{}", error),
        }
    }

    /// Any text is read or refused, and a refusal names the annotation.
    #[test]
    fn any_annotation_is_answered(text in "\\PC{0,60}", brackets in any::<bool>()) {
        let text = if brackets { format!("[{text}]") } else { text };
        if let Err(error) = Selections::parse(&text, "pods") {
            prop_assert!(error.to_string().contains(NETWORKS), "{}", error);
        }
    }

    /// A configuration means the same after it has been written and read again.
    #[test]
    fn configurations_survive_their_text(
        kinds in proptest::collection::vec("[a-z][a-z0-9-]{0,6}", 1..4),
        list in any::<bool>(),
        version in proptest::option::of(prop_oneof![Just("0.3.1"), Just("0.4.0"), Just("1.1.0")]),
    ) {
        let plugin = |kind: &String| format!(r#""type":"{kind}","capabilities":{{"mac":true}},"args":{{"cni":{{"x":1}}}}"#);
        let version = version.map(|text| format!(r#""cniVersion":"{text}","#)).unwrap_or_default();
        let text = if list {
            let plugins: Vec<String> = kinds.iter().map(|kind| format!("{{{}}}", plugin(kind))).collect();
            format!(r#"{{{version}"name":"n","plugins":[{}]}}"#, plugins.join(","))
        } else {
            format!(r#"{{{version}"name":"n",{}}}"#, plugin(&kinds[0]))
        };
        let Ok(config) = NetConfig::parse(&text, None) else { return Ok(()) };
        let again = NetConfig::parse(&config.to_text(), None).unwrap();
        prop_assert_eq!(again.to_text(), config.to_text());
        for index in 0..config.plugins().len() {
            prop_assert_eq!(again.stdin(index, None, &[]).unwrap(), config.stdin(index, None, &[]).unwrap());
        }
    }
}
