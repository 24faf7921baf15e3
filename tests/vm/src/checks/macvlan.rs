//! What `type: macvlan` does beyond making a link, on a distribution's stock kernel.

use anyhow::{Result, ensure};
use ipnet::IpNet;
use kernel::{Address, Change, LinkKind, NetNs, Netlink, NewLink, QdiscKind};
use lab::Ping;
use serde_json::{Value, json};

use super::Check;
use crate::site::{CABLE, Site, TWO_CABLES, link, make, make_bond, make_vlan, network, with};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "macvlan/a probe passes over a taken address", run: probe },
    Check { name: "macvlan/bandwidth inside the pod", run: bandwidth },
    Check { name: "macvlan/host access", run: host_access },
    Check { name: "macvlan/host access on a VLAN without an address", run: host_access_elsewhere },
];

fn address(net: &NetNs, name: &str, address: &str) -> Result<()> {
    let address = Address::new(link(net, name)?.index, address.parse::<IpNet>()?);
    Ok(Netlink::open_in(net)?.apply(&Change::AddAddress(address))?)
}

/// Addresses from .10 on, so that the test's own are free.
fn macvlan(master: &str) -> Value {
    let range = json!({ "subnet": "10.8.0.0/24", "rangeStart": "10.8.0.10" });
    let ipam = json!({ "type": "host-local", "ranges": [[range]] });
    with(network("macvlan", "n", master, ""), "ipam", ipam)
}

fn probe() -> Result<()> {
    let site = Site::new(CABLE)?;
    address(site.trunk()?.net(), "eth0", "10.8.0.10/24")?;
    let config = with(macvlan("eth0"), "probe", true);
    let pod = site.pod("a")?;
    let answer = pod.add(&config)?;
    ensure!(answer.address() == Some("10.8.0.11".parse()?), "{}", answer.json);
    pod.reaches("10.8.0.10")?;
    pod.del(&config, &answer)?;
    ensure!(site.leases("n")?.is_empty(), "{:?}", site.leases("n")?);
    Ok(())
}

fn bandwidth() -> Result<()> {
    let site = Site::new(CABLE)?;
    address(site.trunk()?.net(), "eth0", "10.8.0.1/24")?;
    let limits = json!({
        "type": "bandwidth",
        "ingressRate": 8_000_000, "ingressBurst": 800_000, "egressRate": 16_000_000, "egressBurst": 800_000
    });
    let list = json!({ "cniVersion": "1.0.0", "name": "n", "plugins": [macvlan("eth0"), limits] });
    let pod = site.pod("a")?;
    let answer = pod.add(&list)?;
    let mut netlink = Netlink::open_in(pod.net())?;
    let rates: Vec<_> = netlink
        .qdiscs(None)?
        .into_iter()
        .filter_map(|qdisc| match qdisc.kind {
            QdiscKind::Tbf(tbf) => Some(tbf.rate_bytes),
            _ => None,
        })
        .collect();
    ensure!(rates.contains(&1_000_000) && rates.contains(&2_000_000), "bytes per second: {rates:?}");
    pod.reaches("10.8.0.1")?;
    pod.check(&list, &answer)?;
    pod.del(&list, &answer)?;
    let links = netlink.links()?;
    ensure!(links.iter().all(kernel::Link::is_loopback), "DEL left {links:?}");
    Ok(())
}

/// Both directions between pod and host, and nothing left after DEL.
fn both_ways(site: &Site, config: &Value, host_address: &str) -> Result<()> {
    let host = site.host()?.net();
    let names = |net: &NetNs| -> Result<Vec<String>> {
        Ok(Netlink::open_in(net)?.links()?.into_iter().map(|link| link.name).collect())
    };
    let before = names(host)?;
    let pod = site.pod("a")?;
    let answer = pod.add(config)?;
    let Some(to) = answer.address() else { anyhow::bail!("no address in {}", answer.json) };
    pod.reaches(host_address)?;
    Ping::new(to).count(5).run(host).map_err(|error| anyhow::anyhow!("the host pings {to}: {error}"))?;
    pod.check(config, &answer)?;
    pod.del(config, &answer)?;
    ensure!(names(host)? == before, "DEL left on the host: {:?}", names(host)?);
    Ok(())
}

fn host_access() -> Result<()> {
    let site = Site::new(CABLE)?;
    address(site.host()?.net(), "eth0", "10.8.0.2/24")?;
    both_ways(&site, &with(macvlan("eth0"), "hostAccess", true), "10.8.0.2")
}

fn host_access_elsewhere() -> Result<()> {
    let site = Site::new(TWO_CABLES)?;
    let host = site.host()?.net();
    make_bond(host)?;
    make_vlan(host, "bond0", 100, None)?;
    make(host, NewLink::new("mgmt0", LinkKind::Dummy))?;
    address(host, "mgmt0", "10.50.0.2/24")?;
    both_ways(&site, &with(macvlan("bond0.100"), "hostAccess", true), "10.50.0.2")
}
