//! The plugin type `vlan` of llano-cni, its other end a namespace with VLAN interfaces of its own.

use anyhow::{Result, ensure};
use ipnet::IpNet;
use kernel::{Address, Change, LinkKind, Netlink, NewLink};
use serde_json::Value;

use super::Check;
use crate::site::{CABLE, Site, link, make, make_vlan, network, with};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "vlan/two pods, two VLANs, one cable", run: two_vlans },
    Check { name: "vlan/both families", run: both_families },
    Check { name: "vlan/one pod for each VLAN of a parent", run: same_id },
    Check { name: "vlan/an id is free again after DEL", run: id_again },
    Check { name: "vlan/MTU", run: mtu },
    Check { name: "vlan/CHECK sees a lost address", run: check_sees },
    Check { name: "vlan/DEL with the parent gone", run: parent_gone },
    Check { name: "vlan/DEL twice", run: del_twice },
    Check { name: "vlan/linkInContainer", run: link_in_container },
    Check { name: "vlan/no such parent", run: no_parent },
];

fn vlan(name: &str, master: &str, id: u16, subnet: &str) -> Value {
    with(network("vlan", name, master, subnet), "vlanId", id)
}

/// A pod's link is a VLAN with this id.
fn is_vlan(link: &kernel::Link, id: u16) -> Result<()> {
    ensure!(link.kind.as_vlan().is_some_and(|vlan| vlan.id == id), "not VLAN {id}: {link:?}");
    ensure!(link.is_up(), "it is down");
    Ok(())
}

fn two_vlans() -> Result<()> {
    let site = Site::new(CABLE)?;
    let trunk = site.trunk()?.net();
    make_vlan(trunk, "eth0", 100, Some("10.100.0.1/24"))?;
    make_vlan(trunk, "eth0", 200, Some("10.200.0.1/24"))?;
    let (a, b) = (site.pod("a")?, site.pod("b")?);
    let (to_a, to_b) =
        (vlan("v100", "eth0", 100, "10.100.0.0/24"), vlan("v200", "eth0", 200, "10.200.0.0/24"));
    let (got_a, got_b) = (a.add(&to_a)?, b.add(&to_b)?);
    is_vlan(&a.eth0()?, 100)?;
    is_vlan(&b.eth0()?, 200)?;
    // Only a tagged frame arrives at the trunk's VLAN interface.
    a.reaches("10.100.0.1")?;
    b.reaches("10.200.0.1")?;
    a.does_not_reach("10.200.0.1")?;
    a.check(&to_a, &got_a)?;
    b.check(&to_b, &got_b)?;
    ensure!(site.leases("v100")?.len() == 1 && site.leases("v200")?.len() == 1, "one lease in each network");
    a.del(&to_a, &got_a)?;
    ensure!(a.eth0().is_err(), "DEL left the link");
    ensure!(site.leases("v100")?.is_empty(), "DEL left a lease: {:?}", site.leases("v100")?);
    b.reaches("10.200.0.1")?;
    b.del(&to_b, &got_b)
}

fn both_families() -> Result<()> {
    let site = Site::new(CABLE)?;
    let trunk = site.trunk()?.net();
    let index = make_vlan(trunk, "eth0", 7, Some("10.7.0.1/24"))?;
    let address = Address::new(index, "fd00:7::1/64".parse::<IpNet>()?).with_flags(kernel::uapi::IFA_F_NODAD);
    Netlink::open_in(trunk)?.apply(&Change::AddAddress(address))?;
    let ranges = serde_json::json!({
        "type": "host-local", "ranges": [[{"subnet": "10.7.0.0/24"}], [{"subnet": "fd00:7::/64"}]]
    });
    let config = with(vlan("both", "eth0", 7, ""), "ipam", ranges);
    let pod = site.pod("a")?;
    let answer = pod.add(&config)?;
    ensure!(answer.addresses().len() == 2, "{}", answer.json);
    pod.reaches("10.7.0.1")?;
    pod.reaches("fd00:7::1")?;
    pod.check(&config, &answer)?;
    pod.del(&config, &answer)?;
    ensure!(site.leases("both")?.is_empty(), "DEL left {:?}", site.leases("both")?);
    Ok(())
}

fn same_id() -> Result<()> {
    let site = Site::new(CABLE)?;
    let config = vlan("v100", "eth0", 100, "10.100.0.0/24");
    let (a, b) = (site.pod("a")?, site.pod("b")?);
    a.add(&config)?;
    b.add_is_refused(&config, &["100", "eth0"])?;
    ensure!(site.leases("v100")?.len() == 1, "the refused ADD kept an address: {:?}", site.leases("v100")?);
    is_vlan(&a.eth0()?, 100)
}

fn id_again() -> Result<()> {
    let site = Site::new(CABLE)?;
    let config = vlan("v100", "eth0", 100, "10.100.0.0/24");
    for name in ["a", "b"] {
        let pod = site.pod(name)?;
        let answer = pod.add(&config)?;
        is_vlan(&pod.eth0()?, 100)?;
        pod.del(&config, &answer)?;
    }
    Ok(())
}

fn mtu() -> Result<()> {
    let site = Site::new(CABLE)?;
    let config = |mtu: i64| with(vlan("mtu", "eth0", 5, "10.5.0.0/24"), "mtu", mtu);
    for (wanted, expected) in [(0, 1500), (1400, 1400), (1500, 1500)] {
        let pod = site.pod(&format!("m{wanted}"))?;
        let answer = pod.add(&config(wanted))?;
        let mtu = pod.eth0()?.mtu;
        ensure!(mtu == expected, "asked for {wanted}, expected {expected}, is {mtu}");
        pod.del(&config(wanted), &answer)?;
    }
    let pod = site.pod("big")?;
    pod.add_is_refused(&config(9000), &["9000", "1500"])?;
    pod.add_is_refused(&config(-1), &["-1"])?;
    ensure!(site.leases("mtu")?.is_empty(), "{:?}", site.leases("mtu")?);
    Ok(())
}

fn check_sees() -> Result<()> {
    let site = Site::new(CABLE)?;
    let config = vlan("v9", "eth0", 9, "10.9.0.0/24");
    let pod = site.pod("a")?;
    let answer = pod.add(&config)?;
    let mut netlink = Netlink::open_in(pod.net())?;
    for net in answer.addresses() {
        netlink.apply(&Change::DeleteAddress(Address::new(pod.eth0()?.index, net)))?;
    }
    match pod.check(&config, &answer) {
        Ok(()) => anyhow::bail!("CHECK did not see that the address is gone"),
        Err(error) => ensure!(format!("{error:#}").contains("10.9.0."), "{error:#}"),
    }
    Ok(())
}

fn parent_gone() -> Result<()> {
    let site = Site::new(CABLE)?;
    let host = site.host()?.net();
    let parent = make(host, NewLink::new("gone0", LinkKind::Dummy))?;
    let config = vlan("gone", "gone0", 3, "10.3.0.0/24");
    let pod = site.pod("a")?;
    let answer = pod.add(&config)?;
    ensure!(site.leases("gone")?.len() == 1, "no lease");
    Netlink::open_in(host)?.apply(&Change::DeleteLink { index: parent })?;
    pod.del(&config, &answer)?;
    ensure!(site.leases("gone")?.is_empty(), "DEL left {:?}", site.leases("gone")?);
    Ok(())
}

fn del_twice() -> Result<()> {
    let site = Site::new(CABLE)?;
    let config = vlan("v4", "eth0", 4, "10.4.0.0/24");
    let pod = site.pod("a")?;
    let answer = pod.add(&config)?;
    pod.del(&config, &answer)?;
    pod.del(&config, &answer)
}

fn link_in_container() -> Result<()> {
    let site = Site::new(CABLE)?;
    let pod = site.pod("a")?;
    let parent = make(pod.net(), NewLink::new("net1", LinkKind::Dummy))?;
    let config = with(vlan("inner", "net1", 11, "10.11.0.0/24"), "linkInContainer", true);
    let answer = pod.add(&config)?;
    let eth0 = pod.eth0()?;
    is_vlan(&eth0, 11)?;
    ensure!(eth0.parent == Some(parent), "its parent is not the pod's net1: {eth0:?}");
    pod.check(&config, &answer)?;
    pod.del(&config, &answer)?;
    link(pod.net(), "net1").map(drop)
}

fn no_parent() -> Result<()> {
    let site = Site::new(CABLE)?;
    let pod = site.pod("a")?;
    pod.add_is_refused(&vlan("none", "nic7", 3, "10.3.0.0/24"), &["nic7"])?;
    ensure!(site.leases("none")?.is_empty(), "{:?}", site.leases("none")?);
    Ok(())
}
