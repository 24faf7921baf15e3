//! Changes of a link that exists.

use crate::{Bond, MacAddr, MacvlanSet, NetNs};

/// What to change of a link. Only what is `Some` is sent; the kernel applies all of it or stops at the first error,
/// keeping what it did before.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SetLink {
    /// A new name; most kernels refuse it while the link is up.
    pub name: Option<String>,
    /// Up or down.
    pub up: Option<bool>,
    /// The MTU.
    pub mtu: Option<u32>,
    /// The MAC.
    pub mac: Option<MacAddr>,
    /// Move it to this namespace.
    pub netns: Option<NetNs>,
    /// The group.
    pub group: Option<u32>,
    /// Length of the transmit queue in packets.
    pub tx_queue_len: Option<u32>,
    /// Promiscuous by a user's flag.
    pub promisc: Option<bool>,
    /// All multicast by a user's flag.
    pub allmulti: Option<bool>,
    /// `IFF_MULTICAST`: without it the interface joins no group by itself.
    pub multicast: Option<bool>,
    /// `Some(false)` sets `IFF_NOARP`.
    pub arp: Option<bool>,
    /// The alias, at most 255 bytes; empty removes it.
    pub alias: Option<String>,
    /// `IFLA_INET6_ADDR_GEN_MODE`: 0 eui64, 1 none, 2 stable secret, 3 random. It is set before everything else, by a
    /// message of its own, so that it holds when the link comes up.
    pub addr_gen_mode: Option<u8>,
    /// The index of the bridge or bond to become a port of; 0 leaves it.
    pub master: Option<u32>,
    /// Parameters of a macvlan.
    pub macvlan: Option<MacvlanSet>,
    /// Options of a bond, those that are in it; not together with `macvlan`.
    pub bond: Option<Bond>,
    /// `VLAN_FLAG_*` of a VLAN and which bits count; not together with `macvlan` and `bond`.
    pub vlan_flags: Option<(u32, u32)>,
}

impl SetLink {
    /// Up and nothing else.
    pub fn up() -> Self {
        Self { up: Some(true), ..Self::default() }
    }

    /// Down and nothing else.
    pub fn down() -> Self {
        Self { up: Some(false), ..Self::default() }
    }
}
