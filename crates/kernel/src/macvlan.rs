//! Macvlan and macvtap: modes, flags, the list of source addresses.

use std::fmt;
use std::str::FromStr;

use crate::MacAddr;

/// A macvlan's parameters.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Macvlan {
    /// How its siblings and the LAN reach it.
    pub mode: MacvlanMode,
    /// `MACVLAN_FLAG_NOPROMISC`: in passthru the parent is not made promiscuous.
    pub nopromisc: bool,
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
