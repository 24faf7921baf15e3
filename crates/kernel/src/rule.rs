//! Rules: which table a packet is routed by.

use ipnet::IpNet;

use crate::link_wire::each_u32;
use crate::uapi::*;
use crate::wire::{Attrs, Writer, u32_at};
use crate::{Family, Result};

/// A routing rule (`RTM_NEWRULE`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rule {
    /// The family.
    pub family: Family,
    /// Packets from here; `None` is from anywhere.
    pub src: Option<IpNet>,
    /// Packets to here; `None` is to anywhere.
    pub dst: Option<IpNet>,
    /// Packets that came in by this interface.
    pub iif: Option<String>,
    /// Packets of sockets bound to this interface.
    pub oif: Option<String>,
    /// Packets with this mark, and which bits count (all when the mask is `None`).
    pub mark: Option<u32>,
    /// See `mark`.
    pub mask: Option<u32>,
    /// The table; above 255 is allowed.
    pub table: u32,
    /// Its place; lower first. `None`, when added: before the first rule that is not 0; when deleted: any.
    pub priority: Option<u32>,
    /// Routes of this prefix length or shorter do not count.
    pub suppress_prefix_len: Option<u32>,
    /// `RTPROT_*`, who set it.
    pub protocol: u8,
    /// `FR_ACT_*`.
    pub action: u8,
    /// Whether it matches what does not match (`FIB_RULE_INVERT`).
    pub invert: bool,
    /// Packets with this type of service only; 0 is any.
    pub tos: u8,
    /// Every other `FRA_*` as it is on the wire, number and bytes: none names an interface by its index, so that a rule
    /// with conditions unknown here can still be made again as it was.
    pub attributes: Vec<(u16, Vec<u8>)>,
}

impl Rule {
    /// A rule for every packet of a family to a table.
    pub fn new(family: Family, table: u32) -> Self {
        Self {
            family,
            src: None,
            dst: None,
            iif: None,
            oif: None,
            mark: None,
            mask: None,
            table,
            priority: None,
            suppress_prefix_len: None,
            protocol: 0,
            action: FR_ACT_TO_TBL,
            invert: false,
            tos: 0,
            attributes: Vec::new(),
        }
    }

    /// A rule for packets from a network.
    pub fn from_net(src: IpNet, table: u32) -> Self {
        Self { src: Some(src), ..Self::new(Family::of_net(src), table) }
    }
}

/// Length of `struct fib_rule_hdr`.
const HEADER: usize = 12;

impl Rule {
    pub(crate) fn encode(&self, kind: u16, flags: u16, w: &mut Writer) -> Result<()> {
        let len = |net: Option<IpNet>| net.map_or(0, |net| net.prefix_len());
        w.begin(kind, NLM_F_ACK | flags);
        let table = u8::try_from(self.table).unwrap_or(0);
        w.raw(&[self.family.number(), len(self.dst), len(self.src), self.tos, table, 0, 0, self.action]);
        w.u32(if self.invert { FIB_RULE_INVERT } else { 0 });
        for (kind, net) in [(FRA_DST, self.dst), (FRA_SRC, self.src)] {
            if let Some(net) = net {
                w.attr_ip(kind, net.network());
            }
        }
        for (kind, name) in [(FRA_IIFNAME, &self.iif), (FRA_OIFNAME, &self.oif)] {
            if let Some(name) = name {
                w.attr_str(kind, name);
            }
        }
        let numbers = [
            (FRA_TABLE, Some(self.table).filter(|t| *t != RT_TABLE_UNSPEC)),
            (FRA_PRIORITY, self.priority),
            (FRA_FWMARK, self.mark),
            (FRA_FWMASK, self.mask),
            (FRA_SUPPRESS_PREFIXLEN, self.suppress_prefix_len),
        ];
        each_u32(w, &numbers);
        self.attributes.iter().for_each(|(kind, value)| w.attr(*kind, value));
        if self.protocol != 0 {
            w.attr_u8(FRA_PROTOCOL, self.protocol);
        }
        w.end()
    }

    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let &[family, dst_len, src_len, tos, table, _, _, action, ..] = body else { return None };
        let family = Family::from_number(family)?;
        let mut rule = Self::new(family, u32::from(table));
        rule.action = action;
        rule.tos = tos;
        rule.invert = u32_at(body, 8)? & FIB_RULE_INVERT != 0;
        // The kernel leaves out a priority of 0.
        rule.priority = Some(0);
        for attr in Attrs::after(body, HEADER) {
            match attr.kind {
                FRA_DST => rule.dst = family.net(attr.ip()?, dst_len),
                FRA_SRC => rule.src = family.net(attr.ip()?, src_len),
                FRA_IIFNAME => rule.iif = Some(attr.string()),
                FRA_OIFNAME => rule.oif = Some(attr.string()),
                FRA_TABLE => rule.table = attr.u32()?,
                FRA_PRIORITY => rule.priority = attr.u32(),
                FRA_FWMARK => rule.mark = attr.u32(),
                FRA_FWMASK => rule.mask = attr.u32(),
                FRA_SUPPRESS_PREFIXLEN => {
                    rule.suppress_prefix_len = attr.u32().filter(|len| *len != u32::MAX);
                }
                FRA_PROTOCOL => rule.protocol = attr.u8()?,
                FRA_PAD => {}
                kind => rule.attributes.push((kind, attr.value.to_vec())),
            }
        }
        Some(rule)
    }
}

/// Asks for the rules of all families.
pub(crate) fn encode_dump(w: &mut Writer) -> Result<()> {
    w.begin(RTM_GETRULE, NLM_F_DUMP);
    w.raw(&[0; HEADER]);
    w.end()
}
