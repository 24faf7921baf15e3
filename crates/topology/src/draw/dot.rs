//! The tree in the language of graphviz.

use std::fmt::Write;

use super::text::{addresses, notes};
use super::{Branch, Group, drawn};
use crate::{LinkId, Topology, visible};

/// A graph: a cluster for each namespace, an arrow from each link to what hangs on it.
pub fn dot(topology: &Topology, groups: &[Group<'_>]) -> String {
    let mut out = String::from(
        "digraph links {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=monospace, fontsize=10];\n",
    );
    let shown = drawn(groups);
    let mut nodes: Vec<(LinkId, String)> = Vec::new();
    for group in groups {
        group.branches.iter().for_each(|branch| labels(topology, branch, &mut nodes));
    }
    nodes.sort();
    let mut open = None;
    for (id, label) in nodes {
        if open != Some(id.namespace) {
            if open.is_some() {
                out.push_str("  }\n");
            }
            let owner = topology.namespaces[id.namespace].owner().to_string();
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  subgraph cluster_{} {{\n    label={};", id.namespace, quote(&owner));
            open = Some(id.namespace);
        }
        let _ = writeln!(out, "    {} [label={label}];", name(id));
    }
    if open.is_some() {
        out.push_str("  }\n");
    }
    for id in &shown {
        let Some(node) = topology.link(*id) else { continue };
        let mut arrow = |from: Option<LinkId>, style: &str| {
            if let Some(from) = from.filter(|from| shown.contains(from)) {
                let _ = writeln!(out, "  {} -> {}{style};", name(from), name(*id));
            }
        };
        arrow(node.parent, "");
        arrow(node.controller, " [style=dashed]");
        arrow(node.peer.filter(|peer| peer < id), " [style=dotted, dir=both]");
    }
    out.push_str("}\n");
    out
}

fn labels(topology: &Topology, branch: &Branch<'_>, nodes: &mut Vec<(LinkId, String)>) {
    let node = branch.node;
    let addresses = addresses(branch);
    let (kind, notes) = (node.describe(), notes(topology, node.id.namespace, branch));
    let lines = [node.link.name.as_str(), &kind, &node.state(), &addresses, &notes];
    let lines: Vec<String> =
        lines.into_iter().filter(|line| !line.is_empty()).map(|line| visible(line).into_owned()).collect();
    nodes.push((node.id, quote(&lines.join("\n"))));
    branch.below.iter().for_each(|below| labels(topology, below, nodes));
}

fn name(id: LinkId) -> String {
    format!("n{}_{}", id.namespace, id.index)
}

/// A quoted string. graphviz reads escapes in labels, and entities like HTML's.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
