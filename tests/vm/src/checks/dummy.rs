//! A parent without a cable: pods on it have each other and nobody else.

use anyhow::{Result, ensure};
use kernel::{LinkKind, NewLink};

use super::Check;
use crate::site::{CABLE, Site, make, make_vlan, network};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "dummy/macvlan pods", run: macvlan_pods },
    Check { name: "dummy/macvlan pods on a VLAN of it", run: on_a_vlan },
];

fn macvlan_pods() -> Result<()> {
    let site = Site::new(CABLE)?;
    make(site.host()?.net(), NewLink::new("dummy0", LinkKind::Dummy))?;
    two_pods(&site, "dummy0")
}

fn on_a_vlan() -> Result<()> {
    let site = Site::new(CABLE)?;
    make(site.host()?.net(), NewLink::new("dummy0", LinkKind::Dummy))?;
    make_vlan(site.host()?.net(), "dummy0", 42, None)?;
    two_pods(&site, "dummy0.42")
}

fn two_pods(site: &Site, parent: &str) -> Result<()> {
    let config = network("macvlan", "closed", parent, "10.6.0.0/24");
    let (a, b) = (site.pod("a")?, site.pod("b")?);
    let (got_a, got_b) = (a.add(&config)?, b.add(&config)?);
    for (pod, other) in [(&a, &got_b), (&b, &got_a)] {
        let Some(address) = other.address() else { anyhow::bail!("no address in {}", other.json) };
        pod.reaches(&address.to_string())?;
    }
    a.check(&config, &got_a)?;
    a.del(&config, &got_a)?;
    b.del(&config, &got_b)?;
    ensure!(site.leases("closed")?.is_empty(), "{:?}", site.leases("closed")?);
    Ok(())
}
