//! Files in nmstate's keys, as people have them: applied, verified, and found in the kernel.

use anyhow::{Context, Result, ensure};
use host::{Kind, Link, Network};
use kernel::uapi::{IFLA_BOND_AD_LACP_RATE, IFLA_BOND_MIIMON, VLAN_FLAG_GVRP};
use kernel::{MacvlanMode, NetNs, Netlink, VlanProtocol};

use super::Check;
use crate::declare::{Applied, apply, cards, undo};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "declared-files/ethernet", run: ethernet },
    Check { name: "declared-files/bond", run: bond },
    Check { name: "declared-files/vlan", run: vlan },
    Check { name: "declared-files/mac-vlan", run: macvlan },
];

/// In a namespace with three network cards: applies the file, looks, takes it back.
fn with(yaml: &str, look: impl FnOnce(&Network) -> Result<()>) -> Result<()> {
    in_a_namespace(|netlink| {
        let applied: Applied = apply(netlink, yaml)?;
        look(&Network::read(netlink)?)?;
        undo(netlink, &applied)
    })
}

pub(super) fn in_a_namespace<T>(run: impl FnOnce(&mut Netlink) -> Result<T>) -> Result<T> {
    let path = std::env::temp_dir().join(format!("declared-{}", std::process::id()));
    let namespace = NetNs::create_at(&path)?;
    let result = namespace.run(|| {
        let netlink = &mut Netlink::open()?;
        cards(netlink, 3)?;
        run(netlink)
    });
    NetNs::delete(&path)?;
    result?
}

fn link<'a>(network: &'a Network, name: &str) -> Result<&'a Link> {
    network.links.get(name).with_context(|| format!("no {name} in {:?}", network.links.keys()))
}

fn addresses(link: &Link) -> Vec<String> {
    link.addresses.iter().map(|address| address.net.to_string()).collect()
}

const ETHERNET: &str = "
---
interfaces:
  - name: n0
    description: uplink
    type: ethernet
    state: up
    mtu: 9000
    mac-address: 02:00:00:00:00:A0
    accept-all-mac-addresses: true
    lldp:
      enabled: false
    ipv4:
      enabled: true
      dhcp: false
      address:
        - ip: 192.0.2.10
          prefix-length: 24
        - ip: 192.0.2.11
          prefix-length: 24
        - ip: 198.51.100.10
          prefix-length: 25
          valid-life-time: 3600sec
          preferred-life-time: 1800sec
    ipv6:
      enabled: true
      autoconf: false
      dhcp: false
      address:
        - ip: 2001:db8:1::10
          prefix-length: 64
  - name: n1
    type: ethernet
    state: down
    ipv4:
      enabled: false
    ipv6:
      enabled: false
routes:
  config:
    - destination: 0.0.0.0/0
      next-hop-address: 192.0.2.1
      next-hop-interface: n0
      metric: -1
      table-id: 254
    - destination: 203.0.113.0/24
      next-hop-address: 192.0.2.2
      next-hop-interface: n0
      metric: 150
    - destination: ::/0
      next-hop-address: 2001:db8:1::1
      next-hop-interface: n0
    - destination: 10.66.0.0/16
      route-type: blackhole
route-rules:
  config:
    - ip-from: 198.51.100.0/25
      priority: 500
      route-table: 200
";

fn ethernet() -> Result<()> {
    with(ETHERNET, |network| {
        let n0 = link(network, "n0")?;
        ensure!(n0.mtu == 9000 && n0.promiscuous && n0.alias.as_deref() == Some("uplink"), "{n0:?}");
        ensure!(n0.mac == Some("02:00:00:00:00:a0".parse()?), "{:?}", n0.mac);
        let addresses = addresses(n0);
        let wanted = ["192.0.2.10/24", "198.51.100.10/25", "192.0.2.11/24", "2001:db8:1::10/64"];
        ensure!(addresses.get(..4) == Some(&wanted.map(str::to_owned)), "{addresses:?}");
        let leased = n0.addresses.iter().find(|address| address.net.addr().to_string() == "198.51.100.10");
        ensure!(leased.and_then(|address| address.valid).is_some_and(|left| left <= 3600), "{leased:?}");
        let n1 = link(network, "n1")?;
        ensure!(!n1.up && n1.addresses.is_empty() && n1.ipv6_disabled, "{n1:?}");
        let lines: Vec<String> = network.routes.iter().map(ToString::to_string).collect();
        let gateways = network.routes.iter().filter_map(|route| route.route.gateway).collect::<Vec<_>>();
        ensure!(gateways.len() == 3, "{lines:?}");
        ensure!(
            network.rules.iter().any(|rule| rule.priority == Some(500) && rule.table == 200),
            "{:?}",
            network.rules
        );
        Ok(())
    })
}

const BOND: &str = "
---
interfaces:
- name: bond99
  type: bond
  state: up
  mac-address: 02:00:00:00:00:B0
  mtu: 8000
  ipv4:
    address:
    - ip: 192.0.2.20
      prefix-length: 24
    enabled: true
  link-aggregation:
    mode: 802.3ad
    options:
      miimon: '140'
      lacp_rate: fast
      xmit_hash_policy: layer3+4
      ad_select: bandwidth
      min_links: 1
    port:
    - n0
    - n1
- name: n0
  type: ethernet
  state: up
- name: n1
  type: ethernet
  state: up
routes:
  config:
  - destination: 0.0.0.0/0
    next-hop-address: 192.0.2.1
    next-hop-interface: bond99
";

fn bond() -> Result<()> {
    with(BOND, |network| {
        let bond99 = link(network, "bond99")?;
        let Kind::Bond(bond) = &bond99.kind else { anyhow::bail!("{bond99:?}") };
        let number = |option| bond.options.number(option);
        ensure!(bond.options.mode() == 4 && number(IFLA_BOND_MIIMON) == Some(140), "{bond:?}");
        ensure!(number(IFLA_BOND_AD_LACP_RATE) == Some(1), "{bond:?}");
        ensure!(bond99.mac == Some("02:00:00:00:00:b0".parse()?) && bond99.mtu == 8000, "{bond99:?}");
        for port in ["n0", "n1"] {
            let port = link(network, port)?;
            ensure!(port.controller.as_deref() == Some("bond99") && port.mtu == 8000 && port.up, "{port:?}");
        }
        ensure!(link(network, "n2")?.controller.is_none(), "n2 was not named");
        Ok(())
    })
}

const VLAN: &str = "
---
interfaces:
- name: n0.101
  type: vlan
  state: up
  vlan:
    base-iface: n0
    id: 101
    protocol: 802.1q
    registration-protocol: gvrp
    reorder-headers: true
    loose-binding: false
  ipv4:
    enabled: true
    address: [{ip: 192.0.2.30, prefix-length: 24}]
- name: stag
  type: vlan
  mtu: 1480
  vlan: {base-iface: n1, id: 7, protocol: 802.1ad}
- name: ctag
  type: vlan
  mtu: 1476
  vlan: {base-iface: stag, id: 8}
  ipv6:
    enabled: true
    address: [{ip: 2001:db8:3::30, prefix-length: 64}]
";

fn vlan() -> Result<()> {
    with(VLAN, |network| {
        let of = |name: &str| -> Result<_> {
            let link = link(network, name)?;
            let Kind::Vlan(vlan) = link.kind else { anyhow::bail!("{link:?}") };
            ensure!(link.up, "{name} is down");
            Ok((vlan, link.parent.clone().unwrap_or_default(), link.mtu))
        };
        let (vlan, parent, mtu) = of("n0.101")?;
        ensure!((vlan.id, parent.as_str(), mtu) == (101, "n0", 1500), "{vlan:?} {parent} {mtu}");
        ensure!(vlan.protocol == VlanProtocol::Ieee8021Q && vlan.flags & VLAN_FLAG_GVRP != 0, "{vlan:?}");
        let (vlan, parent, mtu) = of("stag")?;
        ensure!((vlan.id, parent.as_str(), mtu) == (7, "n1", 1480), "{vlan:?} {parent} {mtu}");
        ensure!(vlan.protocol == VlanProtocol::Ieee8021Ad, "{vlan:?}");
        let (vlan, parent, mtu) = of("ctag")?;
        ensure!((vlan.id, parent.as_str(), mtu) == (8, "stag", 1476), "{vlan:?} {parent} {mtu}");
        Ok(())
    })
}

const MACVLAN: &str = "
---
interfaces:
- name: mv0
  type: mac-vlan
  state: up
  mac-vlan:
    base-iface: n0
    mode: vepa
    promiscuous: true
  ipv4:
    enabled: true
    address: [{ip: 192.0.2.40, prefix-length: 24}]
- name: mv1
  type: mac-vlan
  mac-address: 02:00:00:00:00:C1
  mac-vlan: {base-iface: n0, mode: private, promiscuous: true}
- name: mv2
  type: mac-vlan
  mac-vlan: {base-iface: n1, mode: passthru, promiscuous: false}
- name: mv3
  type: mac-vlan
  mac-vlan: {base-iface: n2, mode: source}
  llano:
    source-macs: [02:00:00:00:0a:01, 02:00:00:00:0a:02]
    bc-queue-len: 500
- name: tap0
  type: mac-vtap
  mac-vtap: {base-iface: n2, mode: bridge, promiscuous: true}
";

fn macvlan() -> Result<()> {
    with(MACVLAN, |network| {
        let of = |name: &str| -> Result<_> {
            let link = link(network, name)?;
            let (Kind::Macvlan(macvlan) | Kind::Macvtap(macvlan)) = &link.kind else {
                anyhow::bail!("{link:?}")
            };
            ensure!(link.up, "{name} is down");
            Ok((macvlan, link.parent.as_deref().unwrap_or_default()))
        };
        for (name, parent, mode) in [
            ("mv0", "n0", MacvlanMode::Vepa),
            ("mv1", "n0", MacvlanMode::Private),
            ("mv2", "n1", MacvlanMode::Passthru),
            ("mv3", "n2", MacvlanMode::Source),
            ("tap0", "n2", MacvlanMode::Bridge),
        ] {
            let (macvlan, on) = of(name)?;
            ensure!((macvlan.mode, on) == (mode, parent), "{name}: {macvlan:?} on {on}");
        }
        ensure!(of("mv2")?.0.nopromisc, "mv2 makes its parent promiscuous");
        let sources = &of("mv3")?.0.source_macs;
        ensure!(sources.len() == 2, "{sources:?}");
        ensure!(of("mv3")?.0.bc_queue_len == Some(500), "{:?}", of("mv3")?.0);
        ensure!(
            link(network, "mv1")?.mac == Some("02:00:00:00:00:c1".parse()?),
            "{:?}",
            link(network, "mv1")?.mac
        );
        Ok(())
    })
}
