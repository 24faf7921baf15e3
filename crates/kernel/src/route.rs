//! Routes.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::uapi::{AF_INET, AF_INET6, RT_TABLE_MAIN, RTN_UNICAST, RTPROT_BOOT};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    pub(crate) fn of_net(net: IpNet) -> Self {
        Self::of(net.addr())
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Self::V4 => AF_INET,
            Self::V6 => AF_INET6,
        }
    }

    /// A network of this family; `None` when address or length belong to the other.
    pub(crate) fn net(self, ip: IpAddr, len: u8) -> Option<IpNet> {
        if Self::of(ip) == self { IpNet::new(ip, len).ok() } else { None }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        match number {
            AF_INET => Some(Self::V4),
            AF_INET6 => Some(Self::V6),
            _ => None,
        }
    }
}

/// A route (`RTM_NEWROUTE`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Route {
    /// The family; must agree with every address below.
    pub family: Family,
    /// Where to; `None` is the default route.
    pub dst: Option<IpNet>,
    /// The next hop; of the other family it is sent as `RTA_VIA` (IPv4 over IPv6).
    pub gateway: Option<IpAddr>,
    /// The interface.
    pub oif: Option<u32>,
    /// The source address the host prefers.
    pub src: Option<IpAddr>,
    /// The table; 254 is main. Numbers above 255 are allowed.
    pub table: u32,
    /// `RT_SCOPE_*`. `None`, when added: link without a next hop, host for a local address, else universe;
    /// when deleted: any.
    pub scope: Option<u8>,
    /// `RTPROT_*`; 0 matches any when deleted.
    pub protocol: u8,
    /// `RTN_*`; 0 matches any when deleted.
    pub kind: u8,
    /// The metric; `None` is the kernel's choice (0 for IPv4, 1024 for IPv6), any when deleted.
    pub priority: Option<u32>,
    /// `RTAX_MTU` in bytes.
    pub mtu: Option<u32>,
    /// `RTAX_ADVMSS` in bytes.
    pub advmss: Option<u32>,
    /// `RTNH_F_ONLINK`: the next hop is on the link though no address says so.
    pub onlink: bool,
    /// `rtm_flags` as read, `RTNH_F_*` and `RTM_F_*`; not sent.
    pub flags: u32,
    /// The next hops of a multipath route; empty otherwise.
    pub nexthops: Vec<NextHop>,
    /// Packets with this type of service only; 0 is any.
    pub tos: u8,
    /// Packets from this network only (IPv6); `None` is from anywhere.
    pub from: Option<IpNet>,
    /// Seconds after which the kernel drops it (IPv6); `None` is never.
    pub expires: Option<u32>,
    /// `RTAX_*` beside MTU and MSS, as they are on the wire: number and bytes, in the order of their numbers.
    pub metrics: Vec<(u16, Vec<u8>)>,
    /// `RTA_*` that name no interface and are kept as they are on the wire: realm, preference, TTL propagation.
    pub attributes: Vec<(u16, Vec<u8>)>,
    /// `RTA_*` as read that a route made from this one would not have: encapsulation, a nexthop object. Not sent.
    pub unknown: Vec<u16>,
}

impl Route {
    /// A unicast route of the main table, of protocol boot (as `ip route` and the reference plugins), to everywhere.
    pub fn new(family: Family) -> Self {
        Self {
            family,
            dst: None,
            gateway: None,
            oif: None,
            src: None,
            table: RT_TABLE_MAIN,
            scope: None,
            protocol: RTPROT_BOOT,
            kind: RTN_UNICAST,
            priority: None,
            mtu: None,
            advmss: None,
            onlink: false,
            flags: 0,
            nexthops: Vec::new(),
            tos: 0,
            from: None,
            expires: None,
            metrics: Vec::new(),
            attributes: Vec::new(),
            unknown: Vec::new(),
        }
    }

    /// A route to a network. A network of prefix length 0 is the default route.
    pub fn to(dst: IpNet) -> Self {
        let dst = dst.trunc();
        let default = dst.prefix_len() == 0;
        Self { dst: if default { None } else { Some(dst) }, ..Self::new(Family::of_net(dst)) }
    }

    /// The default route through a gateway.
    pub fn default_via(gateway: IpAddr) -> Self {
        Self { gateway: Some(gateway), ..Self::new(Family::of(gateway)) }
    }

    /// Through this gateway.
    #[must_use]
    pub fn via(mut self, gateway: IpAddr) -> Self {
        self.gateway = Some(gateway);
        self
    }

    /// By this interface.
    #[must_use]
    pub fn dev(mut self, index: u32) -> Self {
        self.oif = Some(index);
        self
    }
}

/// One way of a multipath route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NextHop {
    /// The interface.
    pub oif: u32,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// Its share, 1 to 256.
    pub weight: u16,
    /// `RTNH_F_*`.
    pub flags: u8,
}

/// Which routes to read. What is `None` is not asked for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RouteFilter {
    /// One family; both when `None`.
    pub family: Option<Family>,
    /// One table; all tables when `None`.
    pub table: Option<u32>,
    /// Routes by this interface; a multipath route matches when one of its hops does.
    pub oif: Option<u32>,
    /// `RTPROT_*`.
    pub protocol: Option<u8>,
}
