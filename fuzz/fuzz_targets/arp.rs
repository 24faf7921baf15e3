//! ARP frames from the LAN.
#![no_main]

use kernel::MacAddr;
use kernel::arp::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    let Ok(packet) = parse(frame) else { return };
    assert_eq!(parse(&packet.encode()), Ok(packet));
    let own = MacAddr([2, 0, 0, 0, 0, 1]);
    let _ = (
        packet.conflicts_with(own, packet.sender_ip),
        packet.conflicts_with(packet.sender_mac, packet.target_ip),
    );
});
