//! `last_reserved_ip.N`.
#![no_main]

use ipam::parse_cursor;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    if let Some(address) = parse_cursor(content) {
        assert_eq!(parse_cursor(address.to_string().as_bytes()), Some(address));
    }
});
