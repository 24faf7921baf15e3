//! The keys of `ipam.type: dhcp`.
#![no_main]

use cni::Request;
use dhcp::settings::Settings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let variables = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "c0"),
        ("CNI_NETNS", "/nonexistent"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAME=pod"),
        ("CNI_PATH", "/nonexistent"),
    ];
    let text = format!(r#"{{"cniVersion":"1.1.0","name":"lan","ipam":{{"type":"dhcp",{text}}}}}"#);
    let Ok(request) = Request::from_texts(&variables, &text) else { return };
    match Settings::parse(&request) {
        Ok(settings) => drop(settings.options_v4("c0/lan/eth0", [2, 0, 0, 0, 0, 7])),
        Err(error) => assert!([4, 7].contains(&error.code()), "{} {error}", error.code()),
    }
});
