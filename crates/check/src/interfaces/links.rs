//! State, speed and size of links.

use std::collections::BTreeMap;
use std::fs;

use kernel::{Link, LinkKind};

use crate::context::Context;
use crate::error::Result;
use crate::finding::Finding;

pub(crate) fn link_state(context: &Context) -> Result<Vec<Finding>> {
    let parents = context.parents();
    if parents.is_empty() {
        return Ok(vec![Finding::skip("no interface is used by containers, and there is no default route")]);
    }
    let of = |parent: &crate::context::Parent<'_>| {
        let (link, name) = (parent.link, &parent.link.name);
        let finding = if !link.is_up() {
            Finding::bad(
                !parent.guessed,
                format!("{name} is down, and {}", parent.because),
                format!("ip link set {name} up, or declare it up for `llano host apply`"),
            )
        } else if !link.carrier || !link.is_lower_up() {
            Finding::bad(
                !parent.guessed,
                format!("{name} has no carrier, and {}", parent.because),
                "look at the cable and the switch's port; of a VLAN or bond, at the links below it",
            )
        } else {
            Finding::ok(format!("{name} is up; {}", parent.because))
        };
        finding.of(name)
    };
    Ok(parents.iter().map(of).collect())
}

pub(crate) fn bond_ports(context: &Context) -> Result<Vec<Finding>> {
    let bonds: Vec<&Link> =
        context.links.iter().filter(|link| matches!(link.kind, LinkKind::Bond(_))).collect();
    if bonds.is_empty() {
        return Ok(vec![Finding::skip("there is no bond")]);
    }
    Ok(bonds.into_iter().map(|bond| of_bond(context, bond).of(&bond.name)).collect())
}

fn of_bond(context: &Context, bond: &Link) -> Finding {
    let ports: Vec<&Link> = context.links.iter().filter(|link| link.master == Some(bond.index)).collect();
    let name = &bond.name;
    let dead: Vec<&str> =
        ports.iter().filter(|port| !(port.is_up() && port.carrier)).map(|port| port.name.as_str()).collect();
    let speeds: BTreeMap<&str, String> =
        ports.iter().map(|port| (port.name.as_str(), speed(&port.name).unwrap_or_default())).collect();
    let mut known: Vec<&String> = speeds.values().filter(|speed| !speed.is_empty()).collect();
    known.sort();
    known.dedup();
    let told = || {
        ports.iter().map(|port| {
            let speed = speeds.get(port.name.as_str()).filter(|speed| !speed.is_empty());
            format!("{}: {}", port.name, speed.map_or("speed unknown", String::as_str))
        })
    };
    let mut finding = if ports.is_empty() {
        Finding::fail(
            format!("{name} has no port"),
            "name its ports in link-aggregation.port of the declared state",
        )
    } else if dead.len() == ports.len() {
        Finding::fail(format!("no port of {name} has a carrier"), "look at the cables and the switch's ports")
    } else if !dead.is_empty() {
        Finding::warn(
            format!(
                "{name} works with {} of {} ports: {} without carrier",
                ports.len() - dead.len(),
                ports.len(),
                dead.join(", ")
            ),
            "look at the cable and the switch's port before the other one fails",
        )
    } else if known.len() > 1 {
        Finding::warn(
            format!("ports of {name} differ in speed or duplex"),
            "802.3ad uses only ports of one speed; set the switch's ports to the same",
        )
    } else {
        Finding::ok(format!("{name}: all {} ports have a carrier", ports.len()))
    };
    finding.details.extend(told());
    finding
}

/// `10000 Mb/s full`; `None` where the driver does not know (-1) or the link is down (EINVAL).
fn speed(name: &str) -> Option<String> {
    let read = |what: &str| fs::read_to_string(format!("/sys/class/net/{name}/{what}")).ok();
    let speed = read("speed")?.trim().parse::<i64>().ok().filter(|speed| *speed > 0)?;
    Some(format!("{speed} Mb/s {}", read("duplex")?.trim()))
}

/// Bytes that a VXLAN puts around an inner packet: Ethernet 14, UDP 8, VXLAN 8, IP 20 or 40.
pub(crate) fn vxlan_overhead(v6: bool) -> u32 {
    if v6 { 70 } else { 50 }
}

pub(crate) fn mtu(context: &Context) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for link in &context.links {
        let below = context.below(link).map(|below| (below, 0, "stands on"));
        let port = link.master.and_then(|index| context.link_at(index));
        // A port must carry what its bond or bridge sends.
        let as_port = port.filter(|_| !link.is_loopback()).map(|master| (master, link));
        if let Some((below, overhead, verb)) = below.or_else(|| under_vxlan(context, link)) {
            findings.push(of_pair(link, below, overhead, verb));
        }
        if let Some((master, port)) = as_port {
            findings
                .push(of_pair(master, port, 0, "sends through").of(format!("{}/{}", master.name, port.name)));
        }
    }
    for (network, plugin, master) in context.uses() {
        if let (Some(mtu), Some(parent)) = (plugin.mtu, context.link(&master)) {
            let object = format!("network {}", network.name);
            findings.push(if mtu > i64::from(parent.mtu) {
                Finding::fail(
                    format!(
                        "network {} wants MTU {mtu}, {master} carries {}: every ADD is refused",
                        network.name, parent.mtu
                    ),
                    format!(
                        "raise the MTU of {master} and what is below it, or lower mtu in the configuration"
                    ),
                )
                .of(object)
            } else {
                Finding::ok(format!("network {}: MTU {mtu} on {master} with {}", network.name, parent.mtu))
                    .of(object)
            });
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("no link stands on another"));
    }
    Ok(findings)
}

fn of_pair(upper: &Link, lower: &Link, overhead: u32, verb: &str) -> Finding {
    let (up, low) = (&upper.name, &lower.name);
    let with = if overhead > 0 { format!(" and adds {overhead} bytes") } else { String::new() };
    let finding = if upper.mtu.saturating_add(overhead) > lower.mtu {
        Finding::fail(
            format!(
                "{up} has MTU {}{with}, but {verb} {low} with MTU {}: large packets are lost",
                upper.mtu, lower.mtu
            ),
            format!(
                "raise {low} to {} or lower {up} to {}",
                upper.mtu + overhead,
                lower.mtu.saturating_sub(overhead)
            ),
        )
    } else {
        Finding::ok(format!("{up} (MTU {}{with}) {verb} {low} (MTU {})", upper.mtu, lower.mtu))
    };
    finding.of(up)
}

/// The link that carries a VXLAN's outer packets: the one it names, else the one with its local address.
pub(crate) fn under_vxlan<'a>(context: &'a Context, link: &Link) -> Option<(&'a Link, u32, &'static str)> {
    let LinkKind::Vxlan(vxlan) = &link.kind else { return None };
    // Its packets leave from the namespace that it was made in; the numbers and addresses there are not ours.
    if link.parent_nsid.is_some() {
        return None;
    }
    let by_address = || {
        let local = vxlan.local.filter(|ip| !ip.is_unspecified())?;
        context.addresses.iter().find(|address| address.net.addr() == local).map(|address| address.index)
    };
    let below = vxlan.link.or_else(by_address).and_then(|index| context.link_at(index))?;
    let v6 = vxlan.local.or(vxlan.remote).is_some_and(|ip| ip.is_ipv6());
    Some((below, vxlan_overhead(v6), "sends through"))
}
