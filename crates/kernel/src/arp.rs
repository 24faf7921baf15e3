//! ARP for IPv4 over Ethernet: RFC 826, address conflict detection RFC 5227.

use std::net::Ipv4Addr;

use crate::uapi::{ETH_P_ARP, ETH_P_IP};
use crate::{FrameError, MacAddr};

/// Length of an ARP frame without padding: Ethernet header 14, ARP 28.
pub const FRAME_LEN: usize = 42;

/// What an ARP packet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpOperation {
    /// Who has the target's address?
    Request,
    /// The sender has its address.
    Reply,
}

/// An ARP packet with its Ethernet addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpPacket {
    /// The frame's sender.
    pub eth_src: MacAddr,
    /// The frame's receiver.
    pub eth_dst: MacAddr,
    /// Request or reply.
    pub operation: ArpOperation,
    /// The sender's MAC as it says.
    pub sender_mac: MacAddr,
    /// The sender's address; 0.0.0.0 in a probe.
    pub sender_ip: Ipv4Addr,
    /// The target's MAC; zero in a request.
    pub target_mac: MacAddr,
    /// The target's address.
    pub target_ip: Ipv4Addr,
}

impl ArpPacket {
    /// A probe: does anyone have this address? It leaves all caches as they are (RFC 5227 section 2.1.1).
    pub fn probe(mac: MacAddr, ip: Ipv4Addr) -> Self {
        Self::request(mac, Ipv4Addr::UNSPECIFIED, ip)
    }

    /// An announcement: this address is at this MAC (RFC 5227 section 2.3).
    pub fn announcement(mac: MacAddr, ip: Ipv4Addr) -> Self {
        Self::request(mac, ip, ip)
    }

    /// A request to all.
    pub fn request(mac: MacAddr, sender_ip: Ipv4Addr, target_ip: Ipv4Addr) -> Self {
        Self {
            eth_src: mac,
            eth_dst: MacAddr::BROADCAST,
            operation: ArpOperation::Request,
            sender_mac: mac,
            sender_ip,
            target_mac: MacAddr::ZERO,
            target_ip,
        }
    }

    /// A reply to one.
    pub fn reply(mac: MacAddr, ip: Ipv4Addr, to_mac: MacAddr, to_ip: Ipv4Addr) -> Self {
        Self {
            eth_src: mac,
            eth_dst: to_mac,
            operation: ArpOperation::Reply,
            sender_mac: mac,
            sender_ip: ip,
            target_mac: to_mac,
            target_ip: to_ip,
        }
    }

    /// The frame, without padding: the driver pads.
    pub fn encode(&self) -> [u8; FRAME_LEN] {
        let mut frame = [0u8; FRAME_LEN];
        frame[0..6].copy_from_slice(&self.eth_dst.0);
        frame[6..12].copy_from_slice(&self.eth_src.0);
        frame[12..14].copy_from_slice(&ETH_P_ARP.to_be_bytes());
        frame[14..16].copy_from_slice(&1u16.to_be_bytes());
        frame[16..18].copy_from_slice(&ETH_P_IP.to_be_bytes());
        frame[18] = 6;
        frame[19] = 4;
        frame[21] = match self.operation {
            ArpOperation::Request => 1,
            ArpOperation::Reply => 2,
        };
        frame[22..28].copy_from_slice(&self.sender_mac.0);
        frame[28..32].copy_from_slice(&self.sender_ip.octets());
        frame[32..38].copy_from_slice(&self.target_mac.0);
        frame[38..42].copy_from_slice(&self.target_ip.octets());
        frame
    }

    /// Whether it shows that another than `own` uses or wants `ip` (RFC 5227 section 2.1.1 and 2.4): anything sent
    /// from `ip`, or a probe for `ip`.
    pub fn conflicts_with(&self, own: MacAddr, ip: Ipv4Addr) -> bool {
        if self.sender_mac == own {
            return false;
        }
        self.sender_ip == ip
            || (self.operation == ArpOperation::Request
                && self.sender_ip.is_unspecified()
                && self.target_ip == ip)
    }
}

/// Reads a whole Ethernet frame; padding after it is allowed. Takes any bytes.
pub fn parse(frame: &[u8]) -> Result<ArpPacket, FrameError> {
    let Some(frame) = frame.first_chunk::<FRAME_LEN>() else {
        // Say "other" of a short frame that is none of ours.
        return match frame.get(12..14) {
            Some(ethertype) if ethertype != ETH_P_ARP.to_be_bytes() => Err(FrameError::Other),
            _ => Err(FrameError::Short),
        };
    };
    let half = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let mac = |at: usize| MacAddr(std::array::from_fn(|i| frame[at + i]));
    let ip = |at: usize| Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3]);
    if half(12) != ETH_P_ARP || half(14) != 1 || half(16) != ETH_P_IP || frame[18] != 6 || frame[19] != 4 {
        return Err(FrameError::Other);
    }
    let operation = match half(20) {
        1 => ArpOperation::Request,
        2 => ArpOperation::Reply,
        _ => return Err(FrameError::Other),
    };
    Ok(ArpPacket {
        eth_dst: mac(0),
        eth_src: mac(6),
        operation,
        sender_mac: mac(22),
        sender_ip: ip(28),
        target_mac: mac(32),
        target_ip: ip(38),
    })
}
