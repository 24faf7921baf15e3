//! What a runtime's description says.

use std::path::PathBuf;

use super::cri::netns_in;

#[test]
fn the_namespace_is_found_in_a_verbose_status() {
    let info = r#"{"pid":1,"runtimeSpec":{"ociVersion":"1","linux":{"cgroupsPath":"/x","namespaces":[
        {"type":"ipc"},{"type":"network","path":"/var/run/netns/cni-1"}]}}}"#;
    assert_eq!(netns_in(info), Some(PathBuf::from("/var/run/netns/cni-1")));
    // On the host's network, of another runtime, hostile.
    for none in [
        r#"{"runtimeSpec":{"linux":{"namespaces":[{"type":"network"}]}}}"#,
        r#"{"runtimeSpec":{"linux":{"namespaces":[{"type":"network","path":"relative"}]}}}"#,
        r#"{"runtimeSpec":{"linux":{}}}"#,
        r#"{"runtimeSpec":null}"#,
        r#"{}"#,
        "[]",
        "",
    ] {
        assert_eq!(netns_in(none), None, "{none}");
    }
}
