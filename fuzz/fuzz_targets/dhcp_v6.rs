//! DHCPv6 from the LAN: the parser, and the client driven by hostile servers and time.
#![no_main]

use dhcp::clock::Random;
use dhcp::v4::Probe;
use dhcp::v6::{Action, Client, Config, Lease, Phase};
use dhcp::wire::v6::parse_v6;
use libfuzzer_sys::fuzz_target;

const DUID: &[u8] = &[0, 4, 1, 2, 3, 4];
const IAID: u32 = 7;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = parse_v6(bytes) {
        assert_eq!(parse_v6(&message.encode()).as_ref(), Ok(&message));
        let _ = (Lease::read(&message, IAID), message.options.status());
    }
    play(bytes);
});

/// Each step: one byte that says what comes, one for how long it takes, and for a packet one for its length.
fn play(bytes: &[u8]) {
    let rapid_commit = bytes.first().is_some_and(|byte| byte & 1 == 1);
    let probe = Some(Probe { count: 3, interval: 100 });
    let config = Config { duid: DUID.to_vec(), iaid: IAID, rapid_commit, probe };
    let mut now = 1000;
    let mut client = Client::start(config, Random::new(7), now);
    let mut xid = 0;
    let mut rest = bytes.get(1..).unwrap_or_default();
    while let [what, wait, tail @ ..] = rest {
        rest = tail;
        let mut sent = 0;
        while let Some(action) = client.next_action() {
            sent += 1;
            assert!(sent < 100, "it never stops: {action:?}");
            if let Action::Send(message) = action {
                xid = message.xid;
                assert_eq!(parse_v6(&message.encode()), Ok(message));
            }
        }
        now += u64::from(*wait) * 50;
        match what % 4 {
            0 => {
                let [len, tail @ ..] = rest else { return };
                let (packet, tail) = tail.split_at(usize::from(*len).min(tail.len()));
                rest = tail;
                client.on_packet(now, &reply(*what, xid, packet));
            }
            1 => {
                if let Some(address) = client.probing().first().copied() {
                    client.on_conflict(now, address);
                }
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
    let _ = client.release(now);
}

fn option(out: &mut Vec<u8>, code: u16, data: &[u8]) {
    out.extend(code.to_be_bytes());
    out.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
    out.extend(data);
}

/// A server's message that gets past the first look, with the input as what it grants.
fn reply(what: u8, xid: u32, packet: &[u8]) -> Vec<u8> {
    let mut out = vec![[2, 7, 7, 2][usize::from(what >> 2) % 4]];
    out.extend(&xid.to_be_bytes()[1..]);
    option(&mut out, 1, DUID);
    option(&mut out, 2, &[0, 4, 9]);
    if what & 0x80 != 0 {
        // An identity association with one address, its lifetimes from the input.
        let mut times = [0; 16];
        let len = packet.len().min(16);
        times[..len].copy_from_slice(&packet[..len]);
        let mut address = vec![0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
        address.extend(&times[..8]);
        let mut association = IAID.to_be_bytes().to_vec();
        association.extend(&times[8..]);
        option(&mut association, 5, &address);
        option(&mut out, 3, &association);
        out.extend(&packet[len..]);
    } else {
        out.extend(packet);
    }
    out
}
