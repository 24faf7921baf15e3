//! Why an interface has no address of the cluster.

use std::fmt;
use std::net::IpAddr;

use api::Event;
use claims::Numbers;
use claims::plan::Waiting;

/// Why an interface has no address. All but a request that cannot be granted may pass: the runtime tries again.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClaimError {
    /// Addresses of the cluster are for pods of a cluster.
    #[error(
        "ipam llano gives addresses to pods of a cluster; this container is none, or this agent has no API server"
    )]
    NoPod,
    /// The watches have not had their first lists.
    #[error("the API server has not listed {0} yet")]
    NotListed(&'static str),
    /// What the pod asks for cannot be read, or leads to no subnet.
    #[error("{0}")]
    Asked(String, Box<Event>, cni::Error),
    /// The pod names a reservation that does not exist.
    #[error("there is no MacvlanReservation {name} in namespace {namespace}")]
    NoReservation {
        /// The pod's namespace.
        namespace: String,
        /// The name asked for.
        name: String,
    },
    /// The pod names a reservation of another workload.
    #[error(
        "MacvlanReservation {name} in namespace {namespace} is not for this pod: its spec.workload or spec.podSelector names others"
    )]
    OthersReservation {
        /// The pod's namespace.
        namespace: String,
        /// The name asked for.
        name: String,
    },
    /// None of the listed addresses can be given.
    #[error("{}: no subnet of network {network} gives {}; allowed are addresses in a MacvlanSubnet's spec.ranges and not in spec.exclude", list(.asked), if .asked.len() == 1 { "it" } else { "them" })]
    NotUsable {
        /// The network.
        network: String,
        /// Some of the addresses asked for.
        asked: Vec<IpAddr>,
    },
    /// Several MACs without addresses: nothing says which pod has which.
    #[error(
        "{0} MAC addresses without addresses to go with them: nothing says which pod has which; allowed is one, or as many as there are addresses in ips; a MacvlanReservation keeps pairs for a workload"
    )]
    MacsAlone(usize),
    /// Every address is taken.
    #[error("no free address in {}{holders}; llano subnet show {} says who has them", list_subnets(.subnets), .subnets.first().map_or("", |(name, _)| name.as_str()))]
    Exhausted {
        /// The subnets.
        subnets: Vec<(String, Numbers)>,
        /// Who has them, behind a semicolon; empty where nobody could say.
        holders: String,
    },
    /// The subnet gives nothing new, and nothing of it is kept for this pod.
    #[error("subnet {subnet} {why} and gives no new addresses; allowed are other subnets of its network")]
    Closed {
        /// The subnet's name.
        subnet: String,
        /// Why.
        why: &'static str,
    },
    /// Others have what this pod is to get.
    #[error(transparent)]
    Waited(Waiting),
    /// The API server does not let the agent write it.
    #[error("claim {name}: the API server refuses it: {reason}")]
    Refused {
        /// The claim's name.
        name: String,
        /// The API server's words.
        reason: String,
    },
    /// The API server does not answer.
    #[error("claim {name}: {reason}")]
    Unreachable {
        /// The claim's name.
        name: String,
        /// Why.
        reason: String,
    },
    /// One address after another was somebody else's first.
    #[error("no address of network {0} was won in time; other nodes were faster each time")]
    Slow(String),
    /// The MacvlanNetwork does not exist.
    #[error(
        "there is no MacvlanNetwork {0}; create it, or correct ipam.network of the NetworkAttachmentDefinition (kubectl get mvn)"
    )]
    NoNetwork(String),
    /// The MacvlanNetwork has no parent on this node.
    #[error(
        "MacvlanNetwork {network} is not on node {node}: no spec.parents[].nodeSelector matches its labels; label the node, or add an \
         entry for it to spec.parents ({{}} as nodeSelector is every node); its labels: {labels}"
    )]
    NotOnNode {
        /// The network.
        network: String,
        /// The node.
        node: String,
        /// Its labels, `key=value`.
        labels: String,
    },
    /// The network's VLAN cannot be had on this node.
    #[error("MacvlanNetwork {network}: {why}")]
    NoVlan {
        /// The network.
        network: String,
        /// Why.
        why: String,
    },
    /// Creates of this node were not answered in time, and more were not sent.
    #[error("network {0}: the API server has not answered in time what this node asked before")]
    Queued(String),
    /// No random bytes for a MAC.
    #[error("{0}")]
    NoMac(String),
}

impl From<api::Error> for ClaimError {
    fn from(error: api::Error) -> ClaimError {
        ClaimError::Asked(error.to_string(), Box::new(error.event()), error.to_cni())
    }
}

impl ClaimError {
    /// The error the runtime sees.
    pub fn to_cni(&self) -> cni::Error {
        match self {
            ClaimError::Asked(_, _, error) => error.clone(),
            ClaimError::NotUsable { .. } | ClaimError::MacsAlone(_) | ClaimError::NoPod => {
                cni::Error::invalid_config(self.to_string())
            }
            _ => cni::Error::try_again(self.to_string()),
        }
    }

    /// What the pod's owner reads.
    pub fn event(&self) -> Event {
        let reason = match self {
            ClaimError::Asked(_, event, _) => return Event::clone(event),
            ClaimError::Exhausted { .. } => api::event::ADDRESSES_EXHAUSTED,
            ClaimError::Waited(_) | ClaimError::Slow(_) => api::event::ADDRESS_WAITS,
            ClaimError::NotListed(_) | ClaimError::Queued(_) | ClaimError::Unreachable { .. } => {
                api::event::UNAVAILABLE
            }
            ClaimError::NoNetwork(_) => api::event::INVALID_NETWORK,
            ClaimError::NotOnNode { .. } | ClaimError::NoVlan { .. } => api::event::NETWORK_REFUSED,
            _ => api::event::ADDRESS_REFUSED,
        };
        Event::warning(reason, self.to_string())
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    texts.join(", ")
}

fn list_subnets(subnets: &[(String, Numbers)]) -> impl fmt::Display {
    let texts: Vec<String> =
        subnets.iter().map(|(name, numbers)| format!("subnet {name} ({numbers})")).collect();
    texts.join(", ")
}
