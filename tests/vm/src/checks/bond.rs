//! Macvlan and VLAN pods on a bond of two cables in active-backup.

use anyhow::{Result, ensure};
use kernel::SetLink;
use serde_json::{Value, json};

use super::Check;
use crate::site::{Site, TWO_CABLES, default_route, link, make_bond, make_vlan, network, set, with};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "bond/macvlan pods on bond0.100", run: macvlan_pods },
    Check { name: "bond/a pulled cable", run: pulled_cable },
    Check { name: "bond/empty master on the default route's VLAN", run: empty_master },
    Check { name: "bond/vlan pods on bond0", run: vlan_pods },
];

/// `bond0.100` on the host, VLAN 100 on the trunk with 10.100.0.1.
fn site() -> Result<Site> {
    let site = Site::new(TWO_CABLES)?;
    let host = site.host()?.net();
    make_bond(host)?;
    make_vlan(host, "bond0", 100, None)?;
    make_vlan(site.trunk()?.net(), "eth0", 100, Some("10.100.0.1/24"))?;
    Ok(site)
}

fn macvlan(master: &str) -> Value {
    network("macvlan", "v100", master, "10.100.0.0/24")
}

fn ranges(config: Value) -> Value {
    let range = json!({ "subnet": "10.100.0.0/24", "rangeStart": "10.100.0.10" });
    with(config, "ipam", json!({ "type": "host-local", "ranges": [[range]] }))
}

fn macvlan_pods() -> Result<()> {
    let site = site()?;
    let config = ranges(macvlan("bond0.100"));
    let (a, b) = (site.pod("a")?, site.pod("b")?);
    let (got_a, got_b) = (a.add(&config)?, b.add(&config)?);
    let parent = link(site.host()?.net(), "bond0.100")?.index;
    ensure!(a.eth0()?.kind.as_macvlan().is_some(), "not a macvlan: {:?}", a.eth0()?);
    ensure!(a.eth0()?.parent == Some(parent), "not on bond0.100: {:?}", a.eth0()?);
    a.reaches("10.100.0.1")?;
    b.reaches("10.100.0.1")?;
    a.reaches("10.100.0.11")?;
    b.reaches("10.100.0.10")?;
    a.check(&config, &got_a)?;
    a.del(&config, &got_a)?;
    b.del(&config, &got_b)?;
    ensure!(site.leases("v100")?.is_empty(), "{:?}", site.leases("v100")?);
    Ok(())
}

fn pulled_cable() -> Result<()> {
    let site = site()?;
    let host = site.host()?.net();
    let pod = site.pod("a")?;
    pod.add(&ranges(macvlan("bond0.100")))?;
    pod.reaches("10.100.0.1")?;
    for (pulled, other) in [("eth0", "eth1"), ("eth1", "eth0")] {
        set(host, link(host, other)?.index, SetLink::up())?;
        set(host, link(host, pulled)?.index, SetLink::down())?;
        pod.reaches("10.100.0.1")?;
    }
    Ok(())
}

fn empty_master() -> Result<()> {
    let site = site()?;
    let host = site.host()?.net();
    let index = link(host, "bond0.100")?.index;
    let mut netlink = kernel::Netlink::open_in(host)?;
    let address = kernel::Address::new(index, "10.100.0.2/24".parse()?);
    netlink.apply(&kernel::Change::AddAddress(address))?;
    default_route(host, "10.100.0.1")?;
    let config = ranges(macvlan(""));
    let pod = site.pod("a")?;
    let answer = pod.add(&config)?;
    ensure!(pod.eth0()?.parent == Some(index), "not on bond0.100: {:?}", pod.eth0()?);
    pod.reaches("10.100.0.1")?;
    pod.check(&config, &answer)?;
    pod.del(&config, &answer)
}

fn vlan_pods() -> Result<()> {
    let site = Site::new(TWO_CABLES)?;
    make_bond(site.host()?.net())?;
    make_vlan(site.trunk()?.net(), "eth0", 200, Some("10.200.0.1/24"))?;
    let config = with(network("vlan", "v200", "bond0", "10.200.0.0/24"), "vlanId", 200);
    let config = with(
        config,
        "ipam",
        json!({ "type": "host-local", "ranges": [[{ "subnet": "10.200.0.0/24", "rangeStart": "10.200.0.10" }]] }),
    );
    let pod = site.pod("a")?;
    let answer = pod.add(&config)?;
    pod.reaches("10.200.0.1")?;
    pod.del(&config, &answer)
}
