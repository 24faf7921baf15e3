//! Rules: which table a packet is routed by.

use ipnet::IpNet;

use crate::Family;
use crate::uapi::FR_ACT_TO_TBL;

/// A routing rule (`RTM_NEWRULE`).
#[derive(Clone, Debug, PartialEq, Eq)]
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
        }
    }

    /// A rule for packets from a network.
    pub fn from_net(src: IpNet, table: u32) -> Self {
        Self { src: Some(src), ..Self::new(Family::of_net(src), table) }
    }
}
