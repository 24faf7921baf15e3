//! YAML to [`LabSpec`], one function per kind of thing.

use std::path::PathBuf;

use serde_yaml_ng::Value;

use super::yaml::Node;
use super::{End, InterfaceSpec, LabSpec, LinkSpec, NodeSpec, Role, RouteSpec, SwitchSpec};
use crate::error::{Error, Result};

const CIDR: &str = "an address with prefix length, as in 172.16.129.101/24";
/// Smallest MTU that IPv4 allows (RFC 791) and the largest that a bridge takes.
const MTU: (u32, u32) = (68, 65535);

pub(super) fn lab(text: &str) -> Result<LabSpec> {
    let value: Value = serde_yaml_ng::from_str(text).map_err(|error| Error::Yaml(error.to_string()))?;
    let root = Node::new(String::new(), &value).map(&["hosts", "routers", "switches", "links"])?;
    let mut nodes = Vec::new();
    for (name, entry) in root.entries("hosts")? {
        nodes.push(node(name, &entry, false)?);
    }
    for (name, entry) in root.entries("routers")? {
        nodes.push(node(name, &entry, true)?);
    }
    let switches = match root.get("switches") {
        Some(list) if list.value.is_sequence() => list
            .list()
            .iter()
            .map(|item| Ok(SwitchSpec { name: item.text()?.to_owned(), mtu: None }))
            .collect::<Result<_>>()?,
        _ => root.entries("switches")?.into_iter().map(switch).collect::<Result<_>>()?,
    };
    let links = root.list("links").iter().map(link).collect::<Result<_>>()?;
    Ok(LabSpec { nodes, switches, links, source: text.to_owned() })
}

fn node(name: String, entry: &Node<'_>, router: bool) -> Result<NodeSpec> {
    let keys: &[&str] = if router {
        &["interfaces", "gateway", "routes", "sysctls", "forward"]
    } else {
        &["interfaces", "gateway", "routes", "sysctls", "disk"]
    };
    let map = entry.map(keys)?;
    let forward = map.get("forward").map(|value| value.truth()).transpose()?.unwrap_or(true);
    Ok(NodeSpec {
        role: if router { Role::Router { forward } } else { Role::Host },
        interfaces: map
            .entries("interfaces")?
            .into_iter()
            .map(|(name, entry)| interface(name, &entry))
            .collect::<Result<_>>()?,
        gateways: map
            .list("gateway")
            .iter()
            .map(|item| item.parsed("an address, or a list of one for each family"))
            .collect::<Result<_>>()?,
        routes: map.list("routes").iter().map(route).collect::<Result<_>>()?,
        sysctls: map
            .entries("sysctls")?
            .into_iter()
            .map(|(key, value)| Ok((key, value.scalar()?)))
            .collect::<Result<_>>()?,
        disk: map.get("disk").map(|value| value.text().map(PathBuf::from)).transpose()?,
        name,
    })
}

fn interface(name: String, entry: &Node<'_>) -> Result<InterfaceSpec> {
    let map = entry.map(&["switch", "addresses", "mtu", "mac", "hairpin"])?;
    Ok(InterfaceSpec {
        name,
        switch: map.get("switch").map(|value| value.text().map(str::to_owned)).transpose()?,
        addresses: map.list("addresses").iter().map(|item| item.parsed(CIDR)).collect::<Result<_>>()?,
        mtu: map.get("mtu").map(|value| value.number(MTU.0, MTU.1)).transpose()?,
        mac: map
            .get("mac")
            .map(|value| value.parsed("six bytes in hexadecimal, as in 02:00:00:00:01:01"))
            .transpose()?,
        hairpin: map.get("hairpin").map(|value| value.truth()).transpose()?.unwrap_or(false),
    })
}

fn route(entry: &Node<'_>) -> Result<RouteSpec> {
    let map = entry.map(&["to", "via"])?;
    Ok(RouteSpec {
        to: map.required("to", CIDR)?.parsed(CIDR)?,
        via: map.required("via", "an address")?.parsed("an address")?,
    })
}

fn switch((name, entry): (String, Node<'_>)) -> Result<SwitchSpec> {
    let map = entry.map(&["mtu", "vlan_filtering"])?;
    if let Some(filtering) = map.get("vlan_filtering")
        && filtering.truth()?
    {
        return Err(Error::spec(
            &filtering.path,
            "true",
            "only false: many kernels lack bridge VLAN filtering, use one switch for each VLAN",
        ));
    }
    Ok(SwitchSpec { name, mtu: map.get("mtu").map(|value| value.number(MTU.0, MTU.1)).transpose()? })
}

fn link(entry: &Node<'_>) -> Result<LinkSpec> {
    let map = entry.map(&["between", "mtu"])?;
    let allowed = "two ends, each host.interface or a switch, as in [host1.eth1, host2.eth1]";
    let between = map.required("between", allowed)?;
    let ends = between.list().iter().map(end).collect::<Result<Vec<_>>>()?;
    let count = ends.len();
    let between: [End; 2] =
        ends.try_into().map_err(|_| Error::spec(map.path(), format!("{count} ends"), allowed))?;
    Ok(LinkSpec { between, mtu: map.get("mtu").map(|value| value.number(MTU.0, MTU.1)).transpose()? })
}

fn end(item: &Node<'_>) -> Result<End> {
    let text = item.text()?;
    Ok(match text.split_once('.') {
        Some((node, interface)) => End::Interface { node: node.to_owned(), interface: interface.to_owned() },
        None => End::Switch(text.to_owned()),
    })
}
