//! Ethernet frames with one UDP datagram over IPv4: what a client without an address sends and receives.

use std::net::Ipv4Addr;

use super::{WireError, array, be16};

/// Ethernet's all-ones address.
pub const BROADCAST: [u8; 6] = [0xff; 6];

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const UDP: usize = 8;
const PROTOCOL_UDP: u8 = 17;

/// A UDP datagram with the addresses of its frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Ethernet source.
    pub source_mac: [u8; 6],
    /// Ethernet destination.
    pub target_mac: [u8; 6],
    /// IPv4 source.
    pub source: Ipv4Addr,
    /// IPv4 destination.
    pub target: Ipv4Addr,
    /// UDP source port.
    pub source_port: u16,
    /// UDP destination port.
    pub target_port: u16,
    /// What it carries.
    pub payload: &'a [u8],
}

impl Datagram<'_> {
    /// The frame, both checksums filled in. A payload too long for an IPv4 packet is cut.
    pub fn encode(&self) -> Vec<u8> {
        let payload = &self.payload[..self.payload.len().min(usize::from(u16::MAX) - IPV4 - UDP)];
        let udp_len = u16::try_from(UDP + payload.len()).unwrap_or(u16::MAX);
        let ip_len = udp_len.saturating_add(20);
        let mut out = Vec::with_capacity(ETHERNET + IPV4 + UDP + payload.len());
        out.extend(self.target_mac);
        out.extend(self.source_mac);
        out.extend([0x08, 0x00]);
        let mut ip = [0u8; IPV4];
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&ip_len.to_be_bytes());
        ip[8] = 64;
        ip[9] = PROTOCOL_UDP;
        ip[12..16].copy_from_slice(&self.source.octets());
        ip[16..20].copy_from_slice(&self.target.octets());
        let sum = checksum(0, &ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        out.extend(ip);
        let mut udp = [0u8; UDP];
        udp[0..2].copy_from_slice(&self.source_port.to_be_bytes());
        udp[2..4].copy_from_slice(&self.target_port.to_be_bytes());
        udp[4..6].copy_from_slice(&udp_len.to_be_bytes());
        let mut covered = Vec::with_capacity(12 + UDP + payload.len());
        covered.extend(self.source.octets());
        covered.extend(self.target.octets());
        covered.extend([0, PROTOCOL_UDP]);
        covered.extend(udp_len.to_be_bytes());
        covered.extend(udp);
        covered.extend(payload);
        // RFC 768: a sum of zero is sent as all ones, zero means "none".
        let sum = match checksum(0, &covered) {
            0 => 0xffff,
            sum => sum,
        };
        udp[6..8].copy_from_slice(&sum.to_be_bytes());
        out.extend(udp);
        out.extend(payload);
        out
    }

    /// Parses a frame. The UDP checksum is not looked at: a server on the same machine sends frames whose sum the
    /// kernel leaves to a network card that never comes (checksum offload on veth and macvlan). Transaction, MAC
    /// and message type are checked above.
    ///
    /// # Errors
    /// Anything but one whole, unfragmented UDP datagram over IPv4.
    pub fn parse(frame: &[u8]) -> Result<Datagram<'_>, WireError> {
        let short = |need| WireError::Short { what: "frame", len: frame.len(), need };
        let field =
            |what, got, want| if got == want { Ok(()) } else { Err(WireError::Field { what, got, want }) };
        field("ethertype", be16(frame, 12).ok_or(short(ETHERNET))?.into(), 0x0800)?;
        let ip = &frame[ETHERNET..];
        let head = ip.get(..IPV4).ok_or(short(ETHERNET + IPV4))?;
        field("IP version", (head[0] >> 4).into(), 4)?;
        let head_len = usize::from(head[0] & 15) * 4;
        let whole = ip.get(..head_len.max(IPV4)).ok_or(short(ETHERNET + head_len))?;
        field("IPv4 checksum", checksum(0, whole).into(), 0)?;
        field("protocol", head[9].into(), PROTOCOL_UDP.into())?;
        // More-fragments or an offset: half a datagram.
        field("fragment", u32::from(be16(head, 6).unwrap_or(0) & 0x3fff), 0)?;
        let total = usize::from(be16(head, 2).unwrap_or(0));
        // Ethernet pads short frames: the packet ends where its own length says.
        let packet = ip.get(..total).ok_or(WireError::Overrun("IPv4 packet"))?;
        let udp = packet.get(whole.len()..).ok_or(WireError::Overrun("IPv4 header"))?;
        let udp_len = usize::from(be16(udp, 4).ok_or(WireError::Overrun("UDP header"))?);
        let datagram = udp.get(..udp_len).ok_or(WireError::Overrun("UDP datagram"))?;
        let payload = datagram.get(UDP..).ok_or(WireError::Overrun("UDP header"))?;
        let missing = WireError::Overrun("header");
        Ok(Datagram {
            target_mac: array(frame, 0).ok_or(missing)?,
            source_mac: array(frame, 6).ok_or(missing)?,
            source: Ipv4Addr::from(array::<4>(head, 12).ok_or(missing)?),
            target: Ipv4Addr::from(array::<4>(head, 16).ok_or(missing)?),
            source_port: be16(udp, 0).ok_or(missing)?,
            target_port: be16(udp, 2).ok_or(missing)?,
            payload,
        })
    }
}

/// The Internet checksum (RFC 1071) over `bytes`; zero when a stored sum is part of them and right.
fn checksum(start: u32, bytes: &[u8]) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        sum += u32::from(word);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum & 0xffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_frame_comes_back(
            source_mac: [u8; 6], target_mac: [u8; 6], s: [u8; 4], t: [u8; 4], source_port: u16, target_port: u16,
            payload in proptest::collection::vec(any::<u8>(), 0..600), padding in 0usize..40,
        ) {
            let d = Datagram { source_mac, target_mac, source: s.into(), target: t.into(), source_port, target_port,
                payload: &payload };
            let mut frame = d.encode();
            prop_assert_eq!(checksum(0, &frame[14..34]), 0);
            frame.resize(frame.len() + padding, 0);
            prop_assert_eq!(Datagram::parse(&frame), Ok(d));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), flip in 0usize..60) {
            let _ = Datagram::parse(&bytes);
            let d = Datagram { source_mac: [1; 6], target_mac: BROADCAST, source: [1, 2, 3, 4].into(),
                target: [5, 6, 7, 8].into(), source_port: 67, target_port: 68, payload: &bytes };
            let mut frame = d.encode();
            let at = flip % frame.len();
            frame[at] = frame[at].wrapping_add(bytes.first().copied().unwrap_or(1));
            let _ = Datagram::parse(&frame);
            let _ = Datagram::parse(&frame[..at]);
        }
    }
}
