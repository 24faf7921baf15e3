//! `CNI_ARGS`.
#![no_main]

use cni::Args;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let known = ["IP", "MAC", "GATEWAY"];
    let lenient = Args::lenient(text);
    match Args::strict(text, &known) {
        Ok(strict) => {
            for (key, value) in strict.iter() {
                assert!(known.contains(&key) && !value.contains(['=', ';']));
            }
            for key in known {
                assert_eq!(strict.get(key), lenient.get(key), "{key}");
            }
        }
        Err(error) => assert!(error.code() == 4 && error.to_string().starts_with("ARGS: "), "{error}"),
    }
});
