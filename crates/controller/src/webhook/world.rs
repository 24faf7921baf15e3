//! What exists, as far as a decision needs it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::addresses::Family;
use api::kinds::{ClaimKeeper, HoldReason, Network, Reservation, Subnet};
use api::{Mac, Nad, NetworkRef, PluginConfig, Role};

/// The objects of the cluster. What the watches have not shown yet is as good as not there; a decision must hold then too.
pub trait World {
    /// Whether every watch has been listed once. Before, nothing can be said.
    fn is_known(&self) -> bool;
    /// The network of this name.
    fn network(&self, name: &str) -> Option<&Network>;
    /// All networks.
    fn networks(&self) -> Box<dyn Iterator<Item = &Network> + '_>;
    /// The subnet of this name.
    fn subnet(&self, name: &str) -> Option<&Subnet>;
    /// All subnets.
    fn subnets(&self) -> Box<dyn Iterator<Item = &Subnet> + '_>;
    /// The reservation of this namespace and name.
    fn reservation(&self, namespace: &str, name: &str) -> Option<&Reservation>;
    /// All reservations.
    fn reservations(&self) -> Box<dyn Iterator<Item = &Reservation> + '_>;
    /// The claims of a network, by address.
    fn claims(&self, network: &str) -> Box<dyn Iterator<Item = Taken> + '_>;
    /// The labels of a namespace.
    fn namespace(&self, name: &str) -> Option<&BTreeMap<String, String>>;
    /// A NetworkAttachmentDefinition that can be read.
    fn attachment(&self, definition: &NetworkRef) -> Option<Attachment>;
    /// What pods get without asking; none where that is not known.
    fn cluster_networks(&self) -> Option<ClusterNetworks>;
}

/// A claim, as far as it counts here.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// The address.
    pub address: IpAddr,
    /// The subnet's name.
    pub subnet: String,
    /// Its MAC.
    pub mac: Option<Mac>,
    /// The pod that has it or had it last; empty for nobody.
    pub pod: String,
    /// The pod's namespace; empty for nobody.
    pub namespace: String,
    /// What it is kept for.
    pub kept_for: Option<ClaimKeeper>,
    /// Why no pod has it; none when one has.
    pub hold: Option<HoldReason>,
}

impl Taken {
    /// Whether the address would be missed: what only rests or is in quarantine would not.
    pub(super) fn is_wanted(&self) -> bool {
        !matches!(self.hold, Some(HoldReason::ReuseDelay | HoldReason::Quarantine))
    }

    /// Whose it is, for who may know.
    pub(super) fn holder(&self) -> String {
        match (&self.hold, &self.kept_for) {
            (None, _) => format!("{} (pod {}/{})", self.address, self.namespace, self.pod),
            (Some(_), Some(kept)) => {
                format!("{} (kept for {:?} {}/{})", self.address, kept.kind, kept.namespace, kept.name)
            }
            (Some(reason), None) => format!("{} ({reason:?})", self.address),
        }
    }

    pub(super) fn family(&self) -> Family {
        Family::of(self.address)
    }
}

/// What a NetworkAttachmentDefinition means for a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachment {
    /// Its role, from its label.
    pub role: Option<Role>,
    /// Whether standalone networks can be beside it when it is a pod's first.
    pub is_standalone: bool,
    /// The MacvlanNetwork that its addresses are of, if they are.
    pub network: Option<String>,
}

impl Attachment {
    /// Of a definition.
    pub fn of(nad: &Nad) -> Attachment {
        let plugin = nad.config.as_ref().and_then(|config| config.plugins().first());
        Attachment {
            role: nad.role,
            is_standalone: nad
                .config
                .as_ref()
                .map_or(nad.role == Some(Role::Standalone), |config| api::is_standalone(nad.role, config)),
            network: plugin.and_then(network_of),
        }
    }
}

/// `{"ipam": {"type": "llano", "network": "lan"}}`.
fn network_of(plugin: &PluginConfig) -> Option<String> {
    if plugin.ipam() != Some("llano") {
        return None;
    }
    let ipam = plugin.root().get("ipam")?;
    let network = ipam.object().ok()?.text("network").ok()??;
    Some(network.to_owned())
}

/// What pods get without asking, as agents have it in their configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodNetworks {
    /// The definition that `clusterNetwork` names; none where the first network is the primary plugin's.
    pub first: Option<NetworkRef>,
    /// `defaultNetworks`, in their order.
    pub beside: Vec<NetworkRef>,
    /// `systemNamespaces`, whose pods do not get those.
    pub system_namespaces: Vec<String>,
}

/// The same with what the definitions mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterNetworks {
    /// The name of `clusterNetwork`, for messages.
    pub name: String,
    /// What it means.
    pub first: Attachment,
    /// `defaultNetworks`, in their order: the interfaces after the first.
    pub beside: Vec<Attachment>,
    /// `systemNamespaces`, whose pods do not get those.
    pub system_namespaces: Vec<String>,
}
