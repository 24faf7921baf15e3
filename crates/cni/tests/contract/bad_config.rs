//! Configurations that are malformed, of wrong types, huge, deep or hostile.

use crate::plugin::{Reader, call, variables};

/// A configuration of 1.1.0 with these members added.
fn with(members: &str) -> Vec<u8> {
    format!(r#"{{"cniVersion":"1.1.0","name":"lan","type":"reader",{members}}}"#).into_bytes()
}

fn assert_refused(verb: &str, config: &[u8], code: u32, words: &str) {
    let plugin = Reader::default();
    let outcome = call(&plugin, &variables(verb), config);
    let row = format!("{verb} {:.120}", String::from_utf8_lossy(config));
    assert_eq!(outcome.exit, 1, "{row}: {}", outcome.stdout);
    let (found, msg, details) = outcome.error();
    let text = if details.is_empty() { msg } else { format!("{msg}; {details}") };
    assert_eq!(found, code, "{row}: {text}");
    assert!(text.contains(words), "{row}: {text}");
    assert!(text.len() < 1500, "{row}: an error of {} bytes", text.len());
    assert_eq!(plugin.effects.get(), 0, "{row}");
}

#[test]
fn what_is_not_a_configuration() {
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let deep_object = [br#"{"a":"#.repeat(200), b"1".to_vec(), b"}".repeat(200)].concat();
    let huge = format!(r#"{{"name":"lan","x":"{}"}}"#, "x".repeat(1 << 20)).into_bytes();
    let long_name = format!(r#"{{"name":"{}"}}"#, "n".repeat(256)).into_bytes();
    let rows: &[(&[u8], u32, &str)] = &[
        (b"", 6, "error unmarshall network config: EOF"),
        (b" \n", 6, "error unmarshall network config: EOF"),
        (b"{", 6, "error unmarshall network config: EOF"),
        (b"{]", 6, "error unmarshall network config: "),
        (b"{\"name\":\"lan\",}", 6, "error unmarshall network config: trailing comma"),
        (b"{\"name\":\"lan\"} x", 6, "error unmarshall network config: trailing characters"),
        (b"{'name':'lan'}", 6, "error unmarshall network config: key must be a string"),
        (b"{name: lan}", 6, "error unmarshall network config: key must be a string"),
        (b"{\"name\":\"l\xffn\"}", 6, "error unmarshall network config: invalid unicode"),
        (b"\xff\xfe{\0", 6, "error unmarshall network config: expected value"),
        (b"\xef\xbb\xbf{}", 6, "error unmarshall network config: expected value"),
        (b"{\"name\":\"l\\ud800n\"}", 6, "error unmarshall network config: "),
        (b"{\"name\":\"l\nn\"}", 6, "error unmarshall network config: control character"),
        (b"{\"name\":\"lan\",\"mtu\":01}", 6, "error unmarshall network config: invalid number"),
        (b"{\"name\":\"lan\",\"mtu\":1e999}", 6, "error unmarshall network config: number out of range"),
        (b"[]", 6, "error unmarshall network config: the outermost value is an array, expected an object"),
        (b"\"lan\"", 6, "the outermost value is a string"),
        (b"7", 6, "the outermost value is a number"),
        (&deep, 6, "error unmarshall network config: recursion limit exceeded"),
        (&deep_object, 6, "error unmarshall network config: recursion limit exceeded"),
        (&huge, 6, "error unmarshall network config: longer than 1048576 bytes"),
        (b"null", 7, "missing network name"),
        (b"{}", 7, "missing network name"),
        (b"{\"name\":\"\"}", 7, "missing network name"),
        (b"{\"name\":null}", 7, "missing network name"),
        (b"{\"name\":7}", 6, "error unmarshall network config: invalid name: 7, expected a string"),
        (b"{\"name\":[\"lan\"]}", 6, "invalid name: [\"lan\"], expected a string"),
        (b"{\"NAME\":{}}", 6, "invalid NAME: {}, expected a string"),
        (b"{\"name\":\"../../etc\"}", 7, "invalid characters found in network name; ../../etc"),
        (b"{\"name\":\"a/b\"}", 7, "invalid characters found in network name; a/b"),
        (b"{\"name\":\"..\"}", 7, "invalid characters found in network name; .."),
        (b"{\"name\":\".hidden\"}", 7, "invalid characters found in network name"),
        (b"{\"name\":\"a b\"}", 7, "invalid characters found in network name"),
        (b"{\"name\":\"a\\u0000b\"}", 7, "invalid characters found in network name"),
        (b"{\"name\":\"r\xc3\xa9seau\"}", 7, "invalid characters found in network name"),
        (&long_name, 7, "network name is longer than 255 bytes"),
    ];
    for (config, code, words) in rows {
        for verb in ["ADD", "DEL"] {
            assert_refused(verb, config, *code, words);
        }
    }
}

#[test]
fn versions() {
    let list = r#"["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]"#;
    let incompatible =
        |text: &str| format!("incompatible CNI versions; config is {text:?}, plugin supports {list}");
    let long = "9".repeat(200);
    let rows: &[(&str, &str, u32, String)] = &[
        ("ADD", r#""9.9.9""#, 1, incompatible("9.9.9")),
        ("DEL", r#""9.9.9""#, 1, incompatible("9.9.9")),
        ("ADD", r#""1.1""#, 1, incompatible("1.1")),
        ("ADD", r#"" 1.1.0""#, 1, incompatible(" 1.1.0")),
        ("ADD", r#""v1.0.0""#, 1, incompatible("v1.0.0")),
        ("ADD", r#""0.3.2""#, 1, incompatible("0.3.2")),
        ("ADD", &format!("{long:?}"), 1, "incompatible CNI versions".to_owned()),
        (
            "ADD",
            "1.1",
            6,
            "decoding version from network config: invalid cniVersion: 1.1, expected a string".to_owned(),
        ),
        ("DEL", "{}", 6, "invalid cniVersion: {}, expected a string".to_owned()),
        ("CHECK", "7", 6, "invalid cniVersion: 7, expected a string".to_owned()),
        ("CHECK", r#""0.3.1""#, 1, "config version does not allow CHECK".to_owned()),
        ("CHECK", "null", 1, "config version does not allow CHECK".to_owned()),
        ("CHECK", r#""9.9.9""#, 1, "plugin version does not allow CHECK".to_owned()),
        ("CHECK", r#""0.9.0""#, 1, incompatible("0.9.0")),
        ("CHECK", r#""1.x.0""#, 6, r#"failed to convert minor version part "x" of cniVersion"#.to_owned()),
        ("GC", r#""1.0.0""#, 1, "config version does not allow GC".to_owned()),
        ("GC", r#""1.2.0""#, 1, "plugin version does not allow GC".to_owned()),
        ("GC", r#""1.1.0.0""#, 6, r#"invalid version "1.1.0.0": too many parts"#.to_owned()),
        ("STATUS", r#""0.4.0""#, 1, "config version does not allow STATUS".to_owned()),
        ("STATUS", r#""""#, 1, "config version does not allow STATUS".to_owned()),
        ("STATUS", r#""2.0.0""#, 1, "plugin version does not allow STATUS".to_owned()),
    ];
    for (verb, version, code, words) in rows {
        let config = format!(r#"{{"name":"lan","cniVersion":{version}}}"#);
        assert_refused(verb, config.as_bytes(), *code, words);
    }
}

#[test]
fn keys_of_a_wrong_type_or_range() {
    let rows: &[(&str, &str)] = &[
        (r#""master":7"#, "invalid master: 7, expected a string"),
        (r#""MASTER":["eth0"]"#, r#"invalid MASTER: ["eth0"], expected a string"#),
        (r#""mtu":"1500""#, r#"invalid mtu: "1500", expected an integer from 0 to 65535"#),
        (r#""mtu":-1"#, "invalid mtu: -1, expected an integer from 0 to 65535"),
        (r#""mtu":65536"#, "invalid mtu: 65536, expected an integer from 0 to 65535"),
        (r#""mtu":1500.0"#, "invalid mtu: 1500.0, expected an integer"),
        (r#""mtu":1.5e3"#, "invalid mtu: 1500.0, expected an integer"),
        (r#""mtu":18446744073709551616"#, "invalid mtu: 1.8446744073709552e19, expected an integer"),
        (r#""mtu":true"#, "invalid mtu: true, expected an integer"),
        (r#""mtu":1500,"Mtu":[]"#, "invalid Mtu: [], expected an integer"),
        (r#""linkInContainer":"true""#, r#"invalid linkInContainer: "true", expected true or false"#),
        (r#""linkInContainer":1"#, "invalid linkInContainer: 1, expected true or false"),
        (
            r#""ingressRate":-1"#,
            "invalid ingressRate: -1, expected an integer from 0 to 18446744073709551615",
        ),
        (r#""vlanId":65536"#, "invalid vlanId: 65536, expected an integer from 0 to 65535"),
        (r#""priority":"low""#, r#"invalid priority: "low", expected an integer"#),
        (
            r#""sourceMacs":"02:00:00:00:00:01""#,
            "invalid sourceMacs: \"02:00:00:00:00:01\", expected an array",
        ),
        (r#""sourceMacs":["a",2]"#, "invalid sourceMacs[1]: 2, expected a string"),
        (r#""sourceMacs":[null]"#, "invalid sourceMacs[0]: null, expected a string"),
        (r#""ipam":"host-local""#, r#"invalid ipam: "host-local", expected an object"#),
        (r#""ipam":[]"#, "invalid ipam: [], expected an object"),
        (r#""ipam":{"type":7}"#, "invalid ipam.type: 7, expected a string"),
        (r#""ipam":{"ranges":{}}"#, "invalid ipam.ranges: {}, expected an array"),
        (r#""ipam":{"ranges":[{}]}"#, "invalid ipam.ranges[0]: {}, expected an array"),
        (r#""ipam":{"ranges":[[],[7]]}"#, "invalid ipam.ranges[1][0]: 7, expected an object"),
        (r#""ipam":{"ranges":[[{},{}]]}"#, "invalid ipam.ranges[0][0].subnet: nothing, expected a subnet"),
        (
            r#""ipam":{"ranges":[[{"subnet":"10.1.2.0"}]]}"#,
            r#"invalid ipam.ranges[0][0].subnet: "10.1.2.0", expected an address with"#,
        ),
        (r#""ipam":{"ranges":[[{"subnet":"10.1.2.0/33"}]]}"#, "invalid ipam.ranges[0][0].subnet"),
        (r#""ipam":{"ranges":[[{"subnet":"10.1.2.0/+8"}]]}"#, "invalid ipam.ranges[0][0].subnet"),
        (r#""ipam":{"ranges":[[{"subnet":"10.01.2.0/24"}]]}"#, "invalid ipam.ranges[0][0].subnet"),
        (r#""ipam":{"ranges":[[{"subnet":"fe80::1%eth0/64"}]]}"#, "invalid ipam.ranges[0][0].subnet"),
        (
            r#""ipam":{"ranges":[[{"subnet":"10.0.0.0/8"},{"subnet":7}]]}"#,
            "invalid ipam.ranges[0][1].subnet: 7, expected a string",
        ),
        (
            r#""ipam":{"ranges":[[{"subnet":"10.0.0.0/8","rangeStart":"10.0.0.300"}]]}"#,
            r#"invalid ipam.ranges[0][0].rangeStart: "10.0.0.300", expected an IP address"#,
        ),
        (
            r#""ipam":{"ranges":[[{"subnet":"10.0.0.0/8","gateway":{}}]]}"#,
            "invalid ipam.ranges[0][0].gateway: {}, expected a string",
        ),
        (
            r#""IPAM":{"Routes":[{}]}"#,
            "invalid IPAM.Routes[0].dst: nothing, expected an address with prefix length",
        ),
        (r#""ipam":{"routes":[{"dst":"default"}]}"#, r#"invalid ipam.routes[0].dst: "default""#),
        (
            r#""ipam":{"routes":[{"dst":"::/0","gw":"10.1"}]}"#,
            r#"invalid ipam.routes[0].gw: "10.1", expected an IP address"#,
        ),
        (
            r#""ipam":{"routes":[{"dst":"::/0","scope":256}]}"#,
            "invalid ipam.routes[0].scope: 256, expected an integer from 0 to 255",
        ),
        (
            r#""ipam":{"routes":[{"dst":"::/0","table":4294967296}]}"#,
            "invalid ipam.routes[0].table: 4294967296",
        ),
        (r#""ipam":{"routes":[{"dst":"::/0","priority":-1}]}"#, "invalid ipam.routes[0].priority: -1"),
        (r#""ipam":{"routes":[{"dst":"::/0"},null]}"#, "invalid ipam.routes[1]: null, expected an object"),
        (r#""dns":[]"#, "invalid dns: [], expected an object"),
        (r#""dns":{"nameservers":"10.0.0.1"}"#, r#"invalid dns.nameservers: "10.0.0.1", expected an array"#),
        (r#""dns":{"search":[1]}"#, "invalid dns.search[0]: 1, expected a string"),
        (r#""dns":{"domain":{}}"#, "invalid dns.domain: {}, expected a string"),
        (r#""runtimeConfig":"mac""#, r#"invalid runtimeConfig: "mac", expected an object"#),
        (r#""RuntimeConfig":{"mac":2}"#, "invalid RuntimeConfig.mac: 2, expected a string"),
        (r#""runtimeConfig":{"ips":"10.0.0.1"}"#, "invalid runtimeConfig.ips"),
        (r#""args":[]"#, "invalid args: [], expected an object"),
        (r#""args":{"cni":7}"#, "invalid args.cni: 7, expected an object"),
        (r#""args":{"cni":{"mac":[]}}"#, "invalid args.cni.mac: [], expected a string"),
        (
            r#""cni.dev/valid-attachments":[{"id":"c1","ifname":"eth0"}]"#,
            "invalid cni.dev/valid-attachments[0].containerID: nothing",
        ),
        (r#""cni.dev/valid-attachments":{}"#, "invalid cni.dev/valid-attachments: {}, expected an array"),
        (
            r#""cni.dev/valid-attachments":["a"]"#,
            r#"invalid cni.dev/valid-attachments[0]: "a", expected an object"#,
        ),
        (
            r#""cni.dev/attachments":[{"containerID":7}]"#,
            "invalid cni.dev/attachments[0].containerID: 7, expected a string",
        ),
    ];
    for (members, words) in rows {
        for verb in ["ADD", "GC"] {
            assert_refused(verb, &with(members), 7, words);
        }
    }
}

#[test]
fn long_values_are_shortened_in_errors() {
    let members = format!(r#""mtu":"{}""#, "é".repeat(100_000));
    assert_refused("ADD", &with(&members), 7, "invalid mtu: \"ééé");
}

#[test]
fn gc_may_list_many_attachments() {
    let one = r#"{"containerID":"0123456789012345678901234567890123456789012345678901234567890123","ifname":"eth0"}"#;
    let list = vec![one; 20_000].join(",");
    let config = with(&format!(r#""cni.dev/valid-attachments":[{list}],"cni.dev/attachments":[{list}]"#));
    assert!(config.len() > 2 << 20);
    let outcome = call(&Reader::default(), &variables("GC"), &config);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (0, ""));
}
