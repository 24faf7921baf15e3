//! `llano link show`: one link, or all of a namespace, with all that is known of them.

use anyhow::bail;
use clap::Args;
use topology::record::{EndRecord, LinkRecord};
use topology::{NamespaceId, Node, Topology, visible};

use super::equal::Ip;
use super::place::{Place, raise_descriptor_limit};
use crate::output::{Colour, Out};

/// Show links.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llano link show                       every link here
  llano link show eth0 --netns web      the container's eth0, with its parent on the host
  llano link show --output json         the same keys as `llano link tree --output json`")]
pub(crate) struct Show {
    /// Only this link
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The namespace: name, path, process, container, POD_NAMESPACE/POD
    #[arg(long, value_name = "NETNS")]
    netns: Option<String>,
}

pub(crate) fn run(args: &Show, out: &mut Out) -> anyhow::Result<()> {
    let place = Place::open(args.netns.as_deref())?;
    shown(args, &place, out)
}

fn shown(args: &Show, place: &Place, out: &mut Out) -> anyhow::Result<()> {
    raise_descriptor_limit();
    let (device, inode) = place.net.id()?;
    let id = NamespaceId { device, inode };
    let topology = Topology::read()?;
    let wanted = |node: &&Node| {
        topology.namespace_of(node).id == id && args.name.as_ref().is_none_or(|name| *name == node.link.name)
    };
    let found: Vec<&Node> = topology.links.iter().filter(wanted).collect();
    if let (true, Some(name)) = (found.is_empty(), &args.name) {
        bail!("there is no link {:?} {}", visible(name), place.described());
    }
    let records: Vec<LinkRecord<'_>> = found.iter().map(|node| LinkRecord::of(&topology, node)).collect();
    out.json(&records)?;
    for (node, record) in found.iter().zip(&records) {
        print(&topology, node, record, out)?;
    }
    Ok(())
}

/// Shows one link that was just made or changed.
pub(super) fn one(place: &Place, name: &str, out: &mut Out) -> anyhow::Result<()> {
    let show = Show { name: Some(name.to_owned()), netns: None };
    shown(&show, place, out)
}

/// What a dry run says: the deed in words, and the `ip` commands that do the same.
pub(super) fn would(what: &str, commands: &[Ip], out: &mut Out) -> anyhow::Result<()> {
    let lines: Vec<String> = commands.iter().map(Ip::line).collect();
    out.json(&serde_json::json!({"dryRun": true, "would": what, "ip": lines}))?;
    out.line(what)?;
    lines.iter().try_for_each(|line| out.line(&format!("  {line}")))
}

fn print(topology: &Topology, node: &Node, record: &LinkRecord<'_>, out: &mut Out) -> anyhow::Result<()> {
    let colour = if node.is_good() { Colour::Good } else { Colour::Bad };
    let state = out.paint(colour, &node.state());
    let name = out.paint(Colour::Strong, &visible(record.name));
    out.line(&format!("{name}  {}  {state}", node.describe()))?;
    let end = |end: &EndRecord<'_>| {
        let place = topology.namespaces.iter().find(|namespace| namespace.id.inode == end.namespace);
        let owner = place.map(|place| place.owner().to_string()).unwrap_or_default();
        let elsewhere = end.namespace != record.namespace;
        let name = visible(end.name);
        if elsewhere { format!("{name} ({owner})") } else { name.into_owned() }
    };
    let names = |nodes: Vec<&Node>| {
        let each = nodes.iter().map(|child| {
            let name = visible(&child.link.name);
            match child.id.namespace == node.id.namespace {
                true => name.into_owned(),
                false => format!("{name} ({})", topology.owner_of(child)),
            }
        });
        Some(each.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
    };
    let attachment = record.attachment.map(|known| {
        format!("network {}, container {}", visible(&known.network), visible(&known.container_id))
    });
    let lines = [
        ("mac", record.mac.clone()),
        ("mtu", Some(record.mtu.to_string())),
        ("addresses", Some(record.addresses.join(" ")).filter(|text| !text.is_empty())),
        ("parent", record.parent.as_ref().map(end)),
        ("port of", record.controller.as_ref().map(end)),
        ("peer", record.peer.as_ref().map(end)),
        ("other end", record.unseen.then(|| "in a namespace that cannot be seen".to_owned())),
        ("ports", names(topology.ports_of(node.id).collect())),
        ("children", names(topology.children_of(node.id).collect())),
        (
            "source MACs",
            record.source_macs.as_ref().map(|macs| macs.join(" ")).filter(|text| !text.is_empty()),
        ),
        ("bc queue", record.bc_queue_len.map(|len| format!("{len} frames"))),
        ("promiscuity", Some(record.promiscuity.to_string()).filter(|count| count != "0")),
        ("alias", record.alias.map(|alias| visible(alias).into_owned())),
        ("attachment", attachment),
    ];
    for (key, value) in lines {
        if let Some(value) = value {
            out.line(&format!("  {:<12}{value}", key))?;
        }
    }
    Ok(())
}
