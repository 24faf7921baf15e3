//! What a runtime's description says, and a runtime that does not answer.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::cri::netns_in;
use crate::{ContainerRuntime, Devices, Driver, Error, PodKey, PodResources, Runtime};

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

#[test]
fn a_runtime_that_is_away_or_something_else_is_told_by_its_socket() {
    let dir = TempDir::new().unwrap();
    let driver = Arc::new(Driver::start().unwrap());
    let nobody = dir.path().join("nobody.sock");
    let endpoint = format!("unix://{}", nobody.display());
    let runtime = ContainerRuntime::new(Arc::clone(&driver), Path::new(&endpoint));
    let error = runtime.sandboxes().unwrap_err();
    assert!(
        matches!(&error, Error::Runtime { endpoint, .. } if *endpoint == nobody.display().to_string()),
        "{error}"
    );
    assert!(error.to_string().contains("No such file"), "{error}");
    // It speaks, but no gRPC.
    let other = dir.path().join("other.sock");
    let listener = UnixListener::bind(&other).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    assert!(ContainerRuntime::new(Arc::clone(&driver), &other).version().is_err());
    let pod = PodKey { namespace: "shop".to_owned(), name: "web".to_owned(), uid: "u".to_owned() };
    let error = PodResources::new(driver, &nobody).devices(&pod, "example.com/nic").unwrap_err();
    assert!(matches!(&error, api::Error::Unavailable { .. }), "{error}");
    assert_eq!(error.to_cni().code(), cni::code::TRY_AGAIN);
}
