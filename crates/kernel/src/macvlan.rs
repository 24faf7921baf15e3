//! Macvlan and macvtap: modes, flags, the list of source addresses.

use std::fmt;
use std::str::FromStr;

use crate::MacAddr;
use crate::uapi::*;
use crate::wire::{Attrs, Writer};

/// A macvlan's parameters.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Macvlan {
    /// How its siblings and the LAN reach it.
    pub mode: MacvlanMode,
    /// `MACVLAN_FLAG_NOPROMISC`: in passthru the parent is not made promiscuous.
    pub nopromisc: bool,
    /// `MACVLAN_FLAG_NODST`: in mode source a listed sender's frames go to it alone, and not to their destination too.
    pub nodst: bool,
    /// Mode source: from which senders it receives; in the kernel's order when read.
    pub source_macs: Vec<MacAddr>,
    /// `IFLA_MACVLAN_BC_QUEUE_LEN`: how many broadcast frames may wait; `None` leaves the kernel's 1000.
    pub bc_queue_len: Option<u32>,
}

impl Macvlan {
    /// A macvlan of a mode, everything else by default.
    pub fn new(mode: MacvlanMode) -> Self {
        Self { mode, ..Self::default() }
    }
}

/// `IFLA_MACVLAN_MODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum MacvlanMode {
    /// Siblings never hear each other.
    Private,
    /// Siblings hear each other only through a switch that sends frames back.
    Vepa,
    /// Siblings hear each other directly.
    #[default]
    Bridge,
    /// The only child of its parent.
    Passthru,
    /// Receives from listed senders only.
    Source,
}

impl MacvlanMode {
    /// All modes, in the kernel's order.
    pub const ALL: [Self; 5] = [Self::Private, Self::Vepa, Self::Bridge, Self::Passthru, Self::Source];

    /// The kernel's number, one bit.
    pub fn number(self) -> u32 {
        match self {
            Self::Private => 1,
            Self::Vepa => 2,
            Self::Bridge => 4,
            Self::Passthru => 8,
            Self::Source => 16,
        }
    }

    /// The mode of a kernel's number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.number() == number)
    }

    /// The mode's name, as in `ip link`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Vepa => "vepa",
            Self::Bridge => "bridge",
            Self::Passthru => "passthru",
            Self::Source => "source",
        }
    }
}

impl fmt::Display for MacvlanMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is no mode's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown macvlan mode: allowed are private, vepa, bridge, passthru and source")]
pub struct ParseModeError;

impl FromStr for MacvlanMode {
    type Err = ParseModeError;

    fn from_str(s: &str) -> Result<Self, ParseModeError> {
        Self::ALL.into_iter().find(|mode| mode.name() == s).ok_or(ParseModeError)
    }
}

/// A change of a macvlan that exists. Only what is `Some` is sent.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MacvlanSet {
    /// Whether it is a macvtap: the kernel wants the kind named.
    pub tap: bool,
    /// Change the mode; the kernel allows it between all but passthru.
    pub mode: Option<MacvlanMode>,
    /// Set or clear `MACVLAN_FLAG_NOPROMISC`.
    pub nopromisc: Option<bool>,
    /// Change the list of mode source.
    pub source_macs: Option<SourceMacs>,
    /// Change the length of the broadcast queue.
    pub bc_queue_len: Option<u32>,
}

/// A change of the list of source addresses (`IFLA_MACVLAN_MACADDR_MODE`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceMacs {
    /// Add one; one that is there already is no error.
    Add(MacAddr),
    /// Take one out; one that is not there is no error.
    Delete(MacAddr),
    /// Take all out.
    Flush,
    /// Replace the list.
    Set(Vec<MacAddr>),
}

impl Macvlan {
    pub(crate) fn encode(&self, w: &mut Writer) {
        w.attr_u32(IFLA_MACVLAN_MODE, self.mode.number());
        let flag = |on: bool, flag: u16| if on { flag } else { 0 };
        let flags = flag(self.nopromisc, MACVLAN_FLAG_NOPROMISC) | flag(self.nodst, MACVLAN_FLAG_NODST);
        if flags != 0 {
            w.attr_u16(IFLA_MACVLAN_FLAGS, flags);
        }
        if !self.source_macs.is_empty() {
            encode_list(w, &self.source_macs);
        }
        if let Some(len) = self.bc_queue_len {
            w.attr_u32(IFLA_MACVLAN_BC_QUEUE_LEN, len);
        }
    }

    pub(crate) fn decode(data: Attrs<'_>) -> Self {
        let mut macvlan = Self::default();
        for attr in data {
            match attr.kind {
                IFLA_MACVLAN_MODE => {
                    macvlan.mode = attr.u32().and_then(MacvlanMode::from_number).unwrap_or_default();
                }
                IFLA_MACVLAN_FLAGS => {
                    let has = |flag| attr.u16().is_some_and(|flags| flags & flag != 0);
                    macvlan.nopromisc = has(MACVLAN_FLAG_NOPROMISC);
                    macvlan.nodst = has(MACVLAN_FLAG_NODST);
                }
                IFLA_MACVLAN_MACADDR_DATA => {
                    macvlan.source_macs =
                        attr.attrs().filter_map(|mac| MacAddr::from_slice(mac.value)).collect();
                }
                IFLA_MACVLAN_BC_QUEUE_LEN => macvlan.bc_queue_len = attr.u32(),
                _ => {}
            }
        }
        macvlan
    }
}

impl MacvlanSet {
    pub(crate) fn encode(&self, w: &mut Writer) {
        if let Some(mode) = self.mode {
            w.attr_u32(IFLA_MACVLAN_MODE, mode.number());
        }
        if let Some(on) = self.nopromisc {
            w.attr_u16(IFLA_MACVLAN_FLAGS, if on { MACVLAN_FLAG_NOPROMISC } else { 0 });
        }
        match &self.source_macs {
            Some(SourceMacs::Add(mac)) => {
                w.attr_u32(IFLA_MACVLAN_MACADDR_MODE, MACVLAN_MACADDR_ADD);
                w.attr(IFLA_MACVLAN_MACADDR, &mac.0);
            }
            Some(SourceMacs::Delete(mac)) => {
                w.attr_u32(IFLA_MACVLAN_MACADDR_MODE, MACVLAN_MACADDR_DEL);
                w.attr(IFLA_MACVLAN_MACADDR, &mac.0);
            }
            Some(SourceMacs::Flush) => w.attr_u32(IFLA_MACVLAN_MACADDR_MODE, MACVLAN_MACADDR_FLUSH),
            Some(SourceMacs::Set(macs)) => encode_list(w, macs),
            None => {}
        }
        if let Some(len) = self.bc_queue_len {
            w.attr_u32(IFLA_MACVLAN_BC_QUEUE_LEN, len);
        }
    }
}

fn encode_list(w: &mut Writer, macs: &[MacAddr]) {
    w.attr_u32(IFLA_MACVLAN_MACADDR_MODE, MACVLAN_MACADDR_SET);
    let at = w.nest(IFLA_MACVLAN_MACADDR_DATA);
    for mac in macs {
        w.attr(IFLA_MACVLAN_MACADDR, &mac.0);
    }
    w.close(at);
}
