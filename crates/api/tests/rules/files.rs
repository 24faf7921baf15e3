//! Configurations of the node's directory.

use std::fs;
use std::path::Path;

use api::{ClusterNetwork, disk};

fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn kinds(config: &api::NetConfig) -> Vec<&str> {
    config.plugins().iter().map(api::PluginConfig::kind).collect()
}

#[test]
fn the_first_file_of_the_name_counts() {
    let dir = dir(&[
        ("00-broken.conf", "{"),
        ("10-other.conf", r#"{"name":"other","type":"a"}"#),
        ("20-b.json", r#"{"name":"lan","type":"b"}"#),
        ("30-c.conflist", r#"{"name":"lan","plugins":[{"type":"c"}]}"#),
        ("05-lan.txt", r#"{"name":"lan","type":"no"}"#),
    ]);
    assert_eq!(kinds(&disk::by_name(dir.path(), "lan").unwrap()), ["b"]);
    assert_eq!(kinds(&disk::first(dir.path(), &|name| !name.starts_with("00-")).unwrap()), ["a"]);
    // What is broken is told only where nothing fits.
    let error = disk::by_name(dir.path(), "none").unwrap_err().to_string();
    assert!(error.contains("no file of") && error.contains("00-broken.conf: EOF"), "{error}");
}

#[test]
fn a_name_is_no_path() {
    let dir =
        dir(&[("net.d/a.conf", r#"{"name":"a","type":"x"}"#), ("secret.conf", r#"{"name":"s","type":"x"}"#)]);
    assert!(disk::by_name(&dir.path().join("net.d"), "../secret").is_err());
    assert!(disk::by_name(&dir.path().join("net.d"), "../secret.conf").is_err());
    assert!(disk::by_name(Path::new("/nonexistent"), "a").is_err());
}

#[test]
fn a_list_takes_the_plugins_of_its_directory() {
    let list = r#"{"cniVersion":"1.0.0","name":"lan","plugins":[{"type":"a"}]}"#;
    let files = [
        ("10.conflist", list),
        ("lan/2.conf", r#"{"type":"c"}"#),
        ("lan/1.conf", r#"{"type":"b"}"#),
        ("lan/x.txt", ""),
    ];
    let found = dir(&files);
    let config = disk::file(&found.path().join("10.conflist")).unwrap();
    assert_eq!(kinds(&config), ["a", "b", "c"]);
    assert!(config.stdin(2, None, &[]).unwrap().unwrap().contains(r#""name":"lan""#));

    let only = list.replace("\"name\"", "\"loadOnlyInlinedPlugins\":true,\"name\"");
    let found = dir(&[("10.conflist", &only), files[1]]);
    assert_eq!(kinds(&disk::file(&found.path().join("10.conflist")).unwrap()), ["a"]);

    let found = dir(&[files[0], ("lan/1.conf", r#"{"type":"../b"}"#)]);
    let error = disk::file(&found.path().join("10.conflist")).unwrap_err().to_string();
    assert!(error.contains("lan/1.conf: invalid type"), "{error}");
}

#[test]
fn a_list_is_a_conflist_and_nothing_else() {
    let found = dir(&[
        ("a.conf", r#"{"name":"n","plugins":[{"type":"a"}]}"#),
        ("b.conflist", r#"{"name":"n","type":"a"}"#),
    ]);
    assert!(disk::file(&found.path().join("a.conf")).is_err());
    assert!(disk::file(&found.path().join("b.conflist")).is_err());
}

#[test]
fn the_cluster_network_is_a_path_or_a_name() {
    let found = dir(&[("10.conf", r#"{"name":"n","type":"a"}"#), ("20.conf", r#"{"name":"m","type":"b"}"#)]);
    let read = |text: &str| ClusterNetwork::from_text(text);
    let path = found.path().display();
    for text in [path.to_string(), format!("{path}/10.conf")] {
        match read(&text).unwrap() {
            ClusterNetwork::Configuration(config) => assert_eq!(config.name(), "n"),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(read("kube-system/lan").unwrap(), ClusterNetwork::Definition(_)));
    assert_eq!(read("lan").unwrap(), ClusterNetwork::Named("lan".to_owned()));
    for text in ["", "a/b/c", "../x", "A/b", "/nonexistent"] {
        assert!(read(text).is_err(), "{text}");
    }
}
