//! MacvlanNetworks as they are on this node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use api::kinds::Network;

use super::ClaimError;
use super::view::{Look, State, View};

/// A network as it is on this node.
#[derive(Debug, Clone, PartialEq)]
pub struct OnNode {
    /// The network.
    pub network: Arc<Network>,
    /// Its parent here; of a VLAN what carries it.
    pub parent: String,
}

impl View {
    /// A network that was made a moment ago may have yet to come.
    pub(super) fn on_node(
        &self,
        node: &str,
        network: &str,
        until: Instant,
    ) -> Result<Option<OnNode>, ClaimError> {
        let mut why = ClaimError::NoNetwork(network.to_owned());
        let found = self.look(|state| match state.on_node(node, network) {
            Ok(found) => Look::Is(found),
            Err(error) => {
                why = error;
                Look::Wait(until)
            }
        });
        found.ok_or(why)
    }
}

impl State {
    fn on_node(&self, node: &str, network: &str) -> Result<Option<OnNode>, ClaimError> {
        if self.subnets.is_empty() {
            return Ok(None);
        }
        let found = self.networks.get(network).ok_or_else(|| ClaimError::NoNetwork(network.to_owned()))?;
        let labels = self.node.clone().unwrap_or_default();
        match found.parent_on(&labels) {
            Some(parent) => {
                Ok(Some(OnNode { network: Arc::clone(found), parent: parent.as_str().to_owned() }))
            }
            None => Err(ClaimError::NotOnNode {
                network: network.to_owned(),
                node: node.to_owned(),
                labels: texts(&labels),
            }),
        }
    }

    /// Without subnets nobody gets an interface by any network.
    pub(super) fn vlans(&self) -> Option<BTreeSet<(String, u16)>> {
        if self.subnets_listed && self.subnets.is_empty() {
            return Some(BTreeSet::new());
        }
        let labels = self.node.as_ref().filter(|_| self.networks_listed)?;
        let vlan =
            |network: &Arc<Network>| Some((network.parent_on(labels)?.as_str().to_owned(), network.vlan?));
        Some(self.networks.values().filter_map(vlan).collect())
    }
}

fn texts(labels: &api::addresses::Labels) -> String {
    if labels.is_empty() {
        return "none".to_owned();
    }
    let texts: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    texts.join(", ")
}
