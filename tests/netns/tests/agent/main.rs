//! The agent on a real kernel: its engine, store and socket, with a cluster of files.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test ends where it cannot go on.

mod killed;
mod lost;
mod plugin;
mod pods;

use lab::{Ephemeral, Lab, LabSpec};
use netns_tests::AgentNode;

const PROGRAM: &str = env!("CARGO_BIN_EXE_test-agent");

const SPEC: &str = "
switches:
  lan: {}
hosts:
  host:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.1/16] }
  peer:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.2/16] }
";

fn lab() -> Ephemeral {
    netns_tests::require_root();
    Lab::ephemeral(&LabSpec::parse(SPEC).unwrap()).unwrap()
}

/// The host's agent, with so many [`networks`].
fn node_with(lab: &Ephemeral, extra: usize) -> AgentNode<'_> {
    let node = AgentNode::new(lab.host("host").unwrap(), PROGRAM);
    networks(&node, extra);
    node
}

/// Networks `lan`, `extra1` and so on of one range each.
fn networks(node: &AgentNode<'_>, extra: usize) {
    let none = serde_json::json!({});
    node.macvlan("lan", "10.9.64.0/20", Some("standalone"), &none);
    for number in 1..=extra {
        node.macvlan(&format!("extra{number}"), &format!("10.{}.0.0/16", 20 + number), None, &none);
    }
}
