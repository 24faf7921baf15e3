//! What the client and its owner say to each other.

use std::net::Ipv6Addr;

use super::{Held, Lease};
use crate::v4::Probe;
use crate::wire::v6::{Message, Status};

/// What the client is told once.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who we are, for all our interfaces.
    pub duid: Vec<u8>,
    /// Which interface of ours.
    pub iaid: u32,
    /// Let the server grant at once.
    pub rapid_commit: bool,
    /// Duplicate detection before an address is used.
    pub probe: Option<Probe>,
}

/// What the owner has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send to all servers of the link.
    Send(Message),
    /// Send a neighbour solicitation for this address from no address (RFC 4862, 5.4).
    Probe(Ipv6Addr),
    /// A lease was granted or extended. Make it durable, then put it on the link.
    Granted(Held),
    /// These addresses must leave the link now.
    Lost {
        /// What was lost.
        lease: Lease,
        /// Why, for the log.
        why: &'static str,
    },
    /// The server knows that we are done, or never answered.
    Released,
}

/// The client's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Phase {
    Init,
    Soliciting,
    Requesting,
    Confirming,
    Probing,
    Bound,
    Renewing,
    Rebinding,
    Declining,
    Releasing,
    Stopped,
}

/// What was seen, for the message that says why there is no address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Solicits sent.
    pub solicits: u32,
    /// Advertises that could be used.
    pub advertises: u32,
    /// Requests sent.
    pub requests: u32,
    /// Conflicts found, each declined.
    pub conflicts: u32,
    /// Packets that were not for us, or not DHCPv6.
    pub ignored: u32,
    /// The last status other than success.
    pub status: Option<Status>,
}
