//! The archive read back as a runtime reads it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};
use serde_json::Value;

/// Name, mode and content of every file of a tar archive, and its directories with none.
fn unpack(archive: &[u8]) -> BTreeMap<String, (u32, Option<Vec<u8>>)> {
    let text =
        |bytes: &[u8]| String::from_utf8(bytes.split(|byte| *byte == 0).next().unwrap().to_vec()).unwrap();
    let octal = |bytes: &[u8]| usize::from_str_radix(text(bytes).trim(), 8).unwrap();
    let mut files = BTreeMap::new();
    let mut at = 0;
    while archive[at] != 0 {
        let head = &archive[at..at + 512];
        assert_eq!(&head[257..262], b"ustar");
        let (size, mode) = (octal(&head[124..136]), u32::try_from(octal(&head[100..108])).unwrap());
        let content = (head[156] == b'0').then(|| archive[at + 512..at + 512 + size].to_vec());
        assert!(files.insert(text(&head[..100]), (mode, content)).is_none(), "twice in the archive");
        at += 512 + size.next_multiple_of(512);
    }
    assert_eq!(archive.len() - at, 1024, "two empty blocks at the end");
    files
}

struct Blobs(BTreeMap<String, (u32, Option<Vec<u8>>)>);

impl Blobs {
    /// What a descriptor names, with its digest and size checked.
    fn get(&self, descriptor: &Value) -> Vec<u8> {
        let name = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let content = self.0[&format!("blobs/sha256/{name}")].1.clone().unwrap();
        let sum: String =
            digest(&SHA256, &content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sum, name);
        assert_eq!(descriptor["size"], content.len());
        content
    }

    fn json(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(&self.get(descriptor)).unwrap()
    }
}

#[test]
fn the_image_has_both_programs_and_starts_the_agent() {
    let name = "docker.io/llano/llano:1";
    let (archive, digest) = image::llano(name, b"the program", &[7; 600], "x86_64");
    let files = unpack(&archive);
    let layout: Value = serde_json::from_slice(files["oci-layout"].1.as_ref().unwrap()).unwrap();
    assert_eq!(layout["imageLayoutVersion"], "1.0.0");
    let index: Value = serde_json::from_slice(files["index.json"].1.as_ref().unwrap()).unwrap();
    let entry = &index["manifests"][0];
    assert_eq!(entry["digest"], digest.as_str());
    assert_eq!(entry["annotations"]["io.containerd.image.name"], name);
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);

    let blobs = Blobs(files);
    let manifest = blobs.json(entry);
    let config = blobs.json(&manifest["config"]);
    assert_eq!((&config["architecture"], &config["os"]), (&"amd64".into(), &"linux".into()));
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/usr/local/bin/llano"]));
    assert_eq!(config["config"]["Cmd"], serde_json::json!(["agent"]));
    let path = config["config"]["Env"][0].as_str().unwrap();
    assert!(
        path.contains(":/usr/local/bin:") && path.contains(":/usr/sbin:"),
        "the node's programs too: {path}"
    );
    assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
    let layer = unpack(&blobs.get(&manifest["layers"][0]));
    assert_eq!(layer["usr/local/bin/llano"], (0o755, Some(b"the program".to_vec())));
    assert_eq!(layer["usr/local/bin/llano-cni"], (0o755, Some(vec![7; 600])));
    assert_eq!(layer["host/"], (0o755, None));
}

#[test]
fn the_same_programs_give_the_same_bytes_and_others_do_not() {
    let make = |llano: &[u8]| image::llano("docker.io/llano/llano:1", llano, b"plugin", "x86_64");
    assert_eq!(make(b"one"), make(b"one"));
    assert_ne!(make(b"one").1, make(b"two").1);
}
