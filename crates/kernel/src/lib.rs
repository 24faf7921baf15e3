//! What the Linux kernel knows about a network, read and changed over netlink; ARP and NDP frames.
//!
//! [`Netlink`] is a blocking `NETLINK_ROUTE` socket bound to one namespace. A [`Change`] is one thing asked of the
//! kernel; reading gives [`Link`], [`Address`], [`Route`], [`Rule`], [`Neighbour`], [`Qdisc`] and [`Filter`].
//! [`NetNs`] opens, makes and enters namespaces. [`PacketSocket`] sends and receives whole Ethernet frames.
//!
//! The codec is our own because the plugin must be small and fast; netlink-packet-route is its oracle in the tests.

mod address;
pub mod arp;
mod bond;
mod bpf;
mod bridge;
mod change;
mod error;
mod filter;
mod forwarding;
mod frame;
mod kind;
mod link;
mod link_wire;
mod mac;
mod macvlan;
pub mod message;
mod monitor;
pub mod ndp;
mod neighbour;
mod netlink;
#[cfg(test)]
mod netlink_tests;
mod netns;
mod nsid;
mod packet;
mod peer;
mod qdisc;
mod query;
mod route;
mod route_wire;
mod rule;
mod set_link;
mod settings;
mod sys;
pub mod sysctl;
mod tc_wire;
pub mod uapi;
mod wire;

pub use address::Address;
pub use bond::{Bond, BondPort, BondValue, BondWidth};
pub use bpf::BpfInsn;
pub use bridge::BridgePort;
pub use change::Change;
pub use error::{Error, Result};
pub use filter::Filter;
pub use forwarding::Forwarding;
pub use frame::FrameError;
pub use kind::{LinkKind, NewLinkKind, VethPeer, Vlan, VlanProtocol, Vxlan};
pub use link::{Link, NewLink, OperState};
pub use mac::{MacAddr, ParseMacError};
pub use macvlan::{Macvlan, MacvlanMode, MacvlanSet, ParseModeError, SourceMacs};
pub use message::Message;
pub use monitor::{Groups, Heard, Monitor};
pub use neighbour::Neighbour;
pub use netlink::Netlink;
pub use netns::NetNs;
pub use packet::PacketSocket;
pub use peer::peer_uid;
pub use qdisc::{Qdisc, QdiscKind, Tbf};
pub use route::{Family, NextHop, Route, RouteFilter};
pub use rule::Rule;
pub use rustix::io::Errno;
pub use set_link::SetLink;
pub use settings::Settings;
