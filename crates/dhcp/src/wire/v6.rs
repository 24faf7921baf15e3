//! DHCPv6 messages between client and server (RFC 8415, section 8 and 21).

use std::net::Ipv6Addr;

use super::{WireError, array, be16, be32};

/// UDP port of servers and relays.
pub const SERVER_PORT: u16 = 547;
/// UDP port of clients.
pub const CLIENT_PORT: u16 = 546;
/// All_DHCP_Relay_Agents_and_Servers.
pub const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// Option numbers (RFC 8415 section 21, RFC 3646).
pub mod option {
    /// Client's DUID.
    pub const CLIENT_ID: u16 = 1;
    /// Server's DUID.
    pub const SERVER_ID: u16 = 2;
    /// Identity association for non-temporary addresses.
    pub const IA_NA: u16 = 3;
    /// An address of an identity association.
    pub const IA_ADDR: u16 = 5;
    /// Option request.
    pub const ORO: u16 = 6;
    /// Server's preference.
    pub const PREFERENCE: u16 = 7;
    /// Time since the exchange began, in hundredths of a second.
    pub const ELAPSED_TIME: u16 = 8;
    /// Status code.
    pub const STATUS: u16 = 13;
    /// Two messages instead of four.
    pub const RAPID_COMMIT: u16 = 14;
    /// User class.
    pub const USER_CLASS: u16 = 15;
    /// DNS servers.
    pub const DNS_SERVERS: u16 = 23;
    /// Domain search list.
    pub const DOMAIN_LIST: u16 = 24;
    /// Upper bound of SOL_MAX_RT, seconds.
    pub const SOL_MAX_RT: u16 = 82;
}

/// Message types (RFC 8415, 7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageType {
    /// Client looks for servers.
    Solicit = 1,
    /// Server offers.
    Advertise = 2,
    /// Client asks one server.
    Request = 3,
    /// Client asks whether its addresses fit the link.
    Confirm = 4,
    /// Client asks its server for more time.
    Renew = 5,
    /// Client asks any server for more time.
    Rebind = 6,
    /// Server's answer.
    Reply = 7,
    /// Client gives addresses back.
    Release = 8,
    /// Client found addresses in use.
    Decline = 9,
}

impl MessageType {
    fn from_octet(octet: u8) -> Option<Self> {
        use MessageType::*;
        [Solicit, Advertise, Request, Confirm, Renew, Rebind, Reply, Release, Decline]
            .into_iter()
            .find(|t| *t as u8 == octet)
    }
}

/// Status codes (RFC 8415, 21.13), those a client acts on by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// 0 is success.
    pub code: u16,
    /// The server's words; what is not UTF-8 is replaced.
    pub text: String,
}

impl Status {
    /// No address to give.
    pub const NO_ADDRS_AVAIL: u16 = 2;
    /// The server does not know this binding.
    pub const NO_BINDING: u16 = 3;
    /// The address does not fit the link.
    pub const NOT_ON_LINK: u16 = 4;

    /// The number's name, as the RFC writes it.
    pub fn name(&self) -> &'static str {
        match self.code {
            0 => "Success",
            1 => "UnspecFail",
            2 => "NoAddrsAvail",
            3 => "NoBinding",
            4 => "NotOnLink",
            5 => "UseMulticast",
            _ => "unknown status",
        }
    }
}

/// A list of options, each with its code, in the order of the wire. Codes may repeat.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options(pub Vec<(u16, Vec<u8>)>);

impl Options {
    /// The first option with this code.
    pub fn get(&self, code: u16) -> Option<&[u8]> {
        self.all(code).next()
    }

    /// Every option with this code.
    pub fn all(&self, code: u16) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(c, _)| *c == code).map(|(_, data)| data.as_slice())
    }

    /// Adds an option.
    pub fn push(&mut self, code: u16, data: impl Into<Vec<u8>>) {
        self.0.push((code, data.into()));
    }

    /// The status; success when there is none, `UnspecFail` when it is cut short.
    pub fn status(&self) -> Status {
        let Some(data) = self.get(option::STATUS) else { return Status { code: 0, text: String::new() } };
        let text = String::from_utf8_lossy(data.get(2..).unwrap_or_default()).into_owned();
        Status { code: be16(data, 0).unwrap_or(1), text }
    }

    /// An option that is a list of addresses.
    pub fn addresses(&self, code: u16) -> Vec<Ipv6Addr> {
        let data = self.get(code).unwrap_or_default();
        data.chunks_exact(16).filter_map(|c| <[u8; 16]>::try_from(c).ok()).map(Ipv6Addr::from).collect()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for (code, data) in &self.0 {
            let data = &data[..data.len().min(usize::from(u16::MAX))];
            out.extend(code.to_be_bytes());
            out.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend(data);
        }
    }

    /// An option that runs past the end stops the list; what was before it stays.
    fn parse(mut rest: &[u8]) -> Self {
        let mut options = Options::default();
        while let (Some(code), Some(len)) = (be16(rest, 0), be16(rest, 2)) {
            let Some((data, after)) = rest[4..].split_at_checked(usize::from(len)) else { break };
            options.push(code, data);
            rest = after;
        }
        options
    }
}

/// A message between client and server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: MessageType,
    /// Transaction, 24 bits.
    pub xid: u32,
    /// Options.
    pub options: Options,
}

impl Message {
    /// The octets to send.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.push(self.kind as u8);
        out.extend(&self.xid.to_be_bytes()[1..]);
        self.options.encode(&mut out);
        out
    }
}

/// Parses the payload of a UDP datagram.
///
/// # Errors
/// Too short, or a type that is neither a client's nor a server's message (a relay's, or unknown).
pub fn parse_v6(bytes: &[u8]) -> Result<Message, WireError> {
    let head =
        be32(bytes, 0).ok_or(WireError::Short { what: "DHCPv6 message", len: bytes.len(), need: 4 })?;
    let octet = bytes[0];
    let kind = MessageType::from_octet(octet).ok_or(WireError::Field {
        what: "message type",
        got: octet.into(),
        want: MessageType::Reply as u32,
    })?;
    Ok(Message { kind, xid: head & 0x00ff_ffff, options: Options::parse(&bytes[4..]) })
}

/// Identity association for non-temporary addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IaNa {
    /// Identity of the association, the client's choice.
    pub iaid: u32,
    /// T1, seconds; zero leaves it to the client.
    pub t1: u32,
    /// T2, seconds; zero leaves it to the client.
    pub t2: u32,
    /// Addresses and a status.
    pub options: Options,
}

impl IaNa {
    /// The option's octets.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(12);
        for n in [self.iaid, self.t1, self.t2] {
            out.extend(n.to_be_bytes());
        }
        self.options.encode(&mut out);
        out
    }

    /// Reads the option's octets; nothing when it is too short.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let (iaid, t1, t2) = (be32(data, 0)?, be32(data, 4)?, be32(data, 8)?);
        Some(IaNa { iaid, t1, t2, options: Options::parse(&data[12..]) })
    }

    /// The addresses that may be used: those with a valid lifetime that is not shorter than the preferred one and
    /// without an error status (RFC 8415, 21.6).
    pub fn addresses(&self) -> Vec<IaAddr> {
        let all = self.options.all(option::IA_ADDR).filter_map(IaAddr::parse);
        all.filter(|a| a.valid > 0 && a.preferred <= a.valid && a.status.code == 0 && usable(a.address))
            .collect()
    }
}

fn usable(address: Ipv6Addr) -> bool {
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_unicast_link_local())
}

/// One address of an identity association.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IaAddr {
    /// The address.
    pub address: Ipv6Addr,
    /// Seconds it is preferred.
    pub preferred: u32,
    /// Seconds it is valid; all ones is for ever.
    pub valid: u32,
    /// Status of this address.
    pub status: Status,
}

impl IaAddr {
    /// The option's octets for a message of the client, which leaves both lifetimes zero.
    pub fn encode(address: Ipv6Addr) -> Vec<u8> {
        let mut out = address.octets().to_vec();
        out.extend([0; 8]);
        out
    }

    fn parse(data: &[u8]) -> Option<Self> {
        let address = Ipv6Addr::from(array::<16>(data, 0)?);
        let (preferred, valid) = (be32(data, 16)?, be32(data, 20)?);
        Some(IaAddr { address, preferred, valid, status: Options::parse(&data[24..]).status() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcproto::{Decodable, Encodable, v6 as oracle};
    use proptest::prelude::*;

    #[test]
    fn the_oracle_reads_what_we_write() {
        let mut ia = IaNa { iaid: 9, t1: 0, t2: 0, options: Options::default() };
        ia.options.push(option::IA_ADDR, IaAddr::encode("2001:db8::9".parse().unwrap()));
        let mut options = Options::default();
        options.push(option::CLIENT_ID, *b"\0\x03\0\x01\x02\0\0\0\0\x07");
        options.push(option::IA_NA, ia.encode());
        let bytes = Message { kind: MessageType::Request, xid: 0x00ab_cdef, options }.encode();
        let theirs = oracle::Message::from_bytes(&bytes).unwrap();
        assert_eq!(theirs.msg_type(), oracle::MessageType::Request);
        assert_eq!(theirs.xid_num(), 0x00ab_cdef);
        let Some(oracle::DhcpOption::IANA(read)) = theirs.opts().get(oracle::OptionCode::IANA) else {
            panic!()
        };
        assert_eq!(read.id, 9);
        let Some(oracle::DhcpOption::IAAddr(a)) = read.opts.get(oracle::OptionCode::IAAddr) else { panic!() };
        assert_eq!(a.addr, "2001:db8::9".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn we_read_what_the_oracle_writes() {
        let mut ia = oracle::IANA { id: 7, t1: 10, t2: 20, opts: oracle::DhcpOptions::new() };
        ia.opts.insert(oracle::DhcpOption::IAAddr(oracle::IAAddr {
            addr: "2001:db8::1".parse().unwrap(),
            preferred_life: 30,
            valid_life: 40,
            opts: oracle::DhcpOptions::new(),
        }));
        let mut m = oracle::Message::new_with_id(oracle::MessageType::Reply, [1, 2, 3]);
        m.opts_mut().insert(oracle::DhcpOption::IANA(ia));
        m.opts_mut().insert(oracle::DhcpOption::StatusCode(oracle::StatusCode {
            status: oracle::Status::NoAddrsAvail,
            msg: "none left".into(),
        }));
        let ours = parse_v6(&m.to_vec().unwrap()).unwrap();
        assert_eq!((ours.kind, ours.xid), (MessageType::Reply, 0x0001_0203));
        assert_eq!(ours.options.status(), Status { code: 2, text: "none left".into() });
        let ia = IaNa::parse(ours.options.get(option::IA_NA).unwrap()).unwrap();
        assert_eq!((ia.iaid, ia.t1, ia.t2), (7, 10, 20));
        assert_eq!(ia.addresses()[0].valid, 40);
    }

    #[test]
    fn addresses_that_may_not_be_used_are_left_out() {
        let mut ia = IaNa { iaid: 1, t1: 0, t2: 0, options: Options::default() };
        for (text, preferred, valid) in [
            ("2001:db8::1", 9u32, 5u32),
            ("2001:db8::2", 0, 0),
            ("ff02::1", 1, 2),
            ("fe80::1", 1, 2),
            ("2001:db8::3", 5, 9),
        ] {
            let mut data = text.parse::<Ipv6Addr>().unwrap().octets().to_vec();
            data.extend(preferred.to_be_bytes());
            data.extend(valid.to_be_bytes());
            ia.options.push(option::IA_ADDR, data);
        }
        let left: Vec<_> = ia.addresses().iter().map(|a| a.address.to_string()).collect();
        assert_eq!(left, ["2001:db8::3"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 1u8..10) {
            let _ = parse_v6(&bytes);
            let mut m = vec![kind, 0, 0, 1];
            m.extend(&bytes);
            if let Ok(m) = parse_v6(&m) {
                let _ = m.options.status();
            }
            if let Some(ia) = IaNa::parse(&bytes) {
                let _ = ia.addresses();
            }
        }

        #[test]
        fn encode_then_parse_is_the_same(
            xid in 0u32..0x0100_0000,
            options in proptest::collection::vec((any::<u16>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..9),
        ) {
            let m = Message { kind: MessageType::Reply, xid, options: Options(options) };
            prop_assert_eq!(parse_v6(&m.encode()), Ok(m));
        }
    }
}
