//! The kinds of links (`IFLA_INFO_KIND`) and their parameters.

use std::net::IpAddr;

use crate::link_wire::{each_u32, encode_peer};
use crate::uapi::*;
use crate::wire::{Attr, Attrs, Writer};
use crate::{Bond, Error, MacAddr, Macvlan, NetNs, Result};

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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Vlan {
    /// 0 to 4094.
    pub id: u16,
    /// The tag's EtherType.
    pub protocol: VlanProtocol,
    /// `VLAN_FLAG_*`; the kernel's choice is `VLAN_FLAG_REORDER_HDR`.
    pub flags: u32,
}

impl Vlan {
    /// An 802.1Q VLAN with the kernel's choice of flags.
    pub fn new(id: u16) -> Self {
        Self { id, protocol: VlanProtocol::Ieee8021Q, flags: VLAN_FLAG_REORDER_HDR }
    }
}

/// A VLAN tag's EtherType.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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

/// A VXLAN's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Vxlan {
    /// The network identifier, 24 bits.
    pub id: u32,
    /// The source address of the outer packets.
    pub local: Option<IpAddr>,
    /// The group or the only remote.
    pub remote: Option<IpAddr>,
    /// The UDP port; the kernel's default is 8472.
    pub port: Option<u16>,
    /// The index of the interface for the outer packets, in the namespace that the VXLAN was made in.
    pub link: Option<u32>,
    /// Whether a program says of each frame where it goes (`external`). It is read only.
    pub collect_metadata: bool,
}

impl LinkKind {
    /// The parameters, inside of `IFLA_INFO_DATA`.
    pub(crate) fn encode(&self, w: &mut Writer) -> Result<()> {
        match self {
            Self::Macvlan(m) | Self::Macvtap(m) => m.encode(w),
            Self::Vlan(vlan) => return vlan.encode(w),
            Self::Veth(peer) => {
                let at = w.nest(VETH_INFO_PEER);
                encode_peer(w, peer)?;
                w.close(at);
            }
            Self::Bond(bond) => return bond.encode(w),
            Self::Vxlan(vxlan) => vxlan.encode(w),
            Self::Bridge | Self::Ifb | Self::Dummy | Self::Other(_) | Self::Physical => {}
        }
        Ok(())
    }

    pub(crate) fn decode(kind: Attr<'_>, data: Attrs<'_>) -> Self {
        let name = kind.string();
        match name.as_str() {
            "macvlan" => Self::Macvlan(Macvlan::decode(data)),
            "macvtap" => Self::Macvtap(Macvlan::decode(data)),
            "vlan" => Self::Vlan(Vlan::decode(data)),
            "veth" => Self::Veth(VethPeer::default()),
            "bridge" => Self::Bridge,
            "ifb" => Self::Ifb,
            "dummy" => Self::Dummy,
            "bond" => Self::Bond(Bond::decode(data)),
            "vxlan" => Self::Vxlan(Vxlan::decode(data)),
            _ => Self::Other(name),
        }
    }
}

impl Vlan {
    fn encode(self, w: &mut Writer) -> Result<()> {
        if self.id > 4094 {
            return Err(Error::Invalid {
                object: "VLAN id",
                value: self.id.to_string(),
                allowed: "0 to 4094",
            });
        }
        w.attr_u16(IFLA_VLAN_ID, self.id);
        w.attr(IFLA_VLAN_PROTOCOL, &self.protocol.number().to_be_bytes());
        encode_flags(w, self.flags, VLAN_FLAGS);
        Ok(())
    }

    fn decode(data: Attrs<'_>) -> Self {
        // Without any flag the kernel tells of none.
        let mut vlan = Self { flags: 0, ..Self::new(0) };
        for attr in data {
            match attr.kind {
                IFLA_VLAN_ID => vlan.id = attr.u16().unwrap_or_default(),
                IFLA_VLAN_PROTOCOL if attr.be16() == Some(ETH_P_8021AD) => {
                    vlan.protocol = VlanProtocol::Ieee8021Ad;
                }
                IFLA_VLAN_FLAGS => vlan.flags = attr.u32().unwrap_or_default(),
                _ => {}
            }
        }
        vlan
    }
}

/// `struct ifla_vlan_flags`: `mask` says which bits count.
pub(crate) fn encode_flags(w: &mut Writer, flags: u32, mask: u32) {
    let at = w.open(IFLA_VLAN_FLAGS);
    w.u32(flags);
    w.u32(mask);
    w.close(at);
}

impl VlanProtocol {
    fn number(self) -> u16 {
        match self {
            Self::Ieee8021Q => ETH_P_8021Q,
            Self::Ieee8021Ad => ETH_P_8021AD,
        }
    }
}

impl Vxlan {
    fn encode(self, w: &mut Writer) {
        each_u32(w, &[(IFLA_VXLAN_ID, Some(self.id)), (IFLA_VXLAN_LINK, self.link)]);
        if let Some(ip) = self.local {
            w.attr_ip(if ip.is_ipv4() { IFLA_VXLAN_LOCAL } else { IFLA_VXLAN_LOCAL6 }, ip);
        }
        if let Some(ip) = self.remote {
            w.attr_ip(if ip.is_ipv4() { IFLA_VXLAN_GROUP } else { IFLA_VXLAN_GROUP6 }, ip);
        }
        if let Some(port) = self.port {
            w.attr(IFLA_VXLAN_PORT, &port.to_be_bytes());
        }
    }

    fn decode(data: Attrs<'_>) -> Self {
        let mut vxlan = Self::default();
        for attr in data {
            match attr.kind {
                IFLA_VXLAN_ID => vxlan.id = attr.u32().unwrap_or_default(),
                IFLA_VXLAN_LINK => vxlan.link = attr.u32().filter(|index| *index != 0),
                IFLA_VXLAN_LOCAL | IFLA_VXLAN_LOCAL6 => vxlan.local = attr.ip(),
                IFLA_VXLAN_GROUP | IFLA_VXLAN_GROUP6 => vxlan.remote = attr.ip(),
                IFLA_VXLAN_PORT => vxlan.port = attr.be16(),
                IFLA_VXLAN_COLLECT_METADATA => vxlan.collect_metadata = attr.u8() == Some(1),
                _ => {}
            }
        }
        vxlan
    }
}
