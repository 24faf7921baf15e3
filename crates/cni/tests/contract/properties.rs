//! What must hold for every input.

use cni::forward::{RequestParser, parse_call};
use cni::json::{self, Number, Value};
use cni::{Args, CniResult, Dns, Interface, IpConfig, Route, Version, cache};
use ipnet::IpNet;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::plugin::{Reader, call, variables};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Floats that need no rounding: serde_json reads the last digit of long ones only roughly.
        any::<i32>().prop_map(|number| Value::Number(Number::Float(f64::from(number) / 8.0))),
        ".{0,8}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec(("[a-cA-C]{0,2}", inner), 0..6).prop_map(Value::Object),
        ]
    })
}

fn net() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        (any::<[u8; 4]>(), 0..=32u8).prop_map(|(ip, len)| IpNet::new(
            std::net::Ipv4Addr::from(ip).into(),
            len
        )
        .unwrap()),
        // Not the mapped ones: they are IPv4 addresses.
        (any::<[u8; 16]>(), 0..=128u8).prop_map(|(mut ip, len)| {
            ip[0] |= 0x20;
            IpNet::new(std::net::Ipv6Addr::from(ip).into(), len).unwrap()
        }),
    ]
}

fn route() -> impl Strategy<Value = Route> {
    let number = || option::of(1..=u32::MAX);
    (
        net(),
        option::of(net()),
        number(),
        number(),
        number(),
        option::of(any::<u32>()),
        option::of(any::<u8>()),
    )
        .prop_map(|(dst, gw, mtu, advmss, priority, table, scope)| Route {
            dst,
            gw: gw.map(|net| net.addr()),
            mtu,
            advmss,
            priority,
            table,
            scope,
        })
}

fn interface() -> impl Strategy<Value = Interface> {
    (".{0,6}", ".{0,6}", option::of(1..=u32::MAX), ".{0,6}", ".{0,6}", ".{0,6}").prop_map(
        |(name, mac, mtu, sandbox, socket_path, pci_id)| Interface {
            name,
            mac,
            mtu,
            sandbox,
            socket_path,
            pci_id,
        },
    )
}

fn result() -> impl Strategy<Value = CniResult> {
    let ip = (net(), option::of(net()), option::of(0..5usize)).prop_map(|(address, gateway, interface)| {
        IpConfig { address, gateway: gateway.map(|net| net.addr()), interface }
    });
    let texts = || vec(".{0,6}", 0..3);
    let dns = (texts(), ".{0,6}", texts(), texts()).prop_map(|(nameservers, domain, search, options)| Dns {
        nameservers,
        domain,
        search,
        options,
    });
    (vec(interface(), 0..4), vec(ip, 0..4), vec(route(), 0..4), dns)
        .prop_map(|(interfaces, ips, routes, dns)| CniResult { interfaces, ips, routes, dns })
}

/// What a version can say of a result.
fn as_seen_by(mut result: CniResult, version: Version) -> CniResult {
    if version < Version::V100 {
        for interface in &mut result.interfaces {
            *interface = Interface {
                name: interface.name.clone(),
                mac: interface.mac.clone(),
                sandbox: interface.sandbox.clone(),
                ..Interface::default()
            };
        }
    }
    if version < Version::V030 {
        result.interfaces.clear();
        let (mut ips, mut routes) = (Vec::new(), Vec::new());
        for v4 in [true, false] {
            let of_family = |net: &IpNet| net.addr().is_ipv4() == v4;
            if let Some(ip) = result.ips.iter().find(|ip| of_family(&ip.address)) {
                ips.push(IpConfig { interface: None, ..ip.clone() });
                let family = result.routes.iter().filter(|route| of_family(&route.dst));
                routes.extend(family.map(|route| Route::new(route.dst, route.gw)));
            }
        }
        (result.ips, result.routes) = (ips, routes);
    }
    result
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..300), verb in 0..5usize) {
        let verb = ["ADD", "DEL", "CHECK", "GC", "STATUS"][verb];
        let outcome = call(&Reader::default(), &variables(verb), &bytes);
        if outcome.exit != 0 {
            prop_assert!(outcome.error().0 > 0);
        }
        let _ = (json::parse(&bytes), cache::parse(&bytes), parse_call(&bytes));
        let _ = RequestParser::default().feed(&bytes);
    }

    #[test]
    fn any_value_is_a_configuration_or_a_result_or_refused(value in value(), version in 0..7usize) {
        let _ = CniResult::parse(&value, Version::ALL[version]);
        let config = Value::object([
            ("cniVersion", Value::from("1.1.0")),
            ("name", Value::from("lan")),
            ("ipam", value.clone()),
            ("prevResult", value.clone()),
            ("dns", value.clone()),
            ("args", value),
        ]);
        let outcome = call(&Reader::default(), &variables("CHECK"), config.to_compact().as_bytes());
        if outcome.exit != 0 {
            let (code, msg, _) = outcome.error();
            prop_assert!(code == 7 || code == 6, "{}", msg);
        }
    }

    #[test]
    fn json_written_is_json_read(value in value()) {
        prop_assert_eq!(&json::parse(value.to_pretty().as_bytes()).unwrap(), &value);
        prop_assert_eq!(&json::parse(value.to_compact().as_bytes()).unwrap(), &value);
        // The library's own reader agrees that it is JSON.
        prop_assert!(serde_json::from_str::<serde_json::Value>(&value.to_pretty()).is_ok());
    }

    #[test]
    fn json_read_is_what_the_library_reads(text in r#"[ \[\]{}:,"0-9a-e.\\+-]{0,12}"#) {
        prop_assert_eq!(
            json::parse(text.as_bytes()).is_ok(),
            serde_json::from_str::<serde_json::Value>(&text).is_ok()
        );
    }

    #[test]
    fn results_keep_what_a_version_can_say(result in result(), at in 0..7usize) {
        let version = Version::ALL[at];
        let expected = as_seen_by(result.clone(), version);
        match result.to_json(version) {
            Ok(json) => {
                let text = json.to_pretty();
                let read = CniResult::parse(&json::parse(text.as_bytes()).unwrap(), Version::V110).unwrap();
                prop_assert_eq!(&read, &expected);
                prop_assert_eq!(read.to_json(version).unwrap().to_pretty(), text);
            }
            Err(error) => prop_assert!(version < Version::V030 && expected.ips.is_empty(), "{}", error),
        }
    }

    #[test]
    fn args_are_read_back(pairs in vec(("[A-Z_]{1,6}", "[^;=]{0,8}"), 1..6)) {
        let text = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(";");
        let known: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
        let expected: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let strict = Args::strict(&text, &known).unwrap();
        prop_assert_eq!(strict.iter().collect::<Vec<_>>(), expected.clone());
        let lenient = Args::lenient(&text);
        prop_assert_eq!(lenient.iter().collect::<Vec<_>>(), expected);
        prop_assert!(Args::strict(&text, &["none"]).is_err());
        let ignoring = format!("{text};IgnoreUnknown=true");
        prop_assert_eq!(Args::strict(&ignoring, &["none"]).unwrap(), Args::default());
    }

    #[test]
    fn args_never_panic(text in ".{0,40}") {
        let _ = (Args::strict(&text, &["MAC"]), Args::lenient(&text));
    }

    #[test]
    fn http_in_pieces_is_http_in_one(body in vec(any::<u8>(), 0..60), cut in vec(1..20usize, 0..40)) {
        let mut bytes = format!("POST /x HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(&body);
        let mut parser = RequestParser::default();
        let mut rest = &bytes[..];
        let mut found = None;
        for cut in cut.into_iter().chain([usize::MAX]) {
            let (piece, tail) = rest.split_at(cut.min(rest.len()));
            rest = tail;
            if let Some(request) = parser.feed(piece).unwrap() {
                prop_assert!(found.is_none() && rest.is_empty());
                found = Some(request);
            }
        }
        prop_assert_eq!(found.unwrap().body, body);
    }
}

#[test]
fn the_cache_is_read_in_both_forms() {
    let v1 = br#"{"kind":"cniCacheV1","containerId":"c1","config":"eyJjbmlWZXJzaW9uIjoiMC40LjAifQ==","ifName":"eth0",
        "networkName":"lan","netns":"/run/netns/a","cniArgs":[["K","V"]],"result":{"ips":[{"address":"10.0.0.2/8"}]}}"#;
    let cached = cache::parse(v1).unwrap();
    assert_eq!(cached.config, br#"{"cniVersion":"0.4.0"}"#);
    assert_eq!(cached.args, [("K".to_owned(), "V".to_owned())]);
    assert_eq!(cached.result.unwrap().ips.len(), 1);
    assert_eq!(
        (cached.network.as_str(), cached.container_id.as_str(), cached.ifname.as_str()),
        ("lan", "c1", "eth0")
    );
    let legacy = cache::parse(br#"{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/8"}]}"#).unwrap();
    assert_eq!(legacy.result.unwrap().ips.len(), 1);
    for bad in ["AAA", "A===", "====", "AA=A", "A A=", "é==="] {
        let text = format!(r#"{{"kind":"cniCacheV1","config":"{bad}"}}"#);
        assert!(cache::parse(text.as_bytes()).is_err(), "{bad}");
    }
    let directory = tempfile::TempDir::new().unwrap();
    let file = cache::file(directory.path(), "lan", "c1", "eth0").unwrap();
    assert!(cache::read(&file).unwrap().is_none());
    // What a power loss leaves.
    std::fs::write(&file, b"").unwrap();
    assert!(cache::read(&file).unwrap().is_none());
    std::fs::write(&file, v1).unwrap();
    assert!(cache::read(&file).unwrap().is_some());
    for (network, id, ifname) in [("../x", "c", "e"), ("n", "../c", "e"), ("n", "c", "../e"), ("n", "c", "")]
    {
        assert!(cache::file(directory.path(), network, id, ifname).is_none());
    }
}
