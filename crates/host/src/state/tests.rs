#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation)]

use std::collections::BTreeMap;

use proptest::option::of;
use proptest::prelude::*;

use super::*;
use kernel::MacAddr;

use crate::{Kind, Network};

fn refused(yaml: &str) -> String {
    State::parse(yaml).expect_err(yaml).to_string()
}

#[test]
fn each_unsupported_key_is_refused_by_name() {
    let table = keys::refused();
    assert!(table.len() > 50);
    for (path, why) in table {
        let list = |key: &str, above: &[&str]| {
            key == "interfaces" || key == "address" || (key == "config" && above.len() == 1)
        };
        let mut yaml = "somewhat".to_owned();
        for (at, key) in path.iter().enumerate().rev() {
            yaml = if list(key, &path[..at]) && at + 1 < path.len() {
                format!(
                    "{{{key}: [{}]}}",
                    if *key == "interfaces" { yaml.replacen('{', "{name: x, ", 1) } else { yaml }
                )
            } else {
                format!("{{{key}: {yaml}}}")
            };
        }
        let error = refused(&yaml);
        assert!(error.contains(path.last().unwrap()) && error.contains(why), "{yaml}: {error}");
    }
}

#[test]
fn errors_name_the_key_and_what_to_do() {
    let table = [
        ("interfaces: [{name: a, mtoo: 3}]", "interfaces[a].mtoo is no key here"),
        ("interfaces: [{name: a, mtu: 20}]", "interfaces[a].mtu 20 cannot be: allowed are 68 to 65535"),
        ("interfaces: [{name: a, mtu: big}]", "interfaces[a].mtu is big, not a number"),
        (
            "interfaces: [{name: a, ipv4: {enabled: perhaps}}]",
            "interfaces[a].ipv4.enabled is perhaps, neither true nor false",
        ),
        ("interfaces: [{name: a234567890123456}]", "interfaces[a234567890123456].name is no name"),
        ("interfaces: [{name: a}, {name: a}]", "interfaces[a] is declared twice"),
        ("interfaces: [{name: a, state: absent, ipv4: {enabled: true}}]", "interfaces[a].state is absent"),
        (
            "interfaces: [{name: a, type: vlan, vlan: {base-iface: a, id: 3}}]",
            "base-iface is the interface itself",
        ),
        ("interfaces: [{name: a, vlan: {id: 4095}}]", "vlan.id allowed are 0 to 4094"),
        ("interfaces: [{name: a, type: bond, vlan: {id: 3}}]", "interfaces[a].vlan is of another type"),
        ("interfaces: [{name: a, mac-address: '01:00:00:00:00:00'}]", "it must be unicast"),
        (
            "interfaces: [{name: a, ipv4: {address: [{ip: '::1', prefix-length: 64}]}}]",
            "is of the other family",
        ),
        (
            "interfaces: [{name: a, ipv4: {address: [{ip: 192.0.2.1, prefix-length: 33}]}}]",
            "longer than the address",
        ),
        ("interfaces: [{name: a, ipv4: {autoconf: true}}]", "ipv4.autoconf is of ipv6 only"),
        ("interfaces: [{name: a, link-aggregation: {mode: fast}}]", "no mode of a bond"),
        (
            "interfaces: [{name: a, link-aggregation: {mode: active-backup, options: {lacp_rate: fast}}}]",
            "options.lacp_rate is no option of mode active-backup",
        ),
        ("interfaces: [{name: a, link-aggregation: {options: {miimon: -1}}}]", "miimon cannot be -1"),
        (
            "interfaces: [{name: a, link-aggregation: {options: {colour: 3}}}]",
            "colour is no option of a bond",
        ),
        (
            "interfaces: [{name: a, link-aggregation: {mode: balance-rr, options: {miimon: 100, updelay: 150}}}]",
            "no multiple of miimon",
        ),
        (
            "interfaces: [{name: a, link-aggregation: {mode: balance-rr, options: {miimon: 100, arp_interval: 150}}}]",
            "cannot both be",
        ),
        (
            "interfaces: [{name: a, link-aggregation: {mode: active-backup, port: [b], options: {primary: c}}}]",
            "c is none of its ports",
        ),
        ("interfaces: [{name: a, link-aggregation: {port: [b, b]}}]", "there twice"),
        (
            "interfaces: [{name: a, link-aggregation: {port: [c]}}, {name: b, link-aggregation: {port: [c]}}]",
            "is a port of a already",
        ),
        ("interfaces: [{name: a, mac-vlan: {mode: fast}}]", "unknown macvlan mode"),
        (
            "interfaces: [{name: a, mac-vlan: {mode: bridge}, llano: {source-macs: ['02:00:00:00:00:01']}}]",
            "of mode source only",
        ),
        (
            "interfaces: [{name: a, accept-all-mac-addresses: true, llano: {promiscuity: false}}]",
            "interfaces[a].llano.promiscuity says the contrary of accept-all-mac-addresses",
        ),
        (
            "interfaces: [{name: a, mac-vlan: {promiscuous: true}, llano: {nopromisc: true}}]",
            "interfaces[a].llano.nopromisc says the contrary of promiscuous",
        ),
        (
            "interfaces: [{name: a, link-aggregation: {mode: active-backup, options: {miimon: 100, arp_validate: all}}}]",
            "options.arp_validate is of the ARP monitor",
        ),
        ("interfaces: [{name: a, llano: {host-access: perhaps}}]", "false, shim, move"),
        ("routes: {config: [{destination: 10.0.0.1/8, next-hop-interface: a}]}", "say 10.0.0.0/8"),
        ("routes: {config: [{destination: 10.0.0.0/8}]}", "needs next-hop-interface"),
        ("route-rules: {config: [{route-table: 5, priority: 5}]}", "does not say its family"),
        ("dns-resolver: {config: {server: [192.0.2.1]}}", "dns-resolver is not set by llano"),
    ];
    for (yaml, words) in table {
        let error = refused(yaml);
        assert!(error.contains(words), "{yaml}: {error}");
    }
}

#[test]
fn what_cannot_be_planned_says_so() {
    let mut network = Network::default();
    let declare = |yaml: &str, network: &Network| State::parse(yaml).unwrap().wanted(network);
    let dummy =
        declare("interfaces: [{name: d, type: dummy, mtu: 1500}, {name: e, type: dummy}]", &network).unwrap();
    network.links = dummy.network.links;
    network.links.values_mut().for_each(|link| link.kind = Kind::Physical);
    let table = [
        ("interfaces: [{name: x, type: ethernet}]", "an ethernet interface cannot be made"),
        ("interfaces: [{name: x}]", "has no type"),
        ("interfaces: [{name: d, type: bond}]", "interfaces[d].type is bond, but the interface is ethernet"),
        (
            "interfaces: [{name: v, type: vlan, vlan: {base-iface: y, id: 3}}]",
            "base-iface is y, which is not there",
        ),
        (
            "interfaces: [{name: v, type: vlan, vlan: {base-iface: d, id: 3}, mtu: 9000}]",
            "more than 1500 of its parent d",
        ),
        (
            "interfaces: [{name: v, type: vlan, vlan: {base-iface: w, id: 3}}, {name: w, type: vlan, vlan: {base-iface: v, id: 3}}]",
            "hangs on itself",
        ),
        (
            "interfaces: [{name: d, mtu: 1400}, {name: b, type: bond, link-aggregation: {mode: balance-rr, port: [d]}}]",
            "interfaces[d].mtu is 1400, but a port has its bond's, and b has 1500",
        ),
        (
            "interfaces: [{name: b, type: bond, link-aggregation: {mode: balance-rr, port: [y]}}]",
            "there is no interface y",
        ),
        ("interfaces: [{name: b, type: bond, link-aggregation: {port: []}}]", "has no link-aggregation.mode"),
        ("interfaces: [{name: d, ipv4: {enabled: true, dhcp: true}}]", "ipv4.dhcp cannot be true"),
        ("interfaces: [{name: d, ipv6: {enabled: true, autoconf: true}}]", "ipv6.autoconf cannot be true"),
        ("interfaces: [{name: d, controller: e}]", "e is no bond"),
        (
            "interfaces: [{name: b, type: bond, link-aggregation: {mode: balance-rr, port: [d]}}, {name: d, ipv4: {address: [{ip: 192.0.2.1, prefix-length: 24}]}}]",
            "is a port; declare the address of b",
        ),
        (
            "interfaces: [{name: b, type: bond, link-aggregation: {mode: balance-rr, port: [d]}}, {name: m, type: mac-vlan, mac-vlan: {base-iface: d, mode: bridge}}]",
            "put that on b",
        ),
        (
            "interfaces: [{name: m, type: mac-vlan, mac-vlan: {base-iface: d, mode: passthru}}, {name: n, type: mac-vlan, mac-vlan: {base-iface: d, mode: bridge}}]",
            "passthru must be alone",
        ),
        (
            "interfaces: [{name: m, type: mac-vlan, mac-vlan: {base-iface: d, mode: bridge, promiscuous: false}}]",
            "mac-vlan.promiscuous can be false in mode passthru only",
        ),
        (
            "interfaces: [{name: d, mac-address: '02:00:00:00:00:01'}, {name: m, type: mac-vlan, mac-address: '02:00:00:00:00:02', mac-vlan: {base-iface: d, mode: passthru}}]",
            "in mode passthru it has that of its parent d",
        ),
        ("interfaces: [{name: d, veth: {peer: e}}]", "interfaces[d].veth is of another type"),
        (
            "interfaces: [{name: v, type: vlan, vlan: {base-iface: d, id: 3}}, {name: w, type: vlan, vlan: {base-iface: d, id: 3}}]",
            "already",
        ),
        (
            "interfaces: [{name: d, state: down}, {name: v, type: vlan, vlan: {base-iface: d, id: 3}}]",
            "is down, but v on it is up",
        ),
        ("routes: {config: [{destination: 10.0.0.0/8, next-hop-interface: y}]}", "is y, which is not there"),
        (
            "routes: {config: [{destination: 10.0.0.0/8, next-hop-interface: d, next-hop-address: 192.0.2.1}]}",
            "no address of d reaches",
        ),
    ];
    for (yaml, words) in table {
        let error = declare(yaml, &network).expect_err(yaml).to_string();
        assert!(error.contains(words), "{yaml}: {error}");
    }
}

#[test]
fn an_existing_nmstate_file_reads() {
    let yaml = "
interfaces:
- name: bond99
  type: bond
  state: up
  ipv4:
    address:
    - {ip: 192.0.2.0, prefix-length: 24}
    enabled: true
  link-aggregation:
    mode: balance-rr
    options: {miimon: '140', all_slaves_active: 0, 'use_carrier': true, num-grat-arp: 3}
    slaves: [eth3, eth2]
- name: eth3
  mtu: '1500'
  accept-all-mac-addresses: 'no'
  identifier: name
  permanent-mac-address: 02:00:00:00:00:01
  max-mtu: 9000
  wait-ip: any
  lldp: {enabled: false}
routes: {running: [{destination: 0.0.0.0/0}], config: [{destination: 0.0.0.0/0, metric: -1, table-id: 0, next-hop-interface: bond99, next-hop-address: 192.0.2.254}]}
";
    let state = State::parse(yaml).unwrap();
    let bond = state.interface("bond99").unwrap();
    assert_eq!(bond.ports().unwrap(), &["eth3", "eth2"]);
    assert_eq!(
        bond.link_aggregation.as_ref().unwrap().options.values.number(kernel::uapi::IFLA_BOND_MIIMON),
        Some(140)
    );
    assert_eq!(state.routes.config[0].metric, None);
    assert_eq!(state.names().into_iter().collect::<Vec<_>>(), ["bond99", "eth2", "eth3"]);
}

#[test]
fn newer_wins_key_by_key() {
    let mut state = State::parse("interfaces: [{name: b, type: bond, mtu: 1400, link-aggregation: {mode: 802.3ad, port: [x, y], options: {lacp_rate: fast, miimon: 50}}}]").unwrap();
    state.overlay(&State::parse("interfaces: [{name: b, link-aggregation: {mode: active-backup, port: [x], options: {primary: x}}}, {name: c, type: dummy}]").unwrap());
    let wanted = State::parse("interfaces: [{name: b, type: bond, mtu: 1400, link-aggregation: {mode: active-backup, port: [x], options: {primary: x, miimon: 50}}}, {name: c, type: dummy}]").unwrap();
    assert_eq!(state, wanted);
    state.overlay(&State::parse("interfaces: [{name: b, state: absent}]").unwrap());
    assert_eq!(
        state.interface("b"),
        Some(&Interface {
            name: "b".to_owned(),
            state: Some(InterfaceState::Absent),
            ..Interface::default()
        })
    );
}

#[test]
fn what_is_newer_ends_what_cannot_be_beside_it() {
    let table = [
        (
            "{name: m, mac-vlan: {mode: source}, llano: {source-macs: ['02:00:00:00:00:01'], bc-queue-len: 5}}",
            "{name: m, mac-vlan: {mode: bridge}}",
            "{name: m, mac-vlan: {mode: bridge}, llano: {bc-queue-len: 5}}",
        ),
        (
            "{name: m, mac-vlan: {mode: passthru, promiscuous: false}}",
            "{name: m, mac-vlan: {mode: vepa}}",
            "{name: m, mac-vlan: {mode: vepa}}",
        ),
        (
            "{name: x, ipv4: {enabled: false}}",
            "{name: x, ipv4: {address: [{ip: 192.0.2.1, prefix-length: 24}]}}",
            "{name: x, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}",
        ),
        (
            "{name: b, link-aggregation: {mode: balance-rr, options: {miimon: 100, updelay: 200, resend_igmp: 3}}}",
            "{name: b, link-aggregation: {options: {arp_interval: 100, arp_ip_target: 192.0.2.1}}}",
            "{name: b, link-aggregation: {mode: balance-rr, options: {arp_interval: 100, arp_ip_target: 192.0.2.1, resend_igmp: 3}}}",
        ),
        (
            "{name: b, link-aggregation: {mode: active-backup, port: [x, y], options: {primary: x}}}",
            "{name: b, link-aggregation: {port: [y]}}",
            "{name: b, link-aggregation: {mode: active-backup, port: [y]}}",
        ),
        (
            "{name: b, link-aggregation: {port: [x, y]}}, {name: y, mtu: 1400, ipv4: {enabled: false}}, {name: z, controller: c}",
            "{name: c, link-aggregation: {port: [y]}}",
            "{name: b, link-aggregation: {port: [x]}}, {name: y}, {name: z}, {name: c, link-aggregation: {port: [y]}}",
        ),
    ];
    for (old, new, both) in table {
        let parse = |list: &str| State::parse(&format!("interfaces: [{list}]")).unwrap();
        let mut state = parse(old);
        state.overlay(&parse(new));
        state.normalize().unwrap();
        assert_eq!(state, parse(both), "{old} and {new}");
        // What is written down can be read again.
        assert_eq!(State::parse(&state.to_yaml()).unwrap(), state);
    }
}

/// A bond with options of its mode, as far as they may be together.
fn bond() -> impl Strategy<Value = LinkAggregation> {
    let options = proptest::collection::btree_map(
        proptest::sample::select(BOND_OPTIONS.iter().map(|o| o.number).collect::<Vec<_>>()),
        any::<u32>(),
        0..12,
    );
    (0..7u8, options).prop_map(|(mode, values)| {
        let mode = BondMode::from_number(mode).unwrap();
        let mut options = BondOptions::default();
        for (number, seed) in values {
            let option = BondOption::of_number(number).unwrap();
            let value = match kernel::BondWidth::of(number).unwrap() {
                kernel::BondWidth::Mac => {
                    kernel::BondValue::Mac(kernel::MacAddr([2, 0, 0, 0, 0, seed as u8]))
                }
                kernel::BondWidth::V4 => {
                    kernel::BondValue::Addresses(vec![std::net::Ipv4Addr::from(seed).into()])
                }
                kernel::BondWidth::V6 => {
                    kernel::BondValue::Addresses(vec![std::net::Ipv6Addr::from(u128::from(seed)).into()])
                }
                _ => kernel::BondValue::Number(option.least + seed % (option.most - option.least + 1)),
            };
            let delay = ["updelay", "downdelay", "peer_notif_delay", "arp_interval", "arp_validate"]
                .contains(&option.name);
            if option.is_of(mode) && !delay {
                options.values.set(number, value);
            }
        }
        LinkAggregation { mode: Some(mode), options, port: None }
    })
}

fn interface() -> impl Strategy<Value = Interface> {
    let ip = (any::<std::net::Ipv4Addr>(), 1..=32u8, of(1..u32::MAX)).prop_filter_map(
        "not an interface's",
        |(ip, prefix_length, life)| {
            let life = life.map(|life| Lifetime(Some(life)));
            (!ip.is_unspecified() && !ip.is_multicast()).then_some(IpAddress {
                ip: ip.into(),
                prefix_length,
                valid_life_time: life,
                preferred_life_time: life,
            })
        },
    );
    let parts = (
        of(any::<bool>()),
        of(68..=65535u32),
        of(ip),
        of(bond()),
        of("[ -~]{0,20}"),
        of(any::<bool>()),
        of(any::<bool>()),
    );
    ("[a-z][a-z0-9.]{0,14}", parts).prop_map(
        |(name, (up, mtu, ip, bond, description, promiscuous, access))| Interface {
            name,
            kind: bond.as_ref().map(|_| InterfaceType::Bond),
            state: up.map(|up| if up { InterfaceState::Up } else { InterfaceState::Down }),
            mtu,
            description,
            accept_all_mac_addresses: promiscuous,
            ipv4: ip.map(|ip| Ip { enabled: Some(true), address: Some(vec![ip]), ..Ip::default() }),
            link_aggregation: bond,
            llano: access.map(|on| Llano {
                host_access: Some(HostAccess {
                    way: on.then_some(HostAccessWay::Move),
                    name: on.then(|| "lan0".to_owned()),
                    keep_mac: on,
                }),
                ..Llano::default()
            }),
            ..Interface::default()
        },
    )
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_it_was(list in proptest::collection::vec(interface(), 0..5)) {
        let by_name: BTreeMap<String, Interface> = list.into_iter().map(|interface| (interface.name.clone(), interface)).collect();
        let state = State { interfaces: by_name.into_values().collect(), ..State::default() };
        let text = state.to_yaml();
        prop_assert_eq!(State::parse(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?, state);
    }

    #[test]
    fn any_text_is_safe(text in "\\PC{0,200}") {
        let _ = State::parse(&text);
    }

    #[test]
    fn a_state_over_itself_is_itself(list in proptest::collection::vec(interface(), 0..5)) {
        let by_name: BTreeMap<String, Interface> = list.into_iter().map(|i| (i.name.clone(), i)).collect();
        let state = State { interfaces: by_name.into_values().collect(), ..State::default() };
        let mut twice = state.clone();
        twice.overlay(&state);
        prop_assert_eq!(twice, state);
    }
}

/// A NIC that is found by its MAC, whatever it is called here.
#[test]
fn a_nic_is_found_by_its_mac() {
    let bare = State::parse("interfaces: [{name: enp3s0, type: dummy, mtu: 1500}]").unwrap();
    let mut network = bare.wanted(&Network::default()).unwrap().network;
    let nic = network.links.get_mut("enp3s0").unwrap();
    (nic.kind, nic.permanent_mac) = (Kind::Physical, Some(MacAddr([2, 0, 0, 0, 0, 1])));
    let yaml = |mac: &str| {
        format!(
            "interfaces:
- {{ name: uplink, identifier: mac-address, mac-address: '{mac}', mtu: 1400 }}
- {{ name: bond0, type: bond, mtu: 1400, link-aggregation: {{ mode: active-backup, options: {{ primary: uplink }}, port: [uplink] }} }}
route-rules: {{ config: [ {{ family: ipv4, iif: uplink, route-table: 100, priority: 7 }} ] }}"
        )
    };
    let state = State::parse(&yaml("02:00:00:00:00:01")).unwrap();
    let wanted = state.wanted(&network).unwrap().network;
    let found = &wanted.links["enp3s0"];
    assert_eq!((found.mtu, found.controller.as_deref()), (1400, Some("bond0")));
    assert!(!wanted.links.contains_key("uplink"));
    assert!(
        matches!(&wanted.links["bond0"].kind, Kind::Bond(bond) if bond.primary.as_deref() == Some("enp3s0"))
    );
    assert_eq!(wanted.rules[0].iif.as_deref(), Some("enp3s0"));
    assert_eq!(State::parse(&state.to_yaml()).unwrap(), state, "it is declared as it was said");
    let other = State::parse(&yaml("02:00:00:00:00:02")).unwrap().wanted(&network).unwrap_err();
    assert!(other.to_string().contains("is no interface's here"), "{other}");
}

mod routes;
