//! DHCPv4 messages: RFC 2131 section 2 (fixed part), RFC 2132 (options), RFC 3396 (long options).

use std::net::Ipv4Addr;

use super::{WireError, array, be16, be32};

/// UDP port of servers.
pub const SERVER_PORT: u16 = 67;
/// UDP port of clients.
pub const CLIENT_PORT: u16 = 68;

const MAGIC: u32 = 0x6382_5363;
const FIXED: usize = 240;
/// Some servers and relays drop a BOOTP message shorter than the 300 octets of RFC 951.
const LEAST: usize = 300;

/// Option numbers (RFC 2132 and the RFCs named).
pub mod option {
    /// Subnet mask.
    pub const SUBNET_MASK: u8 = 1;
    /// Routers, in order of preference.
    pub const ROUTERS: u8 = 3;
    /// DNS servers.
    pub const DNS_SERVERS: u8 = 6;
    /// Host name.
    pub const HOST_NAME: u8 = 12;
    /// Domain name.
    pub const DOMAIN_NAME: u8 = 15;
    /// Interface MTU.
    pub const INTERFACE_MTU: u8 = 26;
    /// Classful static routes.
    pub const STATIC_ROUTES: u8 = 33;
    /// Requested address.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// Lease time, seconds.
    pub const LEASE_TIME: u8 = 51;
    /// Where else options are: 1 `file`, 2 `sname`, 3 both.
    pub const OVERLOAD: u8 = 52;
    /// Message type.
    pub const MESSAGE_TYPE: u8 = 53;
    /// Server identifier.
    pub const SERVER_ID: u8 = 54;
    /// Parameter request list.
    pub const PARAMETERS: u8 = 55;
    /// Text of an error.
    pub const MESSAGE: u8 = 56;
    /// Greatest message the client takes.
    pub const MAX_SIZE: u8 = 57;
    /// T1, seconds.
    pub const RENEWAL: u8 = 58;
    /// T2, seconds.
    pub const REBINDING: u8 = 59;
    /// Vendor class identifier.
    pub const VENDOR_CLASS: u8 = 60;
    /// Client identifier.
    pub const CLIENT_ID: u8 = 61;
    /// User class (RFC 3004).
    pub const USER_CLASS: u8 = 77;
    /// Domain search list (RFC 3397).
    pub const DOMAIN_SEARCH: u8 = 119;
    /// Classless static routes (RFC 3442).
    pub const CLASSLESS_ROUTES: u8 = 121;
}

/// DHCP message types (RFC 2132, 9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageType {
    /// Client looks for servers.
    Discover = 1,
    /// Server offers an address.
    Offer = 2,
    /// Client asks for an address, or for more time.
    Request = 3,
    /// Client found the address in use.
    Decline = 4,
    /// Server grants.
    Ack = 5,
    /// Server refuses.
    Nak = 6,
    /// Client gives the address back.
    Release = 7,
    /// Client asks for options only.
    Inform = 8,
}

impl MessageType {
    fn from_octet(octet: u8) -> Option<Self> {
        use MessageType::*;
        [Discover, Offer, Request, Decline, Ack, Nak, Release, Inform].into_iter().find(|t| *t as u8 == octet)
    }
}

/// A DHCPv4 message. Options are kept as octets, in the order of their first occurrence, each once: the parts of
/// one that was split or repeated are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// 1 from a client, 2 from a server.
    pub op: u8,
    /// Transaction.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// The server must broadcast its answers.
    pub broadcast: bool,
    /// The address the client has.
    pub ciaddr: Ipv4Addr,
    /// The address given ("yours").
    pub yiaddr: Ipv4Addr,
    /// Next server of a boot.
    pub siaddr: Ipv4Addr,
    /// Relay agent.
    pub giaddr: Ipv4Addr,
    /// The client's Ethernet address.
    pub chaddr: [u8; 6],
    /// Options.
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Message {
    /// A client's message of one type, without addresses.
    pub fn request(kind: MessageType, xid: u32, chaddr: [u8; 6]) -> Self {
        let zero = Ipv4Addr::UNSPECIFIED;
        let options = vec![(option::MESSAGE_TYPE, vec![kind as u8])];
        Message {
            op: 1,
            xid,
            secs: 0,
            broadcast: false,
            ciaddr: zero,
            yiaddr: zero,
            siaddr: zero,
            giaddr: zero,
            chaddr,
            options,
        }
    }

    /// The octets of one option.
    pub fn option(&self, code: u8) -> Option<&[u8]> {
        self.options.iter().find(|(c, _)| *c == code).map(|(_, data)| data.as_slice())
    }

    /// Sets an option, replacing what was there.
    pub fn set(&mut self, code: u8, data: impl Into<Vec<u8>>) {
        let data = data.into();
        match self.options.iter_mut().find(|(c, _)| *c == code) {
            Some((_, old)) => *old = data,
            None => self.options.push((code, data)),
        }
    }

    /// The message type; nothing when option 53 is missing or unknown (a BOOTP message).
    pub fn kind(&self) -> Option<MessageType> {
        match self.option(option::MESSAGE_TYPE)? {
            [octet] => MessageType::from_octet(*octet),
            _ => None,
        }
    }

    /// An option that is one address; nothing unless exactly four octets.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        Some(Ipv4Addr::from(<[u8; 4]>::try_from(self.option(code)?).ok()?))
    }

    /// An option that is a list of addresses; octets left over at the end are ignored.
    pub fn addresses(&self, code: u8) -> Vec<Ipv4Addr> {
        let data = self.option(code).unwrap_or_default();
        data.chunks_exact(4).filter_map(|c| <[u8; 4]>::try_from(c).ok()).map(Ipv4Addr::from).collect()
    }

    /// An option that is a number of four octets.
    pub fn number(&self, code: u8) -> Option<u32> {
        Some(u32::from_be_bytes(self.option(code)?.try_into().ok()?))
    }

    /// The octets to send; at least 300 (see `LEAST`).
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LEAST);
        out.extend([self.op, 1, 6, 0]);
        out.extend(self.xid.to_be_bytes());
        out.extend(self.secs.to_be_bytes());
        out.extend(if self.broadcast { [0x80, 0] } else { [0, 0] });
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            out.extend(address.octets());
        }
        out.extend(self.chaddr);
        out.resize(FIXED - 4, 0);
        out.extend(MAGIC.to_be_bytes());
        for (code, data) in &self.options {
            if data.is_empty() {
                out.extend([*code, 0]);
            }
            for part in data.chunks(255) {
                out.extend([*code, u8::try_from(part.len()).unwrap_or(u8::MAX)]);
                out.extend(part);
            }
        }
        out.push(255);
        if out.len() < LEAST {
            out.resize(LEAST, 0);
        }
        out
    }
}

/// Parses the payload of a UDP datagram. An option that runs past the end stops the list, and what was before it
/// stays: whether enough is there is decided by who reads the options.
///
/// # Errors
/// Not a DHCPv4 message: too short, not Ethernet, wrong magic cookie.
pub fn parse_v4(bytes: &[u8]) -> Result<Message, WireError> {
    let short = WireError::Short { what: "DHCPv4 message", len: bytes.len(), need: FIXED };
    let fixed = bytes.get(..FIXED).ok_or(short)?;
    let field = |what, got: u32, want: u32| {
        if got == want { Ok(()) } else { Err(WireError::Field { what, got, want }) }
    };
    field("hardware type", fixed[1].into(), 1)?;
    field("hardware address length", fixed[2].into(), 6)?;
    field("magic cookie", be32(fixed, FIXED - 4).ok_or(short)?, MAGIC)?;
    let address = |at| be32(fixed, at).map(Ipv4Addr::from).ok_or(short);
    let mut message = Message {
        op: fixed[0],
        xid: be32(fixed, 4).ok_or(short)?,
        secs: be16(fixed, 8).ok_or(short)?,
        broadcast: fixed[10] & 0x80 != 0,
        ciaddr: address(12)?,
        yiaddr: address(16)?,
        siaddr: address(20)?,
        giaddr: address(24)?,
        chaddr: array(fixed, 28).ok_or(short)?,
        options: Vec::new(),
    };
    read_options(&bytes[FIXED..], &mut message.options);
    // RFC 2131, 4.1: the options field first, then `file`, then `sname`.
    let overload = message.option(option::OVERLOAD).and_then(|d| d.first().copied()).unwrap_or(0);
    if overload & 1 != 0 {
        read_options(&fixed[108..236], &mut message.options);
    }
    if overload & 2 != 0 {
        read_options(&fixed[44..108], &mut message.options);
    }
    Ok(message)
}

fn read_options(mut rest: &[u8], into: &mut Vec<(u8, Vec<u8>)>) {
    loop {
        match rest {
            [] | [255, ..] => return,
            [0, tail @ ..] => rest = tail,
            [code, len, tail @ ..] => {
                let Some((data, after)) = tail.split_at_checked(usize::from(*len)) else { return };
                match into.iter_mut().find(|(c, _)| c == code) {
                    Some((_, joined)) => joined.extend(data),
                    None => into.push((*code, data.to_vec())),
                }
                rest = after;
            }
            [_] => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcproto::{Decodable, Encodable, v4 as oracle};
    use proptest::prelude::*;

    fn sample() -> Message {
        let mut m = Message::request(MessageType::Request, 0xdead_beef, [2, 0, 0, 0, 0, 7]);
        m.secs = 3;
        m.ciaddr = [10, 0, 0, 5].into();
        m.set(option::REQUESTED_ADDRESS, [10, 0, 0, 9]);
        m.set(option::CLIENT_ID, *b"\0container");
        m
    }

    #[test]
    fn the_oracle_reads_what_we_write() {
        let theirs = oracle::Message::from_bytes(&sample().encode()).unwrap();
        assert_eq!(theirs.xid(), 0xdead_beef);
        assert_eq!(theirs.chaddr(), [2, 0, 0, 0, 0, 7]);
        assert_eq!(theirs.ciaddr(), Ipv4Addr::new(10, 0, 0, 5));
        assert_eq!(theirs.opts().msg_type(), Some(oracle::MessageType::Request));
        assert_eq!(
            theirs.opts().get(oracle::OptionCode::RequestedIpAddress),
            Some(&oracle::DhcpOption::RequestedIpAddress([10, 0, 0, 9].into()))
        );
    }

    #[test]
    fn we_read_what_the_oracle_writes() {
        let mut m = oracle::Message::default();
        m.set_opcode(oracle::Opcode::BootReply).set_xid(7).set_chaddr(&[2, 0, 0, 0, 0, 7]);
        m.set_yiaddr([10, 9, 8, 7]);
        m.opts_mut().insert(oracle::DhcpOption::MessageType(oracle::MessageType::Ack));
        m.opts_mut().insert(oracle::DhcpOption::Router(vec![[10, 9, 8, 1].into(), [10, 9, 8, 2].into()]));
        m.opts_mut().insert(oracle::DhcpOption::AddressLeaseTime(77));
        let ours = parse_v4(&m.to_vec().unwrap()).unwrap();
        assert_eq!(ours.kind(), Some(MessageType::Ack));
        assert_eq!(ours.yiaddr, Ipv4Addr::new(10, 9, 8, 7));
        assert_eq!(ours.addresses(option::ROUTERS), [Ipv4Addr::new(10, 9, 8, 1), Ipv4Addr::new(10, 9, 8, 2)]);
        assert_eq!(ours.number(option::LEASE_TIME), Some(77));
    }

    #[test]
    fn split_options_are_joined_and_overloaded_fields_are_read() {
        let mut m = sample();
        let long: Vec<u8> = (0..600u16).map(|n| u8::try_from(n % 251).unwrap()).collect();
        m.set(option::CLASSLESS_ROUTES, long.clone());
        assert_eq!(parse_v4(&m.encode()).unwrap().option(option::CLASSLESS_ROUTES), Some(long.as_slice()));

        let mut m = sample();
        m.set(option::OVERLOAD, [3]);
        let mut bytes = m.encode();
        bytes[108..113].copy_from_slice(&[15, 3, b'l', b'a', b'n']);
        bytes[44..50].copy_from_slice(&[6, 4, 9, 9, 9, 9]);
        let read = parse_v4(&bytes).unwrap();
        assert_eq!(read.option(option::DOMAIN_NAME), Some(b"lan".as_slice()));
        assert_eq!(read.addresses(option::DNS_SERVERS), [Ipv4Addr::new(9, 9, 9, 9)]);
    }

    #[test]
    fn foreign_packets_are_refused() {
        let good = sample().encode();
        assert!(matches!(parse_v4(&good[..239]), Err(WireError::Short { len: 239, need: 240, .. })));
        for (at, what) in [(1, "hardware type"), (2, "hardware address length"), (236, "magic cookie")] {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert!(matches!(parse_v4(&bad), Err(WireError::Field { what: w, .. }) if w == what));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
            let _ = parse_v4(&bytes);
            let mut whole = sample().encode();
            whole.truncate(240);
            whole.extend(bytes);
            let _ = parse_v4(&whole);
        }

        #[test]
        fn encode_then_parse_is_the_same(
            xid: u32, secs: u16, broadcast: bool, ci: [u8; 4], yi: [u8; 4], chaddr: [u8; 6],
            options in proptest::collection::btree_map(1u8..52, proptest::collection::vec(any::<u8>(), 0..400), 0..8),
        ) {
            let mut m = Message::request(MessageType::Ack, xid, chaddr);
            (m.secs, m.broadcast, m.ciaddr, m.yiaddr) = (secs, broadcast, ci.into(), yi.into());
            m.options.extend(options);
            prop_assert_eq!(parse_v4(&m.encode()), Ok(m));
        }
    }
}
