//! Everything a pod's request can be refused for, each with the event and the CNI code that say so.

use std::net::IpAddr;

use crate::event::{self, Event};
use crate::{DEFAULT_NETWORK, IfName, NETWORKS, NetworkRef};

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a pod does not get what it asks for. The text is one sentence for the pod's owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An annotation as a whole.
    #[error("annotation {annotation}: {problem}")]
    Annotation {
        /// Its key.
        annotation: &'static str,
        /// What is wrong, and what is allowed.
        problem: String,
    },
    /// One key of an annotation; the path begins with the annotation's own key.
    #[error(transparent)]
    Key(cni::Error),
    /// The definition does not exist. Multus's words, which people search for.
    #[error(
        "cannot find a network-attachment-definition ({}) in namespace ({}): \
         network-attachment-definitions.k8s.cni.cncf.io {:?} not found",
        .0.name(), .0.namespace(), .0.name()
    )]
    NoNetwork(NetworkRef),
    /// The definition is there and has no use.
    #[error("network-attachment-definition {network}: {problem}")]
    Definition {
        /// Which one.
        network: NetworkRef,
        /// The key, its value and what is allowed.
        problem: String,
    },
    /// A configuration that is not a definition's: the cluster network's, a file's.
    #[error("network configuration {origin}: {problem}")]
    Configuration {
        /// The file, or the name it was looked for by.
        origin: String,
        /// The key, its value and what is allowed.
        problem: String,
    },
    /// The pod reaches into another namespace. Multus's words, and what to do.
    #[error(
        "namespace isolation enabled, annotation violates permission, pod is in namespace {pod} but refers to target \
         namespace {target} ({annotation}: {network}); the administrator can add {target} to globalNamespaces"
    )]
    Isolation {
        /// The pod's.
        pod: String,
        /// The network's.
        target: String,
        /// Where it is named.
        annotation: &'static str,
        /// The network.
        network: NetworkRef,
    },
    /// An overlay network as the pod's first.
    #[error(
        "network {network} is an overlay network (label llano.dev/role): it is an extra interface beside another network's \
         eth0 and cannot be the pod's first; ask for it in {NETWORKS}, or name a standalone network in {DEFAULT_NETWORK}"
    )]
    OverlayFirst {
        /// The network asked for.
        network: NetworkRef,
    },
    /// A standalone network beside an overlay network's `eth0`.
    #[error(
        "network {network} is a standalone network (label llano.dev/role) and cannot stand beside {first}, which has the \
         pod's eth0; write {DEFAULT_NETWORK}: {network} to make it eth0, or ask for an overlay network in {NETWORKS}"
    )]
    StandaloneBeside {
        /// The network asked for.
        network: NetworkRef,
        /// The pod's first network.
        first: String,
    },
    /// An overlay network beside a standalone one.
    #[error(
        "network {network} is an overlay network (label llano.dev/role) and cannot stand beside {first}, which is \
         standalone; ask for standalone networks only, or leave {DEFAULT_NETWORK} out"
    )]
    OverlayBeside {
        /// The network asked for.
        network: NetworkRef,
        /// The pod's first network.
        first: String,
    },
    /// An object of a kind of ours ([`crate::kinds`]).
    #[error("{kind} {name}: {path}: {problem}")]
    Object {
        /// Its kind.
        kind: &'static str,
        /// Its name, with its namespace where it has one.
        name: String,
        /// The field, such as `spec.ranges[3]`.
        path: String,
        /// Its value and what is allowed.
        problem: String,
    },
    /// Two attachments with one interface name.
    #[error("{first} and {second} would both be interface {ifname}; give each its own \"interface\"")]
    SameInterface {
        /// The name.
        ifname: IfName,
        /// The first, such as `networks[0]`.
        first: String,
        /// The second.
        second: String,
    },
    /// A request that no plugin of the network takes.
    #[error("{path}: network {network} cannot honour it: {why}")]
    NobodyHonours {
        /// The key with its path.
        path: String,
        /// The network.
        network: String,
        /// Who does not, and what would help.
        why: String,
    },
    /// A plugin took a request and did something else.
    #[error("{path}: network {network} did not give {wanted}, it gave {given}")]
    NotGiven {
        /// The key with its path.
        path: String,
        /// The network.
        network: String,
        /// The request.
        wanted: String,
        /// What the result has instead.
        given: String,
    },
    /// Default routes that cannot all be.
    #[error("Llano does not support ECMP for default-route: {problem}")]
    ManyDefaultRoutes {
        /// Which ones, and what is allowed.
        problem: String,
    },
    /// The gateway is not on the attachment's subnet.
    #[error("{path}: gateway {gateway} is in no subnet of interface {ifname} ({subnets})")]
    GatewayElsewhere {
        /// The key with its path.
        path: String,
        /// The gateway asked for.
        gateway: IpAddr,
        /// The interface.
        ifname: IfName,
        /// Its addresses.
        subnets: String,
    },
    /// More than may be.
    #[error("{what}: {count}, at most {most} are allowed")]
    TooMany {
        /// What there is too much of.
        what: String,
        /// How many.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// Two keys of a pod's annotations that cannot both be honoured.
    #[error("interface {interface}: {first} and {second} contradict each other: {problem}")]
    Contradiction {
        /// The interface that both speak of.
        interface: IfName,
        /// The one key with its path.
        first: String,
        /// The other.
        second: String,
        /// In which way, and what to do.
        problem: String,
    },
    /// No subnet for an interface.
    #[error("no subnet of network {network} for this pod: {why}")]
    NoSubnet {
        /// The MacvlanNetwork.
        network: String,
        /// What was considered, why it was not taken, and what to do.
        why: String,
    },
    /// What has to be asked elsewhere: the API server, kubelet.
    #[error("{what}: {problem}")]
    Unavailable {
        /// What was asked for.
        what: String,
        /// Why nobody could tell.
        problem: String,
    },
    /// What came from a record or a device file cannot be read.
    #[error("{what}: {problem}")]
    Unreadable {
        /// What was read.
        what: String,
        /// Why it cannot be.
        problem: String,
    },
}

impl Error {
    /// The event for the pod.
    pub fn event(&self) -> Event {
        let reason = match self {
            Error::NoNetwork(_) => event::NO_NETWORK_FOUND,
            Error::Annotation { .. }
            | Error::Key(_)
            | Error::SameInterface { .. }
            | Error::Contradiction { .. }
            | Error::TooMany { .. } => event::INVALID_ANNOTATION,
            Error::Definition { .. }
            | Error::Configuration { .. }
            | Error::Unreadable { .. }
            | Error::Object { .. } => event::INVALID_NETWORK,
            Error::Unavailable { .. } => event::UNAVAILABLE,
            Error::NoSubnet { .. } => event::NO_SUBNET,
            _ => event::NETWORK_REFUSED,
        };
        Event::warning(reason, self.to_string())
    }

    /// The error the runtime sees: 11 where a change of the cluster helps without one of the pod, else 7.
    pub fn to_cni(&self) -> cni::Error {
        match self {
            Error::Key(error) => error.clone(),
            Error::NoNetwork(_) | Error::Unavailable { .. } | Error::NoSubnet { .. } => {
                cni::Error::try_again(self.to_string())
            }
            _ => cni::Error::invalid_config(self.to_string()),
        }
    }
}

/// `text`, cut where it is long, for messages.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 120;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
