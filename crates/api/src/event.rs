//! Events on the pod.

use cni::CniResult;

use crate::IfName;

/// An interface was made.
pub const ADDED_INTERFACE: &str = "AddedInterface";
/// An interface was removed from a running pod.
pub const REMOVED_INTERFACE: &str = "RemovedInterface";
/// The definition does not exist.
pub const NO_NETWORK_FOUND: &str = "NoNetworkFound";
/// An annotation cannot be read.
pub const INVALID_ANNOTATION: &str = "InvalidNetworkAnnotation";
/// A definition or configuration has no use.
pub const INVALID_NETWORK: &str = "InvalidNetwork";
/// A request that will not be granted.
pub const NETWORK_REFUSED: &str = "NetworkRefused";
/// No subnet has an address for the pod.
pub const NO_SUBNET: &str = "NoSubnet";
/// Every address of the subnets is taken.
pub const ADDRESSES_EXHAUSTED: &str = "AddressesExhausted";
/// The address that the pod is to get is still somebody's.
pub const ADDRESS_WAITS: &str = "WaitingForAddress";
/// An address that the pod will not get.
pub const ADDRESS_REFUSED: &str = "AddressRefused";
/// An interface was taken away: its address is not the pod's any more.
pub const ADDRESS_LOST: &str = "AddressLost";
/// Somebody else on the LAN uses an address that was to be given.
pub const ADDRESS_IN_USE: &str = "AddressInUse";
/// What a network needs cannot be asked for now.
pub const UNAVAILABLE: &str = "NetworkUnavailable";
/// Something in an annotation has no effect.
pub const IGNORED: &str = "NetworkAnnotationIgnored";

/// An event to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `Warning`, else `Normal`.
    pub warning: bool,
    /// One of this module's reasons.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

impl Event {
    /// Of type `Warning`.
    pub fn warning(reason: &'static str, message: String) -> Event {
        // The API server refuses messages of more than 1,024 bytes.
        let message = match (0..=1024).rev().find(|at| message.is_char_boundary(*at)) {
            Some(at) if message.len() > 1024 => message[..at].to_owned(),
            _ => message,
        };
        Event { warning: true, reason, message }
    }

    /// `Add net1 [10.1.1.11/24] from ns/name`; none for a plugin that answers with nothing, as in Multus.
    pub fn added(ifname: &IfName, result: &CniResult, network: &str) -> Option<Event> {
        if result.interfaces.is_empty() && result.ips.is_empty() {
            return None;
        }
        let addresses: Vec<String> = result.ips.iter().map(|ip| ip.address.to_string()).collect();
        let message = format!("Add {ifname} [{}] from {network}", addresses.join(" "));
        Some(Event { warning: false, reason: ADDED_INTERFACE, message })
    }

    /// `Remove net1 from ns/name`.
    pub fn removed(ifname: &IfName, network: &str) -> Event {
        let message = format!("Remove {ifname} from {network}");
        Event { warning: false, reason: REMOVED_INTERFACE, message }
    }

    /// `Normal` or `Warning`, as the API has it.
    pub fn kind(&self) -> &'static str {
        if self.warning { "Warning" } else { "Normal" }
    }
}
