//! A file that says until when an address is left out.
#![no_main]

use ipam::parse_quarantined;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let _ = parse_quarantined(content);
});
