//! Neighbour discovery from the LAN. Two bytes of the input are replaced by the right checksum, else the fuzzer
//! would spend its time on that.
#![no_main]

use kernel::MacAddr;
use kernel::ndp::{NdpMessage, parse};
use libfuzzer_sys::fuzz_target;

const ICMP: usize = 54;

/// RFC 4443, section 2.3, written apart from the code under test.
fn fix_checksum(frame: &mut [u8]) -> Option<()> {
    let len = usize::from(u16::from_be_bytes([*frame.get(18)?, *frame.get(19)?]));
    let end = ICMP + len;
    frame.get(..end).filter(|_| len >= 4)?;
    frame[ICMP + 2..ICMP + 4].fill(0);
    let words =
        frame[22..end].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum = words.sum::<u32>() + u32::try_from(len).ok()? + 58;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = !u16::try_from(sum).ok()?;
    frame[ICMP + 2..ICMP + 4].copy_from_slice(&sum.to_be_bytes());
    Some(())
}

fuzz_target!(|frame: &[u8]| {
    let _ = parse(frame);
    let mut frame = frame.to_vec();
    fix_checksum(&mut frame);
    let Ok(packet) = parse(&frame) else { return };
    // A router's advertisement is only ever read.
    if !matches!(packet.message, NdpMessage::RouterAdvertisement { .. }) {
        assert_eq!(parse(&packet.encode()).as_ref(), Ok(&packet));
    }
    let _ = packet.conflicts_with(MacAddr([2, 0, 0, 0, 0, 1]), packet.dst, Some([1; 6]));
});
