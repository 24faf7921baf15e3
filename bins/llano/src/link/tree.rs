//! `llano link tree`: parents and children across every namespace.

use clap::Args;
use kernel::NetNs;
use topology::draw::{Choice, Group, dot, drawn, forest, rows, svg};
use topology::record::Record;
use topology::{NamespaceId, Topology, select};

use super::place::raise_descriptor_limit;
use crate::output::{Colour, Format, Out, Text, head};

/// Show what hangs on what.
#[derive(Debug, Args)]
#[command(after_help = "\
Below each link stand the ports of a bond or bridge, the other end of a veth, and what sits on it: macvlans, VLANs.
Whose a link is comes from CNI's result cache, the state directories of container runtimes, and the process table.

Besides text and json, --output takes svg (a picture that needs nothing else) and dot (for graphviz).

Examples:
  llano link tree                            everything
  llano link tree eth0                       what hangs on eth0
  llano link tree --netns web                what leads to the container, and what hangs on its links
  llano link tree --watch                    again with each change
  llano link tree --output svg > tree.svg
  llano link tree --output dot | dot -Tpng > tree.png
  llano link tree --output json | jq -r '.links[] | select(.kind == \"macvlan\") | .name'")]
pub(crate) struct Tree {
    /// Only what hangs on this link of this namespace, or of --netns
    #[arg(value_name = "PARENT")]
    parent: Option<String>,
    /// Only this namespace: name, path, process, container, POD_NAMESPACE/POD
    #[arg(long, value_name = "NETNS")]
    netns: Option<String>,
    /// Draw again when something changes, until interrupted
    #[arg(long)]
    pub(super) watch: bool,
}

pub(crate) fn run(args: &Tree, out: &mut Out) -> anyhow::Result<()> {
    raise_descriptor_limit();
    if args.watch {
        return super::tree_watch::run(args, out);
    }
    let topology = Topology::read()?;
    print(args, &topology, out)
}

/// Prints a topology in the form that was asked for.
pub(super) fn print(args: &Tree, topology: &Topology, out: &mut Out) -> anyhow::Result<()> {
    let choice = choice(args, topology)?;
    let groups = forest(topology, &choice);
    match out.format() {
        Format::Json => record(topology, &choice, &groups, out),
        Format::Svg => out.raw(svg(topology, &groups).as_bytes()),
        Format::Dot => out.raw(dot(topology, &groups).as_bytes()),
        Format::Text => text(topology, &groups, out),
    }
}

/// The link whose tree was asked for is not there.
#[derive(Debug)]
pub(super) struct NoSuchLink {
    name: String,
}

impl std::fmt::Display for NoSuchLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "there is no link {:?} in that namespace", self.name)
    }
}

impl std::error::Error for NoSuchLink {}

fn choice(args: &Tree, topology: &Topology) -> anyhow::Result<Choice> {
    let net = match &args.netns {
        Some(text) => select(text)?,
        None => NetNs::current()?,
    };
    let (device, inode) = net.id()?;
    let id = NamespaceId { device, inode };
    let Some(parent) = &args.parent else {
        return Ok(Choice { namespace: args.netns.as_ref().map(|_| id), link: None });
    };
    match topology.find(id, parent) {
        Some(node) => Ok(Choice { namespace: None, link: Some(node.id) }),
        None => Err(NoSuchLink { name: topology::visible(parent).into_owned() }.into()),
    }
}

fn record(topology: &Topology, choice: &Choice, groups: &[Group<'_>], out: &mut Out) -> anyhow::Result<()> {
    let record = Record::of(topology);
    if *choice == Choice::default() {
        return out.json(&record);
    }
    let shown = drawn(groups);
    let inode = |place: usize| topology.namespaces.get(place).map(|namespace| namespace.id.inode);
    out.json(&record.filtered(|namespace, index| {
        shown.iter().any(|id| id.index == index && inode(id.namespace) == Some(namespace))
    }))
}

fn text(topology: &Topology, groups: &[Group<'_>], out: &mut Out) -> anyhow::Result<()> {
    let mut table = vec![head(&["LINK", "KIND", "STATE", "MAC", "ADDRESSES", "OWNER"])];
    let mut headings = Vec::new();
    for group in groups {
        let owner = topology.namespaces[group.namespace].owner().to_string();
        headings.push((table.len(), owner));
        for row in rows(topology, group) {
            let state = if row.is_good { Colour::Good } else { Colour::Bad };
            table.push(vec![
                Text::new(row.name),
                Text::new(row.kind),
                Text::new(row.state).colour(state),
                Text::new(row.mac).colour(Colour::Faint),
                Text::new(row.addresses),
                Text::new(row.owner).colour(Colour::Strong),
            ]);
        }
    }
    // Columns are as wide in every namespace, and each has its owner above it.
    out.table_with_headings(&table, &headings)
}
