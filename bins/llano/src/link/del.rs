//! `llano link del`.

use anyhow::bail;
use clap::Args;
use kernel::{Change, LinkKind};
use topology::{NamespaceId, Topology, visible};

use super::equal::Ip;
use super::place::{Place, raise_descriptor_limit};
use super::show;
use crate::output::Out;

/// Delete a link.
#[derive(Debug, Args)]
#[command(after_help = "\
With a link the kernel deletes what sits on it, in every namespace: macvlans of containers vanish with their parent.
So a link with children stays unless --with-children is given.

Examples:
  llano link del mv0
  llano link del eth0 --netns web
  llano link del bond0.100 --with-children --dry-run")]
pub(crate) struct Del {
    /// The link
    name: String,
    /// The namespace: name, path, process, container, POD_NAMESPACE/POD
    #[arg(long, value_name = "NETNS")]
    netns: Option<String>,
    /// Also what sits on it, in every namespace
    #[arg(long)]
    with_children: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Del, out: &mut Out) -> anyhow::Result<()> {
    raise_descriptor_limit();
    let mut place = Place::open(args.netns.as_deref())?;
    let link = place.link(&args.name)?;
    let name = visible(&args.name);
    if link.kind == LinkKind::Physical {
        bail!("{name} is no link that was made: it belongs to hardware or to the namespace, and stays");
    }
    let children = children(&place, link.index)?;
    if !args.with_children && !children.is_empty() {
        bail!("{name} carries {}: they would vanish with it (--with-children allows it)", listed(&children));
    }
    if args.dry_run {
        let with =
            if children.is_empty() { String::new() } else { format!(", and with it {}", listed(&children)) };
        let ip = Ip::at(&place).words(["link", "del", "dev", &args.name]);
        return show::would(&format!("would delete {name} {}{with}", place.described()), &[ip], out);
    }
    place.socket.apply(&Change::DeleteLink { index: link.index })?;
    out.json(&serde_json::json!({"deleted": args.name, "children": children}))?;
    out.line(&format!("deleted {name} {}", place.described()))
}

/// What sits on a link, with its owners.
fn children(place: &Place, index: u32) -> anyhow::Result<Vec<String>> {
    let topology = Topology::read()?;
    let (device, inode) = place.net.id()?;
    let id = NamespaceId { device, inode };
    let node =
        topology.links.iter().find(|node| node.link.index == index && topology.namespace_of(node).id == id);
    let children = node.into_iter().flat_map(|node| topology.children_of(node.id));
    Ok(children
        .map(|child| format!("{} ({})", visible(&child.link.name), topology.owner_of(child)))
        .collect())
}

/// The first few of them.
fn listed(children: &[String]) -> String {
    const SHOWN: usize = 5;
    let first = children.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match children.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
