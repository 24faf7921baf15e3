//! A result of another plugin: whatever is taken can be said again, in every version that can say it.
#![no_main]

use cni::{CniResult, Version, delegate, json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for default in [Version::V020, Version::V040, Version::V110] {
        let Ok(result) = delegate::parse_answer(bytes, default) else { continue };
        for version in Version::ALL {
            let Ok(said) = result.to_json(*version) else {
                assert!(*version < Version::V030 && result.ips.is_empty());
                continue;
            };
            let text = said.to_pretty();
            let parsed = json::parse(text.as_bytes()).expect("what we write is JSON");
            let again = CniResult::parse(&parsed, Version::V110).expect("what we write is a result");
            assert_eq!(again.to_json(*version).expect("twice").to_pretty(), text);
            if *version == Version::V110 {
                assert_eq!(again, result);
            }
        }
    }
    if let Ok(value) = json::parse(bytes) {
        let _ = cni::Error::from_json(&value).map(|error| error.to_json());
    }
});
