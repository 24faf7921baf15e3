//! Interfaces of containers on links that a plan takes away: no roll back makes those again, they are another namespace's.

use serde::Serialize;
use topology::{LinkId, Topology, visible};

use crate::{Error, Plan, Result, Step};

/// An interface in another namespace that a plan would break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// The link of this namespace that the plan takes away, or makes a port.
    pub link: String,
    /// The interface's name where it is.
    pub interface: String,
    /// Whose it is.
    pub owner: String,
}

impl Plan {
    /// Whether the plan takes a link away, or makes one a port: only then [`Plan::carried`] can find anything.
    pub fn uproots(&self) -> bool {
        self.steps.iter().any(|step| uprooted(step).is_some())
    }

    /// What the containers of this host would lose by it.
    ///
    /// # Errors
    /// When the host's namespaces cannot be read.
    pub fn carried_here(&self) -> Result<Vec<Carried>> {
        // Reading every namespace is worth it only then.
        if self.uproots() { Ok(self.carried(&Topology::read()?)) } else { Ok(Vec::new()) }
    }

    /// What other namespaces have on the links that the plan takes away or makes ports.
    pub fn carried(&self, topology: &Topology) -> Vec<Carried> {
        let mut carried = Vec::new();
        let Some(here) = topology.namespaces.iter().find(|namespace| namespace.is_current) else {
            return carried;
        };
        for link in self.steps.iter().filter_map(uprooted) {
            // A link that the plan itself makes is not there yet.
            let Some(node) = topology.find(here.id, link) else { continue };
            on(topology, node.id, link, &mut carried);
        }
        carried.dedup();
        carried
    }
}

/// What hangs on a link in other namespaces, at any depth; what is in its own is in the plan itself.
fn on(topology: &Topology, parent: LinkId, link: &str, carried: &mut Vec<Carried>) {
    for child in topology.children_of(parent).filter(|child| child.id.namespace != parent.namespace) {
        carried.push(Carried {
            link: link.to_owned(),
            interface: visible(&child.link.name).into_owned(),
            owner: topology.owner_of(child).to_string(),
        });
        on(topology, child.id, link, carried);
    }
}

/// The link that a step takes from under its children. A port carries no macvlan: the kernel refuses to enslave one that does.
fn uprooted(step: &Step) -> Option<&str> {
    match step {
        Step::DeleteLink { name } => Some(name),
        Step::ChangeLink { name, change } if matches!(change.controller, Some(Some(_))) => Some(name),
        _ => None,
    }
}

/// Refuses to break containers.
///
/// # Errors
/// [`Error::Carries`] with the first of them.
pub fn refuse(carried: &[Carried]) -> Result<()> {
    match carried.first() {
        None => Ok(()),
        Some(first) => Err(Error::Carries {
            link: first.link.clone(),
            interface: first.interface.clone(),
            owner: first.owner.clone(),
            others: carried.len() - 1,
        }),
    }
}
