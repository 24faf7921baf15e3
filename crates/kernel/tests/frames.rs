//! Our ARP and NDP frames against etherparse, and hostile frames. No kernel, no root.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation)]

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{ArpOperation as Theirs, EtherType, Icmpv6Slice, SlicedPacket};
use kernel::arp::{self, ArpOperation, ArpPacket};
use kernel::ndp::{self, NdpMessage, NdpPacket, RaPrefix};
use kernel::{FrameError, MacAddr};
use proptest::option::of;
use proptest::prelude::*;

fn mac() -> impl Strategy<Value = MacAddr> {
    any::<[u8; 6]>().prop_map(MacAddr)
}

fn unicast() -> impl Strategy<Value = Ipv6Addr> {
    any::<Ipv6Addr>().prop_filter("unicast", |ip| !ip.is_multicast() && !ip.is_unspecified())
}

fn message() -> impl Strategy<Value = (Ipv6Addr, Ipv6Addr, NdpMessage)> {
    let solicitation = (unicast(), unicast(), of(mac()), of(any::<[u8; 6]>())).prop_map(
        |(src, target, source_mac, nonce)| {
            (src, ndp::solicited_node(target), NdpMessage::Solicitation { target, source_mac, nonce })
        },
    );
    let dad = (unicast(), of(any::<[u8; 6]>())).prop_map(|(target, nonce)| {
        let message = NdpMessage::Solicitation { target, source_mac: None, nonce };
        (Ipv6Addr::UNSPECIFIED, ndp::solicited_node(target), message)
    });
    let advertisement = (unicast(), unicast(), unicast(), of(mac()), any::<[bool; 3]>()).prop_map(
        |(src, dst, target, target_mac, [router, solicited, overrides])| {
            let message = NdpMessage::Advertisement { target, target_mac, router, solicited, overrides };
            (src, dst, message)
        },
    );
    let prefix = (any::<Ipv6Addr>(), 0..=128u8, any::<[bool; 2]>(), any::<[u32; 2]>()).prop_map(
        |(prefix, len, [on_link, autonomous], [valid, preferred])| RaPrefix {
            prefix,
            len,
            on_link,
            autonomous,
            valid,
            preferred,
        },
    );
    let router = (
        any::<u64>(),
        any::<u16>(),
        any::<[bool; 2]>(),
        of(mac()),
        of(any::<u32>()),
        proptest::collection::vec(prefix, 0..5),
    )
        .prop_map(|(id, lifetime, [managed, other], source_mac, mtu, prefixes)| {
            let src = Ipv6Addr::from((0xfe80_u128 << 112) | u128::from(id));
            let message =
                NdpMessage::RouterAdvertisement { lifetime, managed, other, source_mac, mtu, prefixes };
            (src, ndp::ALL_NODES, message)
        });
    prop_oneof![solicitation, dad, advertisement, router]
}

proptest! {
    #[test]
    fn arp_agrees(
        eth_src in mac(), eth_dst in mac(), sender_mac in mac(), target_mac in mac(), request: bool,
        sender_ip: Ipv4Addr, target_ip: Ipv4Addr, padding in 0..64usize,
    ) {
        let operation = if request { ArpOperation::Request } else { ArpOperation::Reply };
        let packet = ArpPacket { eth_src, eth_dst, operation, sender_mac, sender_ip, target_mac, target_ip };
        let frame = packet.encode().to_vec();
        let read = SlicedPacket::from_ethernet(&frame).unwrap();
        let ethernet = read.link.as_ref().unwrap().to_header().unwrap().ethernet2().unwrap();
        prop_assert_eq!((ethernet.source, ethernet.destination), (eth_src.0, eth_dst.0));
        prop_assert_eq!(ethernet.ether_type, EtherType::ARP);
        let Some(etherparse::NetSlice::Arp(arp)) = read.net else { panic!() };
        prop_assert_eq!(arp.operation(), if request { Theirs::REQUEST } else { Theirs::REPLY });
        prop_assert_eq!(arp.sender_hw_addr(), sender_mac.0);
        prop_assert_eq!(arp.target_hw_addr(), target_mac.0);
        prop_assert_eq!(arp.sender_protocol_addr(), sender_ip.octets());
        prop_assert_eq!(arp.target_protocol_addr(), target_ip.octets());
        let mut frame = frame.clone();
        frame.resize(frame.len() + padding, 0xee);
        prop_assert_eq!(arp::parse(&frame), Ok(packet));
    }

    #[test]
    fn ndp_agrees(eth_src in mac(), eth_dst in mac(), (src, dst, message) in message(), padding in 0..64usize) {
        let packet = NdpPacket { eth_src, eth_dst, src, dst, message };
        let frame = packet.encode();
        let read = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(etherparse::NetSlice::Ipv6(ip)) = read.net else { panic!() };
        prop_assert_eq!((ip.header().source_addr(), ip.header().destination_addr()), (src, dst));
        prop_assert_eq!(ip.header().hop_limit(), 255);
        let Some(etherparse::TransportSlice::Icmpv6(icmp)) = read.transport else { panic!() };
        check_sum(&icmp, src, dst)?;
        let kind = match packet.message {
            NdpMessage::Solicitation { .. } => 135,
            NdpMessage::Advertisement { .. } => 136,
            NdpMessage::RouterAdvertisement { .. } => 134,
        };
        prop_assert_eq!(icmp.type_u8(), kind);
        let mut frame = frame.clone();
        frame.resize(frame.len() + padding, 0xee);
        prop_assert_eq!(ndp::parse(&frame), Ok(packet));
    }

    #[test]
    fn any_frame_is_safe(frame: Vec<u8>) {
        let _ = arp::parse(&frame);
        let _ = ndp::parse(&frame);
    }

    /// A damaged frame is refused, or differs only in what no checksum covers.
    #[test]
    fn damaged_frames_are_refused((src, dst, message) in message(), at: usize, bit in 0..8u8, cut: usize) {
        let packet = NdpPacket { eth_src: MacAddr::ZERO, eth_dst: MacAddr::ZERO, src, dst, message };
        let mut frame = packet.encode();
        let cut = cut % frame.len();
        prop_assert!(ndp::parse(&frame[..cut]).is_err());
        let at = 54 + at % (frame.len() - 54);
        frame[at] ^= 1 << bit;
        prop_assert!(ndp::parse(&frame).is_err());
    }
}

fn check_sum(icmp: &Icmpv6Slice<'_>, src: Ipv6Addr, dst: Ipv6Addr) -> Result<(), TestCaseError> {
    prop_assert!(icmp.is_checksum_valid(src.octets(), dst.octets()));
    Ok(())
}

#[test]
fn solicited_node_groups() {
    let ip: Ipv6Addr = "2001:db8::aabb:ccdd".parse().unwrap();
    let group = ndp::solicited_node(ip);
    assert_eq!(group, "ff02::1:ffbb:ccdd".parse::<Ipv6Addr>().unwrap());
    assert_eq!(ndp::multicast_mac(group).to_string(), "33:33:ff:bb:cc:dd");
}

#[test]
fn arp_conflicts() {
    let (own, other) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    let ip = Ipv4Addr::new(10, 1, 2, 3);
    for (packet, conflict) in [
        (ArpPacket::probe(own, ip), false),
        (ArpPacket::announcement(own, ip), false),
        (ArpPacket::probe(other, ip), true),
        (ArpPacket::announcement(other, ip), true),
        (ArpPacket::reply(other, ip, own, Ipv4Addr::UNSPECIFIED), true),
        (ArpPacket::probe(other, [10, 1, 2, 4].into()), false),
        // Someone asks who has the address: no claim on it.
        (ArpPacket::request(other, [10, 1, 2, 4].into(), ip), false),
    ] {
        assert_eq!(packet.conflicts_with(own, ip), conflict, "{packet:?}");
    }
}

#[test]
fn ndp_conflicts() {
    let (own, other) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    let ip = "2001:db8::3".parse().unwrap();
    let nonce = Some([1, 2, 3, 4, 5, 6]);
    for (packet, conflict) in [
        (NdpPacket::dad(own, ip, nonce), false),
        (NdpPacket::announcement(own, ip), false),
        (NdpPacket::dad(other, ip, None), true),
        (NdpPacket::dad(other, ip, Some([9; 6])), true),
        // Ours, sent back by the switch under another MAC (RFC 7527).
        (NdpPacket::dad(other, ip, nonce), false),
        (NdpPacket::announcement(other, ip), true),
        (NdpPacket::announcement(other, "2001:db8::4".parse().unwrap()), false),
    ] {
        assert_eq!(packet.conflicts_with(own, ip, nonce), conflict, "{packet:?}");
    }
}

#[test]
fn ndp_rules_are_enforced() {
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let ip: Ipv6Addr = "2001:db8::3".parse().unwrap();
    let dad = NdpPacket::dad(mac, ip, None);
    let NdpMessage::Solicitation { target, .. } = dad.message else { panic!() };
    let message = NdpMessage::Solicitation { target, source_mac: Some(mac), nonce: None };
    let with_mac = NdpPacket { message, ..dad.clone() };
    assert_eq!(ndp::parse(&with_mac.encode()), Err(FrameError::Invalid("source link-layer address")));
    let elsewhere = NdpPacket { dst: ndp::ALL_NODES, ..dad.clone() };
    assert_eq!(ndp::parse(&elsewhere.encode()), Err(FrameError::Invalid("destination")));
    let mut forwarded = dad.encode();
    forwarded[21] = 254;
    assert_eq!(ndp::parse(&forwarded), Err(FrameError::Invalid("hop limit")));
    let multicast = NdpPacket::dad(mac, ndp::ALL_NODES, None);
    assert_eq!(ndp::parse(&multicast.encode()), Err(FrameError::Invalid("target")));
    let mut announcement = NdpPacket::announcement(mac, ip);
    if let NdpMessage::Advertisement { solicited, .. } = &mut announcement.message {
        *solicited = true;
    }
    assert_eq!(ndp::parse(&announcement.encode()), Err(FrameError::Invalid("solicited flag")));
    assert_eq!(ndp::parse(&[0; 60]), Err(FrameError::Other));
    assert_eq!(ndp::parse(&[]), Err(FrameError::Short));
    assert_eq!(arp::parse(&dad.encode()), Err(FrameError::Other));
}
