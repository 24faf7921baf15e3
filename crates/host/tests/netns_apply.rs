//! States applied to a real kernel: macvlans on a veth in a namespace of their own.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod space;

use host::{Difference, Error, Network, State, Wanted, converge};
use kernel::Netlink;
use space::Space;

/// Applies, and says what was before.
fn apply(netlink: &mut Netlink, yaml: &str) -> (Network, Wanted) {
    let before = Network::read(netlink).unwrap();
    let wanted = State::parse(yaml)
        .unwrap_or_else(|error| panic!("{error}\n{yaml}"))
        .wanted(&before)
        .unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let mut steps = Vec::new();
    if let Err(error) = converge(netlink, &wanted, &mut |step| steps.push(step.to_string())) {
        panic!("{error}\n{yaml}\n{}", steps.join("\n"));
    }
    let after = Network::read(netlink).unwrap();
    assert!(Difference::of(&after, &wanted).is_empty());
    // What is as declared stays as it is.
    let again = State::parse(yaml).unwrap().wanted(&after).unwrap();
    let difference = Difference::of(&after, &again);
    assert!(difference.is_empty(), "a second time:\n{difference}\n{yaml}");
    (before, wanted)
}

fn undo(netlink: &mut Netlink, before: &Network, wanted: &Wanted) {
    let back = Wanted::back_to(before.clone(), wanted.affected.clone(), wanted.rules);
    let mut steps = Vec::new();
    if let Err(error) = converge(netlink, &back, &mut |step| steps.push(step.to_string())) {
        panic!("{error}\n{}", steps.join("\n"));
    }
}

const MACVLAN: &str = "
interfaces:
- name: eth0
  type: ethernet
  state: up
  mtu: 1400
  ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}, {ip: 192.0.2.2, prefix-length: 24}, {ip: 198.51.100.1, prefix-length: 24}]}
  ipv6: {enabled: true, address: [{ip: 2001:db8::1, prefix-length: 64}]}
- name: lan
  type: mac-vlan
  description: the LAN
  mac-address: 02:00:00:00:00:11
  mac-vlan: {base-iface: eth0, mode: bridge}
  llano: {bc-queue-len: 2000}
  ipv4: {address: [{ip: 203.0.113.7, prefix-length: 24}]}
routes:
  config:
  - {destination: 0.0.0.0/0, next-hop-address: 192.0.2.254, next-hop-interface: eth0}
  - {destination: 10.0.0.0/8, next-hop-address: 203.0.113.1, next-hop-interface: lan, metric: 50, table-id: 77}
  - {destination: '2001:db8:1::/48', next-hop-address: '2001:db8::ff', next-hop-interface: eth0}
  - {destination: 10.9.0.0/16, route-type: blackhole}
  - {destination: '2001:db8:9::/48', route-type: unreachable}
route-rules:
  config:
  - {ip-from: 203.0.113.0/24, route-table: 77, priority: 100}
  - {family: ipv6, fwmark: 0x10, route-table: 77, priority: 101}
";

#[test]
fn a_macvlan_with_all_its_own_and_back() {
    Space::with_veth().run(|netlink| {
        let (before, wanted) = apply(netlink, MACVLAN);
        let now = Network::read(netlink).unwrap();
        assert_eq!(now.links["lan"].mtu, 1400);
        assert_eq!(now.links["lan"].alias.as_deref(), Some("the LAN"));
        assert!(now.rules.iter().any(|rule| rule.priority == Some(100)));
        undo(netlink, &before, &wanted);
        let after = Network::read(netlink).unwrap();
        assert_eq!(after.links.keys().collect::<Vec<_>>(), before.links.keys().collect::<Vec<_>>());
        assert_eq!(after.rules, before.rules);
        assert_eq!(after.links["eth0"].mtu, before.links["eth0"].mtu);
        assert!(after.links["eth0"].addresses.iter().all(|address| address.net.addr().is_ipv6()));
    });
}

#[test]
fn what_show_prints_can_be_applied_and_changes_nothing() {
    Space::with_veth().run(|netlink| {
        apply(netlink, MACVLAN);
        let now = Network::read(netlink).unwrap();
        let shown = State::of(&now).to_yaml();
        let wanted =
            State::parse(&shown).unwrap_or_else(|error| panic!("{error}\n{shown}")).wanted(&now).unwrap();
        let difference = Difference::of(&now, &wanted);
        assert!(difference.is_empty(), "{difference}\n{shown}");
    });
}

#[test]
fn every_option_of_a_macvlan_is_set_changed_and_removed() {
    let file = |rest: &str| format!("interfaces: [{{name: m, type: mac-vlan, {rest}}}]");
    let steps = [
        "mac-vlan: {base-iface: eth0, mode: bridge}",
        "mac-vlan: {mode: private}",
        "mac-vlan: {mode: vepa}",
        "mac-vlan: {mode: source}, llano: {source-macs: ['02:00:00:00:00:01', '02:00:00:00:00:02']}",
        "llano: {source-macs: ['02:00:00:00:00:03']}",
        "llano: {source-macs: []}",
        "mac-vlan: {mode: bridge}",
        "llano: {bc-queue-len: 3000}",
        "mtu: 1300",
        "mtu: 1500",
        "mac-address: '02:00:00:00:00:aa'",
        "accept-all-mac-addresses: true",
        "llano: {promiscuity: false}",
        "description: words",
        "description: ''",
        "state: down",
        "state: up",
        "ipv6: {addr-gen-mode: none}",
        "ipv6: {addr-gen-mode: eui64}",
        "ipv6: {enabled: false}",
        "ipv6: {enabled: true}",
        "mac-vlan: {mode: passthru, promiscuous: false}",
        "mac-vlan: {promiscuous: true}",
        "mac-vlan: {mode: bridge}",
        "ipv4: {address: [{ip: 192.0.2.9, prefix-length: 24, valid-life-time: 3000sec, preferred-life-time: 2000sec}]}",
        "ipv4: {address: [{ip: 192.0.2.9, prefix-length: 24, valid-life-time: forever}]}",
        "ipv4: {address: [{ip: 192.0.2.10, prefix-length: 24}, {ip: 192.0.2.9, prefix-length: 24}]}",
        "ipv4: {enabled: false}",
    ];
    Space::with_veth().run(|netlink| {
        for step in steps {
            apply(netlink, &file(step));
            let now = Network::read(netlink).unwrap();
            assert!(now.links.contains_key("m"), "{step}");
        }
        let now = Network::read(netlink).unwrap();
        assert!(!now.links["m"].promiscuous && now.links["m"].alias.is_none());
        apply(netlink, "interfaces: [{name: m, state: absent}]");
        assert!(!Network::read(netlink).unwrap().links.contains_key("m"));
    });
}

#[test]
fn a_kernel_without_bonds_or_vlans_says_so_and_nothing_stays() {
    let files = [
        ("interfaces: [{name: b, type: bond, link-aggregation: {mode: active-backup, port: []}}]", "bonding"),
        ("interfaces: [{name: v, type: vlan, vlan: {base-iface: eth0, id: 100}}]", "8021q"),
    ];
    Space::with_veth().run(|netlink| {
        for (file, module) in files {
            let before = Network::read(netlink).unwrap();
            let wanted = State::parse(file).unwrap().wanted(&before).unwrap();
            match converge(netlink, &wanted, &mut |_| {}) {
                // This kernel has it.
                Ok(_) => {}
                Err(Error::Lacks { module: named, .. }) => assert_eq!(named, module),
                Err(error) => panic!("{error}"),
            }
            undo(netlink, &before, &wanted);
            let after = Network::read(netlink).unwrap();
            assert_eq!(after.links.keys().collect::<Vec<_>>(), before.links.keys().collect::<Vec<_>>());
        }
    });
}
