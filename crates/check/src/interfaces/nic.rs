//! The NIC's own filter of MACs, and promiscuity.

use std::fs;

use kernel::LinkKind;
use kernel::uapi::IFF_PROMISC;

use crate::context::Context;
use crate::error::Result;
use crate::finding::Finding;
use crate::switch::hypervisor_vendor;

/// How many MACs beside its own a NIC filters in hardware, by driver: what the drivers' sources say. Past that the
/// kernel makes it promiscuous: nothing is lost, every frame of the LAN costs time.
const FILTERS: [(&str, usize); 12] = [
    ("e1000", 14),
    ("e1000e", 14),
    ("igb", 15),
    ("igc", 15),
    ("ixgbe", 127),
    ("i40e", 1024),
    ("ice", 1024),
    ("tg3", 0),
    ("bnx2", 3),
    ("mlx4_en", 127),
    ("mlx5_core", 1024),
    ("virtio_net", 64),
];

/// The driver's name, of hardware and virtio only.
fn driver(name: &str) -> Option<String> {
    let link = fs::read_link(format!("/sys/class/net/{name}/device/driver")).ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

pub(crate) fn filters(context: &Context) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for parent in context.parents() {
        let link = parent.link;
        let name = &link.name;
        let children = context
            .links
            .iter()
            .filter(|child| context.below(child).is_some_and(|below| below.index == link.index))
            .count();
        let ranges: u128 = context
            .uses()
            .filter(|(_, _, master)| master == name)
            .map(|(_, plugin, _)| plugin.ranges.iter().map(ipam::RangeSet::size).max().unwrap_or(0))
            .fold(0, u128::saturating_add);
        let known = driver(name);
        let limit = known.as_ref().and_then(|driver| FILTERS.iter().find(|(name, _)| name == driver));
        let overflowed = link.promiscuity > 0 && link.flags & IFF_PROMISC == 0 && is_hardware(&link.kind);
        let finding = match (&known, limit) {
            (None, _) if link.promiscuity > 0 => {
                Finding::ok(format!("{name} takes every frame; it is no hardware, so that costs little"))
            }
            (None, _) => Finding::ok(format!("{name} is no hardware: no limit")),
            (Some(driver), Some((_, limit))) if ranges.max(children as u128) > *limit as u128 => {
                Finding::warn(
                    format!(
                        "{name} ({driver}) filters {limit} MACs beside its own, ranges on it hold {ranges} addresses: past {limit} containers it takes every frame of the LAN{}",
                        if overflowed { ", as it does now" } else { "" }
                    ),
                    "nothing is lost, it costs CPU time: spread the containers, or take a NIC with a larger filter",
                )
            }
            (Some(driver), _) if overflowed => Finding::warn(
                format!(
                    "{name} ({driver}) takes every frame of the LAN: its filter is full, or something captures on it"
                ),
                "nothing is lost, it costs CPU time; look for tcpdump, a bridge, or too many macvlans",
            ),
            (Some(driver), Some((_, limit))) => Finding::ok(format!(
                "{name} ({driver}) filters {limit} MACs beside its own; {ranges} may be needed"
            )),
            (Some(driver), None) => {
                Finding::ok(format!("{name} ({driver}): its limit is not known, it has not been reached"))
            }
        };
        findings.push(finding.of(name));
    }
    if findings.is_empty() {
        findings.push(Finding::skip("no interface is used by containers"));
    }
    Ok(findings)
}

fn is_hardware(kind: &LinkKind) -> bool {
    matches!(kind, LinkKind::Physical)
}

pub(crate) fn promiscuity(context: &Context) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for name in &context.declared.promiscuous {
        let promiscuous = context.link(name).is_some_and(|link| link.flags & IFF_PROMISC != 0);
        if !promiscuous {
            findings.push(
                Finding::fail(
                    format!("{name} is declared promiscuous and is not"),
                    format!("llano host apply, or ip link set {name} promisc on"),
                )
                .of(name),
            );
        }
    }
    let vendor = hypervisor_vendor().filter(|vendor| vendor.wants_promiscuity);
    for parent in context.parents() {
        let (link, name) = (parent.link, &parent.link.name);
        if context.declared.promiscuous.contains(name) && link.flags & IFF_PROMISC == 0 {
            continue;
        }
        let finding = match &vendor {
            Some(vendor) if link.promiscuity == 0 => Finding::warn(
                format!(
                    "{name} is not promiscuous, and {} gives a NIC that is not only its own MAC's frames",
                    vendor.name
                ),
                format!(
                    "ip link set {name} promisc on, kept by llano host apply with llano: {{promiscuity: true}}"
                ),
            ),
            _ if link.promiscuity > 0 => Finding::ok(format!("{name} takes frames of every MAC")),
            _ => Finding::ok(format!(
                "{name} is not promiscuous and need not be: the kernel tells the NIC each MAC"
            )),
        };
        findings.push(finding.of(name));
    }
    if findings.is_empty() {
        findings.push(Finding::skip("no interface is used by containers"));
    }
    Ok(findings)
}
