//! Neighbours: which MAC an address on the link has.

use std::net::IpAddr;

use crate::uapi::*;
use crate::wire::{Attrs, Writer, u16_at, u32_at};
use crate::{Family, MacAddr, Result};

/// A neighbour (`RTM_NEWNEIGH`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Neighbour {
    /// The interface.
    pub index: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC; `None` while it is not known.
    pub mac: Option<MacAddr>,
    /// `NUD_*`.
    pub state: u16,
    /// `NTF_*`.
    pub flags: u8,
}

impl Neighbour {
    /// One that stays and is never asked for.
    pub fn permanent(index: u32, address: IpAddr, mac: MacAddr) -> Self {
        Self { index, address, mac: Some(mac), state: NUD_PERMANENT, flags: 0 }
    }

    /// One that is verified at its next use.
    pub fn stale(index: u32, address: IpAddr, mac: MacAddr) -> Self {
        Self { index, address, mac: Some(mac), state: NUD_STALE, flags: 0 }
    }
}

/// Length of `struct ndmsg`.
const HEADER: usize = 12;

fn header(w: &mut Writer, family: u8, index: u32, state: u16, flags: u8) {
    w.raw(&[family, 0, 0, 0]);
    w.u32(index);
    w.u16(state);
    w.raw(&[flags, 0]);
}

impl Neighbour {
    pub(crate) fn encode(&self, kind: u16, flags: u16, w: &mut Writer) -> Result<()> {
        w.begin(kind, NLM_F_ACK | flags);
        header(w, Family::of(self.address).number(), self.index, self.state, self.flags);
        w.attr_ip(NDA_DST, self.address);
        if let Some(mac) = self.mac {
            w.attr(NDA_LLADDR, &mac.0);
        }
        w.end()
    }

    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let family = Family::from_number(*body.first()?)?;
        let (mut address, mut mac) = (None, None);
        for attr in Attrs::after(body, HEADER) {
            match attr.kind {
                NDA_DST => address = attr.ip(),
                NDA_LLADDR => mac = MacAddr::from_slice(attr.value),
                _ => {}
            }
        }
        Some(Self {
            index: u32_at(body, 4)?,
            address: address.filter(|ip| Family::of(*ip) == family)?,
            mac,
            state: u16_at(body, 8)?,
            flags: *body.get(10)?,
        })
    }
}

/// Asks for the neighbours on an interface, or on all.
pub(crate) fn encode_dump(w: &mut Writer, index: Option<u32>) -> Result<()> {
    w.begin(RTM_GETNEIGH, NLM_F_DUMP);
    header(w, AF_UNSPEC, 0, 0, 0);
    if let Some(index) = index {
        w.attr_u32(NDA_IFINDEX, index);
    }
    w.end()
}
