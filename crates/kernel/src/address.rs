//! Addresses of interfaces.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::uapi::*;
use crate::wire::{Attrs, Writer, u32_at};
use crate::{Family, Result};

/// An address on an interface (`RTM_NEWADDR`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Address {
    /// The interface.
    pub index: u32,
    /// The address itself with its prefix length; host bits are kept.
    pub net: IpNet,
    /// The other end of a point-to-point link, to which the prefix length then belongs.
    pub peer: Option<IpAddr>,
    /// `RT_SCOPE_*`.
    pub scope: u8,
    /// `IFA_F_*`.
    pub flags: u32,
    /// The IPv4 broadcast address; `None` sends none and the kernel sets none.
    pub broadcast: Option<Ipv4Addr>,
    /// Seconds it stays; `None` is for ever.
    pub valid: Option<u32>,
    /// Seconds it is preferred; `None` is for ever.
    pub preferred: Option<u32>,
    /// `IFA_PROTO`, who set it; 0 is not said. Kernels before 5.18 ignore it.
    pub proto: u8,
    /// `IFA_LABEL` of an IPv4 address; `None`, when added: the interface's name.
    pub label: Option<String>,
    /// `IFA_RT_PRIORITY`: the metric of the route that comes with it; `None` is the kernel's choice.
    pub metric: Option<u32>,
}

impl Address {
    /// An address of global scope that stays for ever. Like the kernel, it has no broadcast address unless asked.
    pub fn new(index: u32, net: IpNet) -> Self {
        Self {
            index,
            net,
            peer: None,
            scope: 0,
            flags: 0,
            broadcast: None,
            valid: None,
            preferred: None,
            proto: 0,
            label: None,
            metric: None,
        }
    }

    /// With the customary broadcast address: the last of an IPv4 network of /30 or wider.
    #[must_use]
    pub fn with_broadcast(mut self) -> Self {
        if let IpNet::V4(net) = self.net
            && net.prefix_len() < 31
        {
            self.broadcast = Some(net.broadcast());
        }
        self
    }

    /// With these `IFA_F_*` bits too.
    #[must_use]
    pub fn with_flags(mut self, flags: u32) -> Self {
        self.flags |= flags;
        self
    }
}

/// Length of `struct ifaddrmsg`.
const HEADER: usize = 8;
/// `INFINITY_LIFE_TIME`.
const FOR_EVER: u32 = u32::MAX;

fn header(w: &mut Writer, family: u8, prefix_len: u8, scope: u8, index: u32) {
    w.raw(&[family, prefix_len, 0, scope]);
    w.u32(index);
}

impl Address {
    pub(crate) fn encode(&self, kind: u16, flags: u16, w: &mut Writer) -> Result<()> {
        let ip = self.net.addr();
        w.begin(kind, NLM_F_ACK | flags);
        header(w, Family::of(ip).number(), self.net.prefix_len(), self.scope, self.index);
        // IPv6 takes IFA_LOCAL for the address and IFA_ADDRESS for the peer too, when both differ.
        w.attr_ip(IFA_LOCAL, ip);
        w.attr_ip(IFA_ADDRESS, self.peer.unwrap_or(ip));
        if let Some(broadcast) = self.broadcast {
            w.attr(IFA_BROADCAST, &broadcast.octets());
        }
        if self.flags != 0 {
            w.attr_u32(IFA_FLAGS, self.flags);
        }
        if self.valid.is_some() || self.preferred.is_some() {
            let at = w.open(IFA_CACHEINFO);
            let valid = self.valid.unwrap_or(FOR_EVER);
            w.u32(self.preferred.unwrap_or(valid));
            w.u32(valid);
            w.u32(0);
            w.u32(0);
            w.close(at);
        }
        if self.proto != 0 {
            w.attr_u8(IFA_PROTO, self.proto);
        }
        if let Some(label) = &self.label {
            w.attr_str(IFA_LABEL, label);
        }
        if let Some(metric) = self.metric {
            w.attr_u32(IFA_RT_PRIORITY, metric);
        }
        w.end()
    }

    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let &[family, prefix_len, flags, scope, ..] = body else { return None };
        let family = Family::from_number(family)?;
        let (mut local, mut address) = (None, None);
        let mut all = u32::from(flags);
        let (mut broadcast, mut valid, mut preferred, mut proto) = (None, None, None, 0);
        let (mut label, mut metric) = (None, None);
        for attr in Attrs::after(body, HEADER) {
            match attr.kind {
                IFA_LOCAL => local = attr.ip(),
                IFA_ADDRESS => address = attr.ip(),
                IFA_BROADCAST => {
                    broadcast = attr.ip().and_then(|ip| match ip {
                        IpAddr::V4(ip) => Some(ip),
                        IpAddr::V6(_) => None,
                    });
                }
                IFA_FLAGS => all = attr.u32()?,
                IFA_CACHEINFO => {
                    preferred = u32_at(attr.value, 0).filter(|s| *s != FOR_EVER);
                    valid = u32_at(attr.value, 4).filter(|s| *s != FOR_EVER);
                }
                IFA_PROTO => proto = attr.u8()?,
                IFA_LABEL => label = Some(attr.string()),
                IFA_RT_PRIORITY => metric = attr.u32(),
                _ => {}
            }
        }
        let ip = local.or(address)?;
        if Family::of(ip) != family {
            return None;
        }
        Some(Self {
            index: u32_at(body, 4)?,
            net: IpNet::new(ip, prefix_len).ok()?,
            peer: address.filter(|peer| *peer != ip),
            scope,
            flags: all,
            broadcast,
            valid,
            preferred,
            proto,
            label,
            metric,
        })
    }
}

/// Asks for the addresses of an interface, or of all with 0.
pub(crate) fn encode_dump(w: &mut Writer, index: u32) -> Result<()> {
    w.begin(RTM_GETADDR, NLM_F_DUMP);
    header(w, AF_UNSPEC, 0, 0, index);
    w.end()
}
