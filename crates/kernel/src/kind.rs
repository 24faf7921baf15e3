//! The kinds of links (`IFLA_INFO_KIND`) and their parameters.

use std::net::IpAddr;

use crate::{MacAddr, Macvlan, NetNs};

/// A link's kind, when read and when made.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LinkKind {
    /// `macvlan`, needs a parent.
    Macvlan(Macvlan),
    /// `macvtap`, needs a parent.
    Macvtap(Macvlan),
    /// `vlan`, needs a parent.
    Vlan(Vlan),
    /// `veth`; the peer is described only when made, reading gives an empty one ([`crate::Link::parent`] is its index).
    Veth(VethPeer),
    /// `bridge`.
    Bridge,
    /// `ifb`, to shape what arrives.
    Ifb,
    /// `dummy`.
    Dummy,
    /// `bond`.
    Bond(Bond),
    /// `vxlan`.
    Vxlan(Vxlan),
    /// Any other kind, by the kernel's name, without parameters.
    Other(String),
    /// No kind: hardware, virtio, loopback. Cannot be made.
    Physical,
}

/// The kind of a link to be made: the same words as for one that is read.
pub type NewLinkKind = LinkKind;

impl LinkKind {
    /// The kernel's word, `None` for [`LinkKind::Physical`].
    pub fn name(&self) -> Option<&str> {
        Some(match self {
            Self::Macvlan(_) => "macvlan",
            Self::Macvtap(_) => "macvtap",
            Self::Vlan(_) => "vlan",
            Self::Veth(_) => "veth",
            Self::Bridge => "bridge",
            Self::Ifb => "ifb",
            Self::Dummy => "dummy",
            Self::Bond(_) => "bond",
            Self::Vxlan(_) => "vxlan",
            Self::Other(name) => name,
            Self::Physical => return None,
        })
    }

    /// The parameters of a macvlan or macvtap.
    pub fn as_macvlan(&self) -> Option<&Macvlan> {
        match self {
            Self::Macvlan(m) | Self::Macvtap(m) => Some(m),
            _ => None,
        }
    }

    /// The parameters of a VLAN.
    pub fn as_vlan(&self) -> Option<Vlan> {
        match self {
            Self::Vlan(v) => Some(*v),
            _ => None,
        }
    }
}

/// A VLAN's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// 0 to 4094.
    pub id: u16,
    /// The tag's EtherType.
    pub protocol: VlanProtocol,
}

/// A VLAN tag's EtherType.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum VlanProtocol {
    /// 802.1Q, 0x8100.
    #[default]
    Ieee8021Q,
    /// 802.1ad (provider bridges), 0x88a8.
    Ieee8021Ad,
}

/// The other end of a veth pair to be made. What is `None` the kernel chooses.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct VethPeer {
    /// Its name.
    pub name: Option<String>,
    /// The namespace it is born in; the first end's when `None`.
    pub netns: Option<NetNs>,
    /// Its MAC.
    pub mac: Option<MacAddr>,
    /// Its MTU.
    pub mtu: Option<u32>,
}

/// A bond's parameters, as far as they must be given at birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Bond {
    /// `IFLA_BOND_MODE`: 0 balance-rr, 1 active-backup, 2 balance-xor, 3 broadcast, 4 802.3ad, 5 tlb, 6 alb.
    pub mode: u8,
    /// `IFLA_BOND_MIIMON` in milliseconds.
    pub miimon: Option<u32>,
}

/// A VXLAN's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Vxlan {
    /// The network identifier, 24 bits.
    pub id: u32,
    /// The source address of the outer packets.
    pub local: Option<IpAddr>,
    /// The group or the only remote.
    pub remote: Option<IpAddr>,
    /// The UDP port; the kernel's default is 8472.
    pub port: Option<u16>,
    /// The index of the interface for the outer packets.
    pub link: Option<u32>,
}
