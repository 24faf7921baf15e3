//! Neighbours: which MAC an address on the link has.

use std::net::IpAddr;

use crate::MacAddr;
use crate::uapi::{NUD_PERMANENT, NUD_STALE};

/// A neighbour (`RTM_NEWNEIGH`).
#[derive(Clone, Debug, PartialEq, Eq)]
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
