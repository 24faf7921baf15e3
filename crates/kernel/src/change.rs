//! The changes that can be asked of the kernel.

use crate::link_wire;
use crate::uapi::*;
use crate::wire::Writer;
use crate::{Address, BridgePort, Filter, Neighbour, NewLink, Qdisc, Result, Route, Rule, SetLink};

/// One change: one netlink message, in two cases two.
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
    /// Add a route as the reference plugins do, also when one to the same destination with the same metric is there:
    /// an IPv6 route joins it to one multipath route, an IPv4 route of another next hop goes before it. EEXIST when
    /// the next hop is the same too.
    AddRouteBeside(Route),
    /// Add a route after those to the same destination with the same metric; one of IPv6 through a gateway is joined to them.
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

impl Change {
    /// Writes the message, or the two of a new link with an alias and of a link's mode with other changes.
    pub(crate) fn encode(&self, w: &mut Writer) -> Result<()> {
        const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;
        const SET: u16 = NLM_F_CREATE | NLM_F_REPLACE;
        match self {
            Self::AddLink(link) => link.encode(w),
            Self::SetLink { index, set } => set.encode(*index, w),
            Self::DeleteLink { index } => link_wire::encode_delete(w, *index),
            Self::DeleteLinkByName(name) => link_wire::encode_delete_name(w, name),
            Self::DeleteGroup(group) => link_wire::encode_delete_group(w, *group),
            Self::AddAddress(address) => address.encode(RTM_NEWADDR, NEW, w),
            Self::ReplaceAddress(address) => address.encode(RTM_NEWADDR, SET, w),
            Self::DeleteAddress(address) => address.encode(RTM_DELADDR, 0, w),
            Self::AddRoute(route) => route.encode_new(NEW, w),
            Self::AddRouteBeside(route) => route.encode_new(NLM_F_CREATE, w),
            Self::AppendRoute(route) => route.encode_new(NLM_F_CREATE | NLM_F_APPEND, w),
            Self::ReplaceRoute(route) => route.encode_new(SET, w),
            Self::DeleteRoute(route) => route.encode_delete(w),
            Self::AddRule(rule) => rule.encode(RTM_NEWRULE, NEW, w),
            Self::DeleteRule(rule) => rule.encode(RTM_DELRULE, 0, w),
            Self::SetNeighbour(neighbour) => neighbour.encode(RTM_NEWNEIGH, SET, w),
            Self::DeleteNeighbour(neighbour) => neighbour.encode(RTM_DELNEIGH, 0, w),
            Self::AddQdisc(qdisc) => qdisc.encode(RTM_NEWQDISC, NEW, w),
            Self::ReplaceQdisc(qdisc) => qdisc.encode(RTM_NEWQDISC, SET, w),
            Self::DeleteQdisc(qdisc) => qdisc.encode(RTM_DELQDISC, 0, w),
            Self::AddFilter(filter) => filter.encode(RTM_NEWTFILTER, NEW, w),
            Self::DeleteFilter(filter) => filter.encode(RTM_DELTFILTER, 0, w),
            Self::SetBridgePort { index, port } => port.encode(*index, w),
        }
    }

    /// The verb for an error.
    pub(crate) fn op(&self) -> &'static str {
        match self {
            Self::AddLink(_) => "add link",
            Self::SetLink { .. } => "change link",
            Self::DeleteLink { .. } | Self::DeleteLinkByName(_) => "delete link",
            Self::DeleteGroup(_) => "delete link group",
            Self::AddAddress(_) => "add address",
            Self::ReplaceAddress(_) => "set address",
            Self::DeleteAddress(_) => "delete address",
            Self::AddRoute(_) | Self::AddRouteBeside(_) | Self::AppendRoute(_) => "add route",
            Self::ReplaceRoute(_) => "set route",
            Self::DeleteRoute(_) => "delete route",
            Self::AddRule(_) => "add rule",
            Self::DeleteRule(_) => "delete rule",
            Self::SetNeighbour(_) => "set neighbour",
            Self::DeleteNeighbour(_) => "delete neighbour",
            Self::AddQdisc(_) => "add qdisc",
            Self::ReplaceQdisc(_) => "set qdisc",
            Self::DeleteQdisc(_) => "delete qdisc",
            Self::AddFilter(_) => "add filter",
            Self::DeleteFilter(_) => "delete filter",
            Self::SetBridgePort { .. } => "change bridge port",
        }
    }

    /// The object for an error.
    pub(crate) fn object(&self) -> String {
        match self {
            Self::AddLink(link) => {
                let kind = link.kind.name().unwrap_or("physical");
                let mut text = [link.name.as_str(), " of kind ", kind].concat();
                if let Some(parent) = link.parent {
                    text.push_str(&format!(" on interface {parent}"));
                }
                text
            }
            Self::DeleteLinkByName(name) => name.clone(),
            Self::SetLink { index, .. } | Self::DeleteLink { index } | Self::SetBridgePort { index, .. } => {
                index.to_string()
            }
            Self::DeleteGroup(group) => group.to_string(),
            Self::AddAddress(a) | Self::ReplaceAddress(a) | Self::DeleteAddress(a) => {
                format!("{} on interface {}", a.net, a.index)
            }
            Self::AddRoute(route)
            | Self::AddRouteBeside(route)
            | Self::AppendRoute(route)
            | Self::ReplaceRoute(route)
            | Self::DeleteRoute(route) => route.to_string(),
            Self::AddRule(rule) | Self::DeleteRule(rule) => match rule.src {
                Some(src) => format!("from {src} to table {}", rule.table),
                None => format!("to table {}", rule.table),
            },
            Self::SetNeighbour(n) | Self::DeleteNeighbour(n) => {
                format!("{} on interface {}", n.address, n.index)
            }
            Self::AddQdisc(q) | Self::ReplaceQdisc(q) | Self::DeleteQdisc(q) => {
                format!("{} on interface {}", q.kind.name(), q.index)
            }
            Self::AddFilter(f) | Self::DeleteFilter(f) => format!("on interface {}", f.index),
        }
    }
}
