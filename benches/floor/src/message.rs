//! The handful of rtnetlink requests an attachment needs, byte by byte (linux/rtnetlink.h, linux/if_link.h).

/// An address family, as the kernel numbers it.
#[derive(Clone, Copy)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    fn number(self) -> u8 {
        match self {
            Family::V4 => 2,
            Family::V6 => 10,
        }
    }
}

const REQUEST: u16 = 0x1;
const REQUEST_ACK: u16 = REQUEST | 0x4;
const CREATE_EXCL: u16 = 0x400 | 0x200;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;

const IFF_UP: u32 = 1;
const MACVLAN_MODE_BRIDGE: u32 = 4;

/// One request, header first. The sequence number stays zero: answers come in order.
pub(crate) struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        // linux/netlink.h: the longest of these requests is 108 bytes.
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST_ACK | flags).to_ne_bytes());
        bytes.extend([0; 8]);
        Self(bytes)
    }

    /// `struct ifinfomsg`
    fn link(mut self, index: u32, flags: u32, change: u32) -> Self {
        self.0.extend([0; 4]);
        for number in [index, flags, change] {
            self.0.extend(number.to_ne_bytes());
        }
        self
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.close(start);
        self
    }

    /// Sets the length of what began at `start` and fills up to four bytes.
    fn close(&mut self, start: usize) {
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// The finished bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.clone();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }

    /// A macvlan in bridge mode, born in the namespace behind the descriptor.
    pub(crate) fn new_macvlan(name: &str, parent: u32, mac: &[u8], netns: i32) -> Self {
        let mode = attribute(1, &MACVLAN_MODE_BRIDGE.to_ne_bytes());
        let info = [attribute(1, b"macvlan"), attribute(2, &mode)].concat();
        Self::new(RTM_NEWLINK, CREATE_EXCL)
            .link(0, 0, 0)
            .attribute(3, &terminated(name))
            .attribute(5, &parent.to_ne_bytes())
            .attribute(1, mac)
            .attribute(28, &netns.to_ne_bytes())
            .attribute(18, &info)
    }

    /// Sets a link up.
    pub(crate) fn up(index: u32) -> Self {
        Self::new(RTM_SETLINK, 0).link(index, IFF_UP, IFF_UP)
    }

    /// Deletes a link.
    pub(crate) fn delete_link(index: u32) -> Self {
        Self::new(RTM_DELLINK, 0).link(index, 0, 0)
    }

    /// Asks for a link by name, without its counters; the link itself is the answer.
    pub(crate) fn get_link(name: &str) -> Self {
        const SKIP_STATS: u32 = 8;
        let mut message = Self::new(RTM_GETLINK, 0)
            .link(0, 0, 0)
            .attribute(3, &terminated(name))
            .attribute(29, &SKIP_STATS.to_ne_bytes());
        message.0[6..8].copy_from_slice(&REQUEST.to_ne_bytes());
        message
    }

    /// `struct ifaddrmsg` with IFA_LOCAL and IFA_ADDRESS; an IPv6 address is usable while the kernel looks for another owner.
    pub(crate) fn new_address(family: Family, index: u32, address: &[u8], prefix: u8) -> Self {
        const OPTIMISTIC: u32 = 4;
        let mut message = Self::new(RTM_NEWADDR, CREATE_EXCL);
        message.0.extend([family.number(), prefix, 0, 0]);
        message.0.extend(index.to_ne_bytes());
        message = message.attribute(2, address).attribute(1, address);
        match family {
            Family::V4 => message.attribute(4, &[address[0], address[1], 255, 255]),
            Family::V6 => message.attribute(8, &OPTIMISTIC.to_ne_bytes()),
        }
    }

    /// `struct rtmsg`: a default route in the main table.
    pub(crate) fn default_route(family: Family, index: u32, gateway: &[u8]) -> Self {
        const MAIN: u8 = 254;
        const BOOT: u8 = 3;
        const UNICAST: u8 = 1;
        let mut message = Self::new(RTM_NEWROUTE, CREATE_EXCL);
        message.0.extend([family.number(), 0, 0, 0, MAIN, BOOT, 0, UNICAST]);
        message.0.extend([0; 4]);
        message
            .attribute(5, gateway)
            .attribute(4, &index.to_ne_bytes())
            .attribute(15, &u32::from(MAIN).to_ne_bytes())
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut inner = Message(Vec::new());
    inner = inner.attribute(kind, value);
    inner.0
}

fn terminated(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}
