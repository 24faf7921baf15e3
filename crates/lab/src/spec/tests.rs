use super::*;

const TWO: &str = "
switches: [lan]
hosts:
  a: { interfaces: { eth0: { switch: lan, addresses: 10.0.0.1/24 } }, gateway: 10.0.0.9 }
  b: { interfaces: { eth0: { switch: lan, mac: '02:00:00:00:00:01', mtu: 1400, hairpin: true } } }
";

#[test]
fn a_lab_is_read() {
    let spec = LabSpec::parse(TWO).unwrap();
    assert_eq!(spec.switches, [SwitchSpec { name: "lan".into(), mtu: None }]);
    let a = spec.node("a").unwrap();
    assert_eq!(a.gateways, ["10.0.0.9".parse::<IpAddr>().unwrap()]);
    assert_eq!(a.addresses().collect::<Vec<_>>(), ["10.0.0.1/24".parse().unwrap()]);
    let b = &spec.node("b").unwrap().interfaces[0];
    assert_eq!((b.mtu, b.hairpin), (Some(1400), true));
    assert_eq!(b.mac, Some("02:00:00:00:00:01".parse().unwrap()));
    assert_eq!(spec.source(), TWO);
}

/// Each: what is wrong, and what the message must say: the key, the value, what is allowed.
#[test]
fn errors_name_key_value_and_what_is_allowed() {
    let with =
        |interface: &str| format!("{{switches: [lan], hosts: {{a: {{interfaces: {{eth0: {interface}}}}}}}}}");
    let cases = [
        ("{host: {}}".to_owned(), "host: this key is not allowed: one of hosts, routers, switches, links"),
        ("[]".to_owned(), ": [] is not allowed: a mapping with hosts"),
        ("{hosts: {}}".to_owned(), "hosts: nothing is not allowed: at least one"),
        ("{hosts: {A: {}}}".to_owned(), "hosts.A: the name \"A\" is not allowed: 1 to 30 of a-z"),
        ("{hosts: {a: {}}, routers: {a: {}}}".to_owned(), "routers.a: the name a is not allowed"),
        (
            "{hosts: {a: {forward: true}}}".to_owned(),
            "hosts.a.forward: this key is not allowed: one of interfaces",
        ),
        (
            "{switches: {s: {vlan_filtering: true}}, hosts: {a: {}}}".to_owned(),
            "switches.s.vlan_filtering: true",
        ),
        (with("{}"), "hosts.a.interfaces.eth0: 0 wires is not allowed: exactly one"),
        (with("{switch: wan}"), "hosts.a.interfaces.eth0.switch: wan is not allowed: lan"),
        (
            with("{switch: lan, mtu: 67}"),
            "hosts.a.interfaces.eth0.mtu: 67 is not allowed: a whole number from 68",
        ),
        (with("{switch: lan, mtu: 1.5}"), "mtu: 1.5 is not allowed"),
        (with("{switch: lan, mac: zz}"), "mac: zz is not allowed: six bytes"),
        (with("{switch: lan, mac: 'ff:ff:ff:ff:ff:ff'}"), "mac: ff:ff:ff:ff:ff:ff is not allowed: a unicast"),
        (
            with("{switch: lan, addresses: [10.0.0.1]}"),
            "addresses[0]: 10.0.0.1 is not allowed: an address with",
        ),
        (with("{switch: lan, addresses: [224.0.0.1/4]}"), "addresses: 224.0.0.1/4 is not allowed"),
        (with("{switch: lan, hairpin: 1}"), "hairpin: 1 is not allowed: true or false"),
        (with("{switch: lan, vlan: 5}"), "eth0.vlan: this key is not allowed: one of switch, addresses"),
        (
            "{hosts: {a: {gateway: 10.0.0.1}}}".to_owned(),
            "hosts.a.gateway: 10.0.0.1 is not allowed: another address",
        ),
        ("{hosts: {a: {gateway: ten}}}".to_owned(), "hosts.a.gateway: ten is not allowed: an address"),
        (
            "{hosts: {a: {sysctls: {kernel/panic: 1}}}}".to_owned(),
            "hosts.a.sysctls: kernel/panic is not allowed",
        ),
        ("{hosts: {a: {sysctls: {net/../kernel/panic: 1}}}}".to_owned(), "is not allowed: a key below net/"),
        (
            "{hosts: {a: {}}, links: [{between: [a.eth0]}]}".to_owned(),
            "links[0]: 1 ends is not allowed: two ends",
        ),
        (
            "{hosts: {a: {}}, links: [{between: [a.x, a.y]}]}".to_owned(),
            "links[0].between: a.x is not allowed",
        ),
        ("{hosts: {a: {interfaces: {lo: {}}}}}".to_owned(), "interfaces.lo: the name \"lo\" is not allowed"),
        (
            "{hosts: {a: {interfaces: {far-too-long-name: {}}}}}".to_owned(),
            "is not allowed: 1 to 15 printable",
        ),
    ];
    for (yaml, expected) in cases {
        let error = LabSpec::parse(&yaml).unwrap_err().to_string();
        assert!(error.contains(expected), "{yaml}\n  said {error:?}\n  not  {expected:?}");
    }
}

#[test]
fn text_that_is_not_yaml_is_refused_with_its_place() {
    let error = LabSpec::parse("hosts: [").unwrap_err();
    assert!(matches!(&error, Error::Yaml(text) if text.contains("line")), "{error}");
    assert!(LabSpec::parse("").is_err());
}

#[test]
fn a_link_may_join_hosts_or_switches() {
    let yaml = "
switches: [s, t]
hosts: { a: { interfaces: { x: {} } }, b: { interfaces: { y: {} } } }
links: [ { between: [a.x, b.y], mtu: 9000 }, { between: [s, t] } ]
";
    let spec = LabSpec::parse(yaml).unwrap();
    assert_eq!(spec.links[0].between.each_ref().map(ToString::to_string), ["a.x", "b.y"]);
    assert_eq!(spec.links[1].between, [End::Switch("s".into()), End::Switch("t".into())]);
}

#[test]
fn the_readme_shows_a_valid_lab() {
    let readme = include_str!("../../README.md");
    let yaml = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let spec = LabSpec::parse(yaml).unwrap();
    assert_eq!(spec.nodes.len(), 3);
}

proptest::proptest! {
    /// Any text, and any text made of our own words, is read or refused.
    #[test]
    fn no_text_breaks_the_reader(text: String, words in proptest::collection::vec(
        proptest::sample::select(vec![
            "hosts", "routers", "switches", "links", "interfaces", "eth0", "switch", "lan", "addresses", "between",
            "10.0.0.1/24", "mtu", "1500", ": ", "{", "}", "[", "]", ", ", "\n", "  ", "- ", "&a ", "*a", "!t ", "<<", "null",
        ]),
        0..40,
    )) {
        let _ = LabSpec::parse(&text);
        let _ = LabSpec::parse(&words.concat());
    }

    /// Every description of this shape is valid, and nothing of it is lost.
    #[test]
    fn hosts_are_read_as_they_were_written(count in 1u8..20, mtu in 68u32..=65535, hairpin: bool) {
        let hosts: String = (1..=count)
            .map(|n| format!("  h{n}: {{ interfaces: {{ eth0: {{ switch: s, addresses: 10.0.0.{n}/24, mtu: {mtu}, hairpin: {hairpin} }} }} }}\n"))
            .collect();
        let spec = LabSpec::parse(&format!("switches: [s]\nhosts:\n{hosts}")).unwrap();
        proptest::prop_assert_eq!(spec.nodes.len(), usize::from(count));
        for (n, node) in (1..=count).zip(&spec.nodes) {
            let interface = &node.interfaces[0];
            proptest::prop_assert_eq!(&node.name, &format!("h{n}"));
            proptest::prop_assert_eq!((interface.mtu, interface.hairpin), (Some(mtu), hairpin));
            proptest::prop_assert_eq!(interface.addresses[0].to_string(), format!("10.0.0.{n}/24"));
        }
    }
}
