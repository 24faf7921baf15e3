//! The invariants of a description that span more than one key.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Component, Path};

use super::{End, LabSpec, NodeSpec};
use crate::error::{Error, Result};

const NAME: &str = "1 to 30 of a-z, 0-9 and -, beginning with a letter or digit";

pub(super) fn all(spec: &LabSpec) -> Result<()> {
    names(spec)?;
    for node in &spec.nodes {
        let path = node_path(node);
        interfaces(spec, node, &path)?;
        gateways(node, &path)?;
        sysctls(node, &path)?;
        disk(node, &path)?;
    }
    links(spec)?;
    wires(spec)?;
    addresses(spec)
}

/// Whether a text can be the name of a lab or a node: it becomes a directory and part of an interface's name.
pub(crate) fn is_name(text: &str) -> bool {
    let ok = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=30).contains(&text.len()) && text.bytes().all(ok) && !text.starts_with('-')
}

fn node_path(node: &NodeSpec) -> String {
    let kind = if matches!(node.role, super::Role::Host) { "hosts" } else { "routers" };
    format!("{kind}.{}", node.name)
}

fn names(spec: &LabSpec) -> Result<()> {
    let mut seen = HashSet::new();
    let nodes = spec.nodes.iter().map(|node| (node_path(node), &node.name));
    let switches = spec.switches.iter().map(|switch| (format!("switches.{}", switch.name), &switch.name));
    for (path, name) in nodes.chain(switches) {
        if !is_name(name) {
            return Err(Error::spec(&path, format!("the name {name:?}"), NAME));
        }
        if !seen.insert(name) {
            return Err(Error::spec(
                &path,
                format!("the name {name}"),
                "a name no other host, router or switch has",
            ));
        }
    }
    if spec.nodes.is_empty() {
        return Err(Error::spec("hosts", "nothing", "at least one host or router"));
    }
    Ok(())
}

fn interfaces(spec: &LabSpec, node: &NodeSpec, path: &str) -> Result<()> {
    for interface in &node.interfaces {
        let path = format!("{path}.interfaces.{}", interface.name);
        let name = &interface.name;
        let ok = (1..=15).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:.%".contains(&byte))
            && !["lo", "all", "default"].contains(&name.as_str());
        if !ok {
            let allowed = "1 to 15 printable characters without / : . %, and not lo, all or default";
            return Err(Error::spec(&path, format!("the name {name:?}"), allowed));
        }
        if let Some(switch) = &interface.switch
            && !spec.switches.iter().any(|known| known.name == *switch)
        {
            let known: Vec<_> = spec.switches.iter().map(|switch| switch.name.as_str()).collect();
            let allowed =
                if known.is_empty() { "a switch listed under switches".into() } else { known.join(", ") };
            return Err(Error::spec(&format!("{path}.switch"), switch, allowed));
        }
        if interface.hairpin && interface.switch.is_none() {
            let allowed = "only for an interface on a switch";
            return Err(Error::spec(&format!("{path}.hairpin"), true, allowed));
        }
        if let Some(mac) = interface.mac
            && (mac.is_multicast() || mac.is_zero())
        {
            return Err(Error::spec(&format!("{path}.mac"), mac, "a unicast address that is not zero"));
        }
        if let Some(address) = interface.addresses.iter().find(|net| !is_host_address(net.addr())) {
            return Err(Error::spec(
                &format!("{path}.addresses"),
                address,
                "addresses of one host (unicast)",
            ));
        }
    }
    Ok(())
}

fn is_host_address(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !address.is_loopback() && !broadcast
}

fn gateways(node: &NodeSpec, path: &str) -> Result<()> {
    let on_link = |via: &IpAddr| node.addresses().any(|net| net.contains(via) && net.addr() != *via);
    let mut families = HashSet::new();
    for gateway in &node.gateways {
        let key = format!("{path}.gateway");
        if !families.insert(gateway.is_ipv4()) {
            return Err(Error::spec(&key, gateway, "one address of each family"));
        }
        if !on_link(gateway) {
            return Err(Error::spec(
                &key,
                gateway,
                "another address in a subnet of one of the node's interfaces",
            ));
        }
    }
    for route in &node.routes {
        let key = format!("{path}.routes");
        if route.to.addr().is_ipv4() != route.via.is_ipv4() {
            return Err(Error::spec(
                &key,
                format!("{} via {}", route.to, route.via),
                "to and via of one family",
            ));
        }
        if !on_link(&route.via) {
            return Err(Error::spec(
                &key,
                route.via,
                "a next hop in a subnet of one of the node's interfaces",
            ));
        }
    }
    Ok(())
}

fn sysctls(node: &NodeSpec, path: &str) -> Result<()> {
    let ok =
        |key: &str| key.starts_with("net/") && !key.split('/').any(|part| part.is_empty() || part == "..");
    match node.sysctls.iter().find(|(key, _)| !ok(key)) {
        // Only what a network namespace owns: any other setting would be the machine's.
        Some((key, _)) => {
            let allowed = "a key below net/ with slashes, as in net/ipv4/conf/all/rp_filter";
            Err(Error::spec(&format!("{path}.sysctls"), key, allowed))
        }
        None => Ok(()),
    }
}

fn disk(node: &NodeSpec, path: &str) -> Result<()> {
    let ok = |disk: &Path| {
        let mut parts = disk.components();
        parts.next() == Some(Component::RootDir)
            && parts.next().is_some()
            && disk.components().skip(1).all(|part| matches!(part, Component::Normal(_)))
    };
    match &node.disk {
        Some(disk) if !ok(disk) => {
            let allowed = "an absolute path without .., of a directory that is this host's alone";
            Err(Error::spec(&format!("{path}.disk"), disk.display(), allowed))
        }
        _ => Ok(()),
    }
}

fn links(spec: &LabSpec) -> Result<()> {
    for (at, link) in spec.links.iter().enumerate() {
        let key = format!("links[{at}].between");
        for end in &link.between {
            let known = match end {
                End::Switch(name) => spec.switches.iter().any(|switch| switch.name == *name),
                End::Interface { node, interface } => spec
                    .node(node)
                    .is_some_and(|node| node.interfaces.iter().any(|known| known.name == *interface)),
            };
            if !known {
                return Err(Error::spec(
                    &key,
                    end,
                    "a switch, or host.interface as listed under hosts or routers",
                ));
            }
        }
        if link.between[0] == link.between[1] {
            return Err(Error::spec(&key, &link.between[0], "two different ends"));
        }
    }
    Ok(())
}

/// Every interface has exactly one wire.
fn wires(spec: &LabSpec) -> Result<()> {
    for node in &spec.nodes {
        for interface in &node.interfaces {
            let end = End::Interface { node: node.name.clone(), interface: interface.name.clone() };
            let links = spec.links.iter().filter(|link| link.between.contains(&end)).count();
            let wires = links + usize::from(interface.switch.is_some());
            if wires != 1 {
                let key = format!("{}.interfaces.{}", node_path(node), interface.name);
                let allowed = "exactly one: a switch here, or one entry under links";
                return Err(Error::spec(&key, format!("{wires} wires"), allowed));
            }
        }
    }
    Ok(())
}

fn addresses(spec: &LabSpec) -> Result<()> {
    for node in &spec.nodes {
        let mut seen = HashSet::new();
        if let Some(net) = node.addresses().find(|net| !seen.insert(net.addr())) {
            return Err(Error::spec(&format!("{}.interfaces", node_path(node)), net, "each address once"));
        }
    }
    Ok(())
}
