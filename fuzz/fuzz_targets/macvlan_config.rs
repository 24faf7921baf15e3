//! The keys of `type: macvlan`: whatever is refused is refused with a code.
#![no_main]

use attach::macvlan::Conf;
use cni::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let variables = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "c0"),
        ("CNI_NETNS", "/nonexistent"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_PATH", "/nonexistent"),
    ];
    // The members after the ones every configuration needs, so that the fuzzer spends its time on keys.
    let text = format!(r#"{{"cniVersion":"1.1.0","name":"lan","type":"macvlan",{text}}}"#);
    let Ok(request) = Request::from_texts(&variables, &text) else { return };
    match Conf::parse(&request) {
        Ok(conf) => assert_eq!(Conf::parse(&request), Ok(conf)),
        Err(error) => assert!([4, 7].contains(&error.code()), "{} {error}", error.code()),
    }
});
