//! The network of one namespace, by names.

use std::collections::BTreeMap;

use kernel::{Address, MacAddr, Macvlan, Neighbour, Rule, Vlan, Vxlan};
use serde::{Deserialize, Serialize};

/// What one namespace has. Interfaces are named, never numbered: an index changes when a link is made again.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Network {
    /// Links by name.
    pub links: BTreeMap<String, Link>,
    /// Routes of all tables but the kernel's own of table local, in the kernel's order.
    pub routes: Vec<Route>,
    /// Rules of both families, in the kernel's order.
    pub rules: Vec<Rule>,
}

/// One link with what is on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Its kind and the parameters of that.
    pub kind: Kind,
    /// The parent (`IFLA_LINK`), when it is in this namespace.
    pub parent: Option<String>,
    /// The bond or bridge that it is a port of (`IFLA_MASTER`).
    pub controller: Option<String>,
    /// Its MAC, `None` for kinds without.
    pub mac: Option<MacAddr>,
    /// The MAC that the hardware came with, where the driver tells.
    pub permanent_mac: Option<MacAddr>,
    /// Bytes.
    pub mtu: u32,
    /// Whether it is set up, which does not say that a cable is in.
    pub up: bool,
    /// Promiscuous by a user's flag, not because something else needs it.
    pub promiscuous: bool,
    /// All multicast by a user's flag.
    pub all_multicast: bool,
    /// Whether it speaks ARP.
    pub arp: bool,
    /// Packets.
    pub tx_queue_len: u32,
    /// Free text.
    #[serde(default)]
    pub alias: Option<String>,
    /// `net.ipv6.conf.IF.disable_ipv6`.
    #[serde(default)]
    pub ipv6_disabled: bool,
    /// Settings below `/proc/sys/net`, as `ipv4/rp_filter` → `1`. Of a wanted link those that are to be set.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// `IFLA_INET6_ADDR_GEN_MODE`.
    pub addr_gen_mode: Option<u8>,
    /// In the kernel's order: it decides which is primary and which source a connection gets. The index is 0.
    pub addresses: Vec<Address>,
    /// Permanent ones only. The index is 0.
    pub neighbours: Vec<Neighbour>,
}

/// The kind of a link, with the parameters that are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Hardware, virtio.
    Physical,
    /// `lo`.
    Loopback,
    /// A bond.
    Bond(Box<Bond>),
    /// A VLAN of its parent.
    Vlan(Vlan),
    /// A macvlan of its parent.
    Macvlan(Macvlan),
    /// A macvtap of its parent.
    Macvtap(Macvlan),
    /// A VXLAN.
    Vxlan(Vxlan),
    /// A veth; its peer may be in another namespace.
    Veth,
    /// A bridge.
    Bridge,
    /// A dummy.
    Dummy,
    /// Any other kind by the kernel's name.
    Other(String),
}

/// A bond's parameters by names.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Bond {
    /// The mode and all options but the primary.
    pub options: kernel::Bond,
    /// The port that is used while it is up.
    pub primary: Option<String>,
}

/// A route by names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The interface; `None` for a multipath, blackhole, unreachable or prohibit route.
    pub dev: Option<String>,
    /// Several ways.
    pub hops: Vec<Hop>,
    /// All else. Its `oif` is `None` and its `nexthops` are empty.
    pub route: kernel::Route,
}

/// One way of a multipath route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// The interface.
    pub dev: String,
    /// Gateway, weight and flags. Its `oif` is 0.
    pub hop: kernel::NextHop,
}

impl Kind {
    /// The kernel's word for it, `physical` and `loopback` for those without.
    pub fn name(&self) -> &str {
        match self {
            Self::Physical => "physical",
            Self::Loopback => "loopback",
            Self::Bond(_) => "bond",
            Self::Vlan(_) => "vlan",
            Self::Macvlan(_) => "macvlan",
            Self::Macvtap(_) => "macvtap",
            Self::Vxlan(_) => "vxlan",
            Self::Veth => "veth",
            Self::Bridge => "bridge",
            Self::Dummy => "dummy",
            Self::Other(name) => name,
        }
    }
}
