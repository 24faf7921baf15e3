//! The steps that turn a description into a lab, in order. `--dry-run` prints them, `up` takes them.

use std::fmt;

use crate::spec::{End, LabSpec, Role};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Note the lab in `/run/llano-lab/NAME/lab.json`.
    Note {
        /// The lab.
        lab: String,
    },
    /// Make the lab's directory a private mount.
    Mount,
    /// Make a switch's namespace and its bridge.
    Switch {
        /// The switch.
        switch: String,
    },
    /// Make a node's namespaces.
    Node {
        /// The node.
        node: String,
        /// Host or router.
        role: Role,
    },
    /// Make the veth pair that is a wire.
    Wire {
        /// Its ends.
        between: [End; 2],
        /// Whether the switch's port is a hairpin.
        hairpin: bool,
        /// MTU of both ends.
        mtu: Option<u32>,
    },
    /// Write kernel settings, give interfaces their addresses, set them up, add routes.
    Configure {
        /// The node.
        node: String,
    },
    /// Wait until every wire carries, then note that the lab is complete.
    Complete,
}

/// All steps for a lab, in order.
pub fn steps(lab: &str, spec: &LabSpec) -> Vec<Step> {
    let mut steps = vec![Step::Note { lab: lab.to_owned() }, Step::Mount];
    steps.extend(spec.switches.iter().map(|switch| Step::Switch { switch: switch.name.clone() }));
    steps.extend(spec.nodes.iter().map(|node| Step::Node { node: node.name.clone(), role: node.role }));
    for node in &spec.nodes {
        for interface in &node.interfaces {
            let Some(switch) = &interface.switch else { continue };
            let of_switch =
                spec.switches.iter().find(|known| known.name == *switch).and_then(|known| known.mtu);
            let end = End::Interface { node: node.name.clone(), interface: interface.name.clone() };
            steps.push(Step::Wire {
                between: [end, End::Switch(switch.clone())],
                hairpin: interface.hairpin,
                mtu: of_switch,
            });
        }
    }
    for link in &spec.links {
        steps.push(Step::Wire { between: link.between.clone(), hairpin: false, mtu: link.mtu });
    }
    steps.extend(spec.nodes.iter().map(|node| Step::Configure { node: node.name.clone() }));
    steps.push(Step::Complete);
    steps
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Note { lab } => write!(f, "note lab {lab} in {}/{lab}/lab.json", crate::state::BASE),
            Step::Mount => f.write_str("make the lab's directory a private mount"),
            Step::Switch { switch } => write!(f, "switch {switch}: network namespace with a bridge"),
            Step::Node { node, role } => {
                let what = match role {
                    Role::Host => "host",
                    Role::Router { forward: true } => "router",
                    Role::Router { forward: false } => "router that does not forward,",
                };
                write!(f, "{what} {node}: network and mount namespace")
            }
            Step::Wire { between: [a, b], hairpin, .. } => {
                write!(f, "wire {a} - {b}{}", if *hairpin { ", hairpin" } else { "" })
            }
            Step::Configure { node } => write!(f, "{node}: settings, addresses, routes"),
            Step::Complete => f.write_str("wait for the wires, note that the lab is complete"),
        }
    }
}
