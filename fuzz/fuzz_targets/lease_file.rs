//! A file of the host-local directory, which any version of any plugin or a power cut may have left.
#![no_main]

use ipam::{Record, parse_record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let record = parse_record(content);
    let _ = record.to_string();
    if let Record::Owned(owner) = record {
        assert_eq!(parse_record(owner.record_text().as_bytes()), Record::Owned(owner));
    }
});
