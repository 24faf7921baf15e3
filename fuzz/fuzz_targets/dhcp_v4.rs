//! DHCPv4 from the LAN: the parser, and the client driven by hostile servers and time.
#![no_main]

use std::net::Ipv4Addr;

use dhcp::clock::Random;
use dhcp::v4::{Action, Client, Config, Lease, Phase, Probe, Retransmission};
use dhcp::wire::frame::Datagram;
use dhcp::wire::v4::parse_v4;
use dhcp::wire::{names, v4};
use libfuzzer_sys::fuzz_target;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = parse_v4(bytes) {
        assert_eq!(parse_v4(&message.encode()).as_ref(), Ok(&message));
        let _ = Lease::read(&message, None, None, &mut Random::new(1));
    }
    if let Ok(datagram) = Datagram::parse(bytes) {
        let _ = parse_v4(datagram.payload);
        assert_eq!(Datagram::parse(&datagram.encode()).as_ref(), Ok(&datagram));
    }
    let _ = (names::parse_names(bytes), names::parse_domain(bytes));
    play(bytes);
});

/// Each step: one byte that says what comes, one for how long it takes, and for a packet one for its length.
fn play(bytes: &[u8]) {
    let config = Config {
        mac: MAC,
        options: vec![(v4::option::CLIENT_ID, b"\0pod".to_vec())],
        parameters: vec![1, 3, 6, 121],
        retransmission: Retransmission { first: 4000, max: 64_000 },
        probe: Some(Probe { count: 3, interval: 100 }),
    };
    let wish = bytes.first().filter(|byte| **byte & 1 == 1).map(|_| Ipv4Addr::new(10, 0, 0, 9));
    let mut now = 1000;
    let mut client = Client::start(config, Random::new(7), now, wish);
    let mut xid = 0;
    let mut rest = bytes.get(1..).unwrap_or_default();
    while let [what, wait, tail @ ..] = rest {
        rest = tail;
        let mut sent = 0;
        while let Some(action) = client.next_action() {
            sent += 1;
            assert!(sent < 100, "it never stops: {action:?}");
            if let Action::Send { message, .. } = action {
                xid = message.xid;
                assert_eq!(parse_v4(&message.encode()), Ok(message));
            }
        }
        now += u64::from(*wait) * 50;
        match what % 4 {
            0 => {
                let [len, tail @ ..] = rest else { return };
                let (packet, tail) = tail.split_at(usize::from(*len).min(tail.len()));
                rest = tail;
                client.on_packet(now, &reply(*what, xid, packet), Some(MAC));
            }
            1 => {
                let held = client.held().map_or(Ipv4Addr::UNSPECIFIED, |held| held.lease.address);
                client.on_arp(now, [2, 0, 0, 0, 0, *what], held, held);
            }
            _ => {
                now = client.deadline().map_or(now, |deadline| deadline.max(now));
                // A poll loop that is told "now" again and again would spin.
                let mut calls = 0;
                while calls == 0 || client.deadline().is_some_and(|deadline| deadline <= now) {
                    client.on_time(now);
                    calls += 1;
                    assert!(calls < 10, "{:?} wants to be called for ever", client.phase());
                }
            }
        }
        if client.phase() == Phase::Bound {
            assert!(client.held().is_some());
        }
    }
    let _ = client.release();
}

/// A server's message that gets past the first look, with the input as its address and options.
fn reply(what: u8, xid: u32, packet: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 236];
    out[..4].copy_from_slice(&[2, 1, 6, 0]);
    out[4..8].copy_from_slice(&xid.to_be_bytes());
    out[16..20].copy_from_slice(&[10, 0, 0, packet.first().copied().unwrap_or(9)]);
    out[28..34].copy_from_slice(&MAC);
    out.extend([99, 130, 83, 99, 53, 1, [2, 5, 6, 5][usize::from(what >> 2) % 4]]);
    if what & 0x80 != 0 {
        out.extend([54, 4, 10, 0, 0, 1, 1, 4, 255, 255, 255, 0]);
    }
    out.extend(packet.get(1..).unwrap_or_default());
    out
}
