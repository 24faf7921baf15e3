//! Links: what the kernel tells of them, and what is asked when one is made.

use crate::uapi::{IFF_LOOPBACK, IFF_LOWER_UP, IFF_NOARP, IFF_RUNNING, IFF_UP};
use crate::{BondPort, BridgePort, LinkKind, MacAddr, NetNs, NewLinkKind};

/// A link as read (`RTM_NEWLINK`).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Link {
    /// Its index in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its kind and that kind's parameters.
    pub kind: LinkKind,
    /// Its MAC; `None` when it has none of six bytes.
    pub mac: Option<MacAddr>,
    /// The MAC burnt into the hardware.
    pub perm_mac: Option<MacAddr>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// `IFF_*` bits.
    pub flags: u32,
    /// Its operational state (RFC 2863).
    pub oper_state: OperState,
    /// `IFLA_LINK`: the index of the parent, or of a veth's other end, in the namespace of `parent_nsid`.
    pub parent: Option<u32>,
    /// `IFLA_LINK_NETNSID`: the parent is in another namespace, with this number; -1 is one without a number.
    pub parent_nsid: Option<i32>,
    /// The index of the bridge or bond it is a port of.
    pub master: Option<u32>,
    /// Its group; 0 unless set.
    pub group: u32,
    /// Length of the transmit queue in packets.
    pub tx_queue_len: u32,
    /// How many users asked it to be promiscuous.
    pub promiscuity: u32,
    /// Whether it receives all multicast frames (by a user's flag or a counted request).
    pub allmulti: bool,
    /// Whether there is a carrier.
    pub carrier: bool,
    /// Its alias, free text.
    pub alias: Option<String>,
    /// `IFLA_INET6_ADDR_GEN_MODE`, when IPv6 is on.
    pub addr_gen_mode: Option<u8>,
    /// `net.ipv6.conf.IF.disable_ipv6`.
    pub ipv6_disabled: bool,
    /// Its settings as a bridge's port, when it is one.
    pub bridge_port: Option<BridgePort>,
    /// What it tells as a bond's port, when it is one.
    pub bond_port: Option<BondPort>,
}

impl Link {
    /// Whether it is administratively up.
    pub fn is_up(&self) -> bool {
        self.flags & IFF_UP != 0
    }

    /// Whether it is operational (`IFF_RUNNING`).
    pub fn is_running(&self) -> bool {
        self.flags & IFF_RUNNING != 0
    }

    /// Whether the lower layer is up (`IFF_LOWER_UP`).
    pub fn is_lower_up(&self) -> bool {
        self.flags & IFF_LOWER_UP != 0
    }

    /// Whether it does no ARP (`IFF_NOARP`).
    pub fn no_arp(&self) -> bool {
        self.flags & IFF_NOARP != 0
    }

    /// Whether it is a loopback.
    pub fn is_loopback(&self) -> bool {
        self.flags & IFF_LOOPBACK != 0
    }
}

/// `IFLA_OPERSTATE` (RFC 2863 section 3.1.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OperState {
    /// The driver does not say.
    #[default]
    Unknown,
    /// Hardware is missing.
    NotPresent,
    /// Down.
    Down,
    /// What it stands on is down.
    LowerLayerDown,
    /// Being tested.
    Testing,
    /// Waits for something outside, such as 802.1X.
    Dormant,
    /// Up.
    Up,
}

impl OperState {
    /// The state of a kernel's number; numbers of the future are unknown.
    pub fn from_number(number: u8) -> Self {
        match number {
            1 => Self::NotPresent,
            2 => Self::Down,
            3 => Self::LowerLayerDown,
            4 => Self::Testing,
            5 => Self::Dormant,
            6 => Self::Up,
            _ => Self::Unknown,
        }
    }

    /// The word that `ip link` prints, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotPresent => "notpresent",
            Self::Down => "down",
            Self::LowerLayerDown => "lowerlayerdown",
            Self::Testing => "testing",
            Self::Dormant => "dormant",
            Self::Up => "up",
        }
    }
}

/// A link to be made. What is `None` the kernel chooses.
#[derive(Clone, Debug, PartialEq)]
pub struct NewLink {
    /// Its name, 1 to 15 bytes, no `/`, no white space, not `.` or `..`.
    pub name: String,
    /// Its kind.
    pub kind: NewLinkKind,
    /// The index of the parent, in the namespace of the socket.
    pub parent: Option<u32>,
    /// Its MTU.
    pub mtu: Option<u32>,
    /// Its MAC.
    pub mac: Option<MacAddr>,
    /// The namespace it is born in; the socket's when `None`.
    pub netns: Option<NetNs>,
    /// Its group, for [`crate::Change::DeleteGroup`].
    pub group: Option<u32>,
    /// Length of the transmit queue in packets.
    pub tx_queue_len: Option<u32>,
    /// The index of the bridge or bond it becomes a port of.
    pub master: Option<u32>,
    /// Whether it is up from birth; addresses and sysctls then come too late for what the kernel does at once.
    pub up: bool,
    /// Its alias, set by a second message, since the kernel ignores one at birth; not together with `netns`.
    pub alias: Option<String>,
}
impl NewLink {
    /// A link of this name and kind, everything else chosen by the kernel, down.
    pub fn new(name: impl Into<String>, kind: NewLinkKind) -> Self {
        Self {
            name: name.into(),
            kind,
            parent: None,
            mtu: None,
            mac: None,
            netns: None,
            group: None,
            tx_queue_len: None,
            master: None,
            up: false,
            alias: None,
        }
    }
}
