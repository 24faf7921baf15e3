//! The forwarding database of VXLANs and bridges (`bridge fdb`).

use std::net::IpAddr;

use crate::uapi::*;
use crate::wire::{Attrs, Writer, u16_at, u32_at};
use crate::{MacAddr, Result};

/// Where frames for a MAC are sent (`RTM_NEWNEIGH`, `AF_BRIDGE`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// The VXLAN, or the bridge's port.
    pub index: u32,
    /// The inner receiver; zero is everyone that no other entry names.
    pub mac: MacAddr,
    /// A VXLAN's outer receiver.
    pub dst: Option<IpAddr>,
    /// Its UDP port, where that is another than the VXLAN's own.
    pub port: Option<u16>,
    /// `NUD_*`.
    pub state: u16,
}

/// Length of `struct ndmsg`.
const HEADER: usize = 12;

impl Forwarding {
    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        if body.first() != Some(&AF_BRIDGE) {
            return None;
        }
        let (mut mac, mut dst, mut port) = (None, None, None);
        for attr in Attrs::after(body, HEADER) {
            match attr.kind {
                NDA_LLADDR => mac = MacAddr::from_slice(attr.value),
                NDA_DST => dst = attr.ip(),
                NDA_PORT => port = attr.be16(),
                _ => {}
            }
        }
        Some(Self { index: u32_at(body, 4)?, mac: mac?, dst, port, state: u16_at(body, 8)? })
    }
}

/// Asks for all entries of the namespace.
pub(crate) fn encode_dump(w: &mut Writer) -> Result<()> {
    w.begin(RTM_GETNEIGH, NLM_F_DUMP);
    w.raw(&[AF_BRIDGE, 0, 0, 0]);
    w.raw(&[0; HEADER - 4]);
    w.end()
}
