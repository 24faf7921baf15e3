//! What the client and its owner say to each other.

use std::net::Ipv4Addr;

use super::{Held, Lease};
use crate::clock::Millis;
use crate::wire::v4::Message;

/// What the client is told once.
#[derive(Debug, Clone)]
pub struct Config {
    /// The link's Ethernet address.
    pub mac: [u8; 6],
    /// Options sent with every message but DECLINE and RELEASE, which carry the client identifier only.
    pub options: Vec<(u8, Vec<u8>)>,
    /// Parameter request list.
    pub parameters: Vec<u8>,
    /// When to send again.
    pub retransmission: Retransmission,
    /// Conflict detection before an address is used; nothing turns it off.
    pub probe: Option<Probe>,
}

/// When an unanswered message is sent again: first wait, doubled up to `max`, each a quarter (at most a second) more
/// or less.
#[derive(Debug, Clone, Copy)]
pub struct Retransmission {
    /// Wait after the first message.
    pub first: Millis,
    /// Longest wait.
    pub max: Millis,
}

/// ARP probes for an address that was granted, before it is used.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// How many.
    pub count: u32,
    /// Time between two, and after the last.
    pub interval: Millis,
}

/// What the owner has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send a message from `from` (unspecified: no address yet) to `to`; nothing is broadcast.
    Send {
        /// The message.
        message: Message,
        /// IPv4 source.
        from: Ipv4Addr,
        /// IPv4 destination.
        to: Option<Ipv4Addr>,
    },
    /// Send an ARP probe for this address.
    Probe(Ipv4Addr),
    /// A lease was granted or extended and may be used. Make it durable, then put it on the link.
    Granted(Held),
    /// The address must leave the link now.
    Lost {
        /// What was lost.
        lease: Lease,
        /// Why, for the log.
        why: &'static str,
    },
}

/// The client's state by RFC 2131's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Phase {
    Init,
    Selecting,
    Requesting,
    Rebooting,
    Probing,
    Bound,
    Renewing,
    Rebinding,
    Stopped,
}

/// What was seen, for the message that says why there is no address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// DISCOVERs sent.
    pub discovers: u32,
    /// REQUESTs sent.
    pub requests: u32,
    /// Offers that could be used.
    pub offers: u32,
    /// Offers without usable address, mask or server.
    pub bad_offers: u32,
    /// NAKs.
    pub naks: u32,
    /// Conflicts found, each declined.
    pub conflicts: u32,
    /// Packets that were not for us, or not DHCP.
    pub ignored: u32,
}
