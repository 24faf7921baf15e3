//! IPv6 neighbour discovery: RFC 4861, duplicate address detection RFC 4862 and 7527.

use std::net::Ipv6Addr;

use crate::uapi::ETH_P_IPV6;
use crate::{FrameError, MacAddr};

/// All nodes on the link, ff02::1.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers on the link, ff02::2.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const ROUTER_ADVERTISEMENT: u8 = 134;
/// Ethernet 14, IPv6 40.
const ICMP: usize = 54;

/// A neighbour discovery message with the addresses of its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NdpPacket {
    /// The frame's sender.
    pub eth_src: MacAddr,
    /// The frame's receiver.
    pub eth_dst: MacAddr,
    /// The packet's sender; unspecified in duplicate address detection.
    pub src: Ipv6Addr,
    /// The packet's receiver.
    pub dst: Ipv6Addr,
    /// What it says.
    pub message: NdpMessage,
}

/// What a neighbour discovery message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NdpMessage {
    /// Who has the target?
    Solicitation {
        /// The address asked for.
        target: Ipv6Addr,
        /// The sender's MAC; absent in duplicate address detection.
        source_mac: Option<MacAddr>,
        /// A number to know one's own solicitation when it loops back (RFC 7527).
        nonce: Option<[u8; 6]>,
    },
    /// Someone has the target.
    Advertisement {
        /// The address it has.
        target: Ipv6Addr,
        /// Its MAC.
        target_mac: Option<MacAddr>,
        /// It is a router.
        router: bool,
        /// It answers a solicitation.
        solicited: bool,
        /// Caches shall take the new MAC.
        overrides: bool,
    },
    /// A router says what it offers.
    RouterAdvertisement {
        /// Seconds it is a default router; 0 is not.
        lifetime: u16,
        /// Addresses come by DHCPv6.
        managed: bool,
        /// Other settings come by DHCPv6.
        other: bool,
        /// Its MAC.
        source_mac: Option<MacAddr>,
        /// The link's MTU.
        mtu: Option<u32>,
        /// Prefixes on the link.
        prefixes: Vec<RaPrefix>,
    },
}

/// A prefix of a router advertisement (RFC 4861 section 4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaPrefix {
    /// The prefix.
    pub prefix: Ipv6Addr,
    /// Its length in bits.
    pub len: u8,
    /// Addresses in it are on the link.
    pub on_link: bool,
    /// Addresses may be made from it.
    pub autonomous: bool,
    /// Seconds it is valid.
    pub valid: u32,
    /// Seconds addresses from it are preferred.
    pub preferred: u32,
}

/// The multicast group that listens for solicitations of an address (RFC 4291 section 2.7.1).
pub fn solicited_node(ip: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = ip.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

/// The Ethernet address of an IPv6 multicast group (RFC 2464 section 7).
pub fn multicast_mac(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr([0x33, 0x33, a, b, c, d])
}

impl NdpPacket {
    /// Duplicate address detection: does anyone have this address? (RFC 4862 section 5.4.2)
    pub fn dad(mac: MacAddr, ip: Ipv6Addr, nonce: Option<[u8; 6]>) -> Self {
        let dst = solicited_node(ip);
        Self {
            eth_src: mac,
            eth_dst: multicast_mac(dst),
            src: Ipv6Addr::UNSPECIFIED,
            dst,
            message: NdpMessage::Solicitation { target: ip, source_mac: None, nonce },
        }
    }

    /// Says to all nodes, unasked, that this address is at this MAC (RFC 4861 section 7.2.6).
    pub fn announcement(mac: MacAddr, ip: Ipv6Addr) -> Self {
        Self {
            eth_src: mac,
            eth_dst: multicast_mac(ALL_NODES),
            src: ip,
            dst: ALL_NODES,
            message: NdpMessage::Advertisement {
                target: ip,
                target_mac: Some(mac),
                router: false,
                solicited: false,
                overrides: true,
            },
        }
    }

    /// The whole frame with its checksum.
    pub fn encode(&self) -> Vec<u8> {
        let mut icmp = Vec::with_capacity(40);
        match &self.message {
            NdpMessage::Solicitation { target, source_mac, nonce } => {
                icmp.extend_from_slice(&[SOLICITATION, 0, 0, 0, 0, 0, 0, 0]);
                icmp.extend_from_slice(&target.octets());
                option(&mut icmp, 1, source_mac.map(|m| m.0));
                option(&mut icmp, 14, *nonce);
            }
            NdpMessage::Advertisement { target, target_mac, router, solicited, overrides } => {
                let flags = u8::from(*router) << 7 | u8::from(*solicited) << 6 | u8::from(*overrides) << 5;
                icmp.extend_from_slice(&[ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0]);
                icmp.extend_from_slice(&target.octets());
                option(&mut icmp, 2, target_mac.map(|m| m.0));
            }
            NdpMessage::RouterAdvertisement { lifetime, managed, other, source_mac, mtu, prefixes } => {
                let flags = u8::from(*managed) << 7 | u8::from(*other) << 6;
                let [high, low] = lifetime.to_be_bytes();
                icmp.extend_from_slice(&[ROUTER_ADVERTISEMENT, 0, 0, 0, 64, flags, high, low]);
                icmp.extend_from_slice(&[0; 8]);
                option(&mut icmp, 1, source_mac.map(|m| m.0));
                if let Some(mtu) = mtu {
                    icmp.extend_from_slice(&[5, 1, 0, 0]);
                    icmp.extend_from_slice(&mtu.to_be_bytes());
                }
                for p in prefixes {
                    let flags = u8::from(p.on_link) << 7 | u8::from(p.autonomous) << 6;
                    icmp.extend_from_slice(&[3, 4, p.len, flags]);
                    icmp.extend_from_slice(&p.valid.to_be_bytes());
                    icmp.extend_from_slice(&p.preferred.to_be_bytes());
                    icmp.extend_from_slice(&[0; 4]);
                    icmp.extend_from_slice(&p.prefix.octets());
                }
            }
        }
        let sum = checksum(&self.src, &self.dst, &icmp);
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut frame = Vec::with_capacity(ICMP + icmp.len());
        frame.extend_from_slice(&self.eth_dst.0);
        frame.extend_from_slice(&self.eth_src.0);
        frame.extend_from_slice(&ETH_P_IPV6.to_be_bytes());
        frame.extend_from_slice(&[0x60, 0, 0, 0]);
        // An advertisement of 2,000 prefixes would not fit; the checksum above covers the same length.
        frame.extend_from_slice(&u16::try_from(icmp.len()).unwrap_or(u16::MAX).to_be_bytes());
        frame.extend_from_slice(&[58, 255]);
        frame.extend_from_slice(&self.src.octets());
        frame.extend_from_slice(&self.dst.octets());
        frame.extend_from_slice(&icmp);
        frame
    }

    /// Whether it shows that another than `own` uses or wants `ip` (RFC 4862 section 5.4): an advertisement of it, or
    /// a solicitation for it from nowhere. `nonce` is our own solicitations', to know them when they loop back.
    pub fn conflicts_with(&self, own: MacAddr, ip: Ipv6Addr, nonce: Option<[u8; 6]>) -> bool {
        if self.eth_src == own {
            return false;
        }
        match &self.message {
            NdpMessage::Advertisement { target, target_mac, .. } => *target == ip && *target_mac != Some(own),
            NdpMessage::Solicitation { target, nonce: theirs, .. } => {
                *target == ip && self.src.is_unspecified() && (nonce.is_none() || *theirs != nonce)
            }
            NdpMessage::RouterAdvertisement { .. } => false,
        }
    }
}

/// An option of eight bytes.
fn option(icmp: &mut Vec<u8>, kind: u8, value: Option<[u8; 6]>) {
    if let Some(value) = value {
        icmp.extend_from_slice(&[kind, 1]);
        icmp.extend_from_slice(&value);
    }
}

/// The Internet checksum over the pseudo header and the message, whose own checksum is zero or counted in.
fn checksum(src: &Ipv6Addr, dst: &Ipv6Addr, icmp: &[u8]) -> u16 {
    let mut sum = icmp.len() as u64 + 58;
    for part in [&src.octets()[..], &dst.octets()[..], icmp] {
        for pair in part.chunks(2) {
            sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    #[allow(clippy::cast_possible_truncation)] // Folded to 16 bits above.
    let sum = sum as u16;
    !sum
}

/// Reads a whole Ethernet frame with a neighbour solicitation, neighbour advertisement or router advertisement, and
/// checks it as RFC 4861 sections 6.1.2, 7.1.1 and 7.1.2 demand. Takes any bytes.
pub fn parse(frame: &[u8]) -> Result<NdpPacket, FrameError> {
    let ethertype = frame.get(12..14).ok_or(FrameError::Short)?;
    if ethertype != ETH_P_IPV6.to_be_bytes() {
        return Err(FrameError::Other);
    }
    let header = frame.first_chunk::<ICMP>().ok_or(FrameError::Short)?;
    if header[14] >> 4 != 6 || header[20] != 58 {
        return Err(FrameError::Other);
    }
    let len = usize::from(u16::from_be_bytes([header[18], header[19]]));
    let icmp = frame.get(ICMP..ICMP + len).ok_or(FrameError::Short)?;
    let kind = *icmp.first().ok_or(FrameError::Short)?;
    if !matches!(kind, SOLICITATION | ADVERTISEMENT | ROUTER_ADVERTISEMENT) {
        return Err(FrameError::Other);
    }
    let (src, dst) = (address(&header[22..38])?, address(&header[38..54])?);
    if header[21] != 255 {
        return Err(FrameError::Invalid("hop limit"));
    }
    if checksum(&src, &dst, icmp) != 0 {
        return Err(FrameError::Checksum);
    }
    if icmp.get(1) != Some(&0) {
        return Err(FrameError::Invalid("code"));
    }
    let message = match kind {
        SOLICITATION => solicitation(icmp, src, dst)?,
        ADVERTISEMENT => advertisement(icmp, dst)?,
        _ => router_advertisement(icmp, src)?,
    };
    let mac = |at: usize| MacAddr(std::array::from_fn(|i| header[at + i]));
    Ok(NdpPacket { eth_dst: mac(0), eth_src: mac(6), src, dst, message })
}

fn address(bytes: &[u8]) -> Result<Ipv6Addr, FrameError> {
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| FrameError::Short)?;
    Ok(bytes.into())
}

fn target(icmp: &[u8]) -> Result<(Ipv6Addr, &[u8]), FrameError> {
    let target = address(icmp.get(8..24).ok_or(FrameError::Short)?)?;
    if target.is_multicast() {
        return Err(FrameError::Invalid("target"));
    }
    Ok((target, &icmp[24..]))
}

fn solicitation(icmp: &[u8], src: Ipv6Addr, dst: Ipv6Addr) -> Result<NdpMessage, FrameError> {
    let (target, options) = target(icmp)?;
    let (mut source_mac, mut nonce) = (None, None);
    each_option(options, |kind, value| match kind {
        1 => source_mac = source_mac.or(MacAddr::from_slice(value)),
        14 => nonce = nonce.or(value.try_into().ok()),
        _ => {}
    })?;
    if src.is_unspecified() {
        if dst.octets()[..13] != solicited_node(Ipv6Addr::UNSPECIFIED).octets()[..13] {
            return Err(FrameError::Invalid("destination"));
        }
        if source_mac.is_some() {
            return Err(FrameError::Invalid("source link-layer address"));
        }
    }
    Ok(NdpMessage::Solicitation { target, source_mac, nonce })
}

fn advertisement(icmp: &[u8], dst: Ipv6Addr) -> Result<NdpMessage, FrameError> {
    let (target, options) = target(icmp)?;
    let flags = icmp[4];
    let solicited = flags & 0x40 != 0;
    if dst.is_multicast() && solicited {
        return Err(FrameError::Invalid("solicited flag"));
    }
    let mut target_mac = None;
    each_option(options, |kind, value| {
        if kind == 2 {
            target_mac = target_mac.or(MacAddr::from_slice(value));
        }
    })?;
    let (router, overrides) = (flags & 0x80 != 0, flags & 0x20 != 0);
    Ok(NdpMessage::Advertisement { target, target_mac, router, solicited, overrides })
}

fn router_advertisement(icmp: &[u8], src: Ipv6Addr) -> Result<NdpMessage, FrameError> {
    let head = icmp.first_chunk::<16>().ok_or(FrameError::Short)?;
    if !src.is_unicast_link_local() {
        return Err(FrameError::Invalid("source"));
    }
    let (mut source_mac, mut mtu, mut prefixes) = (None, None, Vec::new());
    each_option(&icmp[16..], |kind, value| match (kind, value) {
        (1, mac) => source_mac = source_mac.or(MacAddr::from_slice(mac)),
        (5, [_, _, m @ ..]) => mtu = mtu.or(m.try_into().ok().map(u32::from_be_bytes)),
        (3, [len, flags, rest @ ..]) if rest.len() == 28 && *len <= 128 => {
            let word = |at: usize| u32::from_be_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
            prefixes.push(RaPrefix {
                prefix: Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(|i| rest[12 + i])),
                len: *len,
                on_link: flags & 0x80 != 0,
                autonomous: flags & 0x40 != 0,
                valid: word(0),
                preferred: word(4),
            });
        }
        _ => {}
    })?;
    Ok(NdpMessage::RouterAdvertisement {
        lifetime: u16::from_be_bytes([head[6], head[7]]),
        managed: head[5] & 0x80 != 0,
        other: head[5] & 0x40 != 0,
        source_mac,
        mtu,
        prefixes,
    })
}

/// Calls `f` with the kind and value of each option. A length of zero or beyond the end makes the packet invalid.
fn each_option(mut options: &[u8], mut f: impl FnMut(u8, &[u8])) -> Result<(), FrameError> {
    while let [kind, units, ..] = *options {
        let len = usize::from(units) * 8;
        if len == 0 {
            return Err(FrameError::Invalid("option length"));
        }
        let value = options.get(2..len).ok_or(FrameError::Short)?;
        f(kind, value);
        options = &options[len..];
    }
    if options.is_empty() { Ok(()) } else { Err(FrameError::Short) }
}
