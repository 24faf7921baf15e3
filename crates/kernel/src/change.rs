//! The changes that can be asked of the kernel.

use crate::{Address, BridgePort, Filter, Neighbour, NewLink, Qdisc, Route, Rule, SetLink};

/// One change, one netlink message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)] // Short-lived, a handful at a time: a box would cost more than it saves.
pub enum Change {
    /// Make a link; EEXIST when the name is taken.
    AddLink(NewLink),
    /// Change a link.
    SetLink {
        /// Which.
        index: u32,
        /// What.
        set: SetLink,
    },
    /// Delete a link.
    DeleteLink {
        /// Which.
        index: u32,
    },
    /// Delete a link by its name.
    DeleteLinkByName(String),
    /// Delete every link of a group in the socket's namespace, at the price of one; ENODEV when there is none.
    /// Group 0 is refused, it holds every link that was not given another.
    DeleteGroup(u32),
    /// Add an address; EEXIST when the interface has it.
    AddAddress(Address),
    /// Add an address or change flags and lifetimes of the one that is there.
    ReplaceAddress(Address),
    /// Delete an address; EADDRNOTAVAIL when the interface does not have it.
    DeleteAddress(Address),
    /// Add a route; EEXIST when one to the same destination with the same metric is there. Several default routes
    /// of IPv6 with one metric, which the kernel joins to one multipath route, are refused for the same reason.
    AddRoute(Route),
    /// Add a route as the reference plugins do, without asking whether one to the same destination is there: IPv6
    /// routes of one metric join to a multipath route, IPv4 routes must differ in next hop (EEXIST otherwise).
    AppendRoute(Route),
    /// Add a route or replace the first to the same destination with the same metric.
    ReplaceRoute(Route),
    /// Delete the first route that matches; ESRCH when none does.
    DeleteRoute(Route),
    /// Add a rule; EEXIST when the same is there.
    AddRule(Rule),
    /// Delete the first rule that matches; ENOENT when none does.
    DeleteRule(Rule),
    /// Add a neighbour or change the one that is there.
    SetNeighbour(Neighbour),
    /// Delete a neighbour; ENOENT when there is none.
    DeleteNeighbour(Neighbour),
    /// Add a queueing discipline; EEXIST when one with this handle is there.
    AddQdisc(Qdisc),
    /// Add a queueing discipline or replace the one that is there.
    ReplaceQdisc(Qdisc),
    /// Delete a queueing discipline; ENOENT or EINVAL when it is not there.
    DeleteQdisc(Qdisc),
    /// Add a filter.
    AddFilter(Filter),
    /// Delete a filter.
    DeleteFilter(Filter),
    /// Change a bridge port's settings.
    SetBridgePort {
        /// The port's link.
        index: u32,
        /// What to change.
        port: BridgePort,
    },
}
