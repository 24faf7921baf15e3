//! The layout (image-spec, image-layout.md).

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::Tar;

/// A layout under way.
#[derive(Debug, Default)]
pub struct Layout {
    tar: Tar,
    manifests: Vec<Value>,
}

/// A layer's descriptor, and the digest of its archive: the same, it is not compressed.
#[derive(Debug, Clone)]
pub struct Layer {
    descriptor: Value,
    digest: String,
}

/// What a container of an image runs.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Arguments that whoever starts it may replace.
    pub command: Vec<String>,
    /// `NAME=VALUE`.
    pub environment: Vec<String>,
    /// The machine's architecture as Rust names it; this one's when empty.
    pub architecture: String,
}

impl Layout {
    /// Adds a layer, for any number of images.
    pub fn layer(&mut self, tar: Tar) -> Layer {
        let descriptor = self.blob("application/vnd.oci.image.layer.v1.tar", &tar.finish());
        let digest = descriptor["digest"].as_str().unwrap_or_default().to_owned();
        Layer { descriptor, digest }
    }

    /// Adds an image under its full name, and gives its digest.
    pub fn image(&mut self, name: &str, layer: &Layer, config: &Config) -> String {
        let mut inner = json!({
            "Entrypoint": config.entrypoint, "Env": config.environment, "WorkingDir": "/",
        });
        if !config.command.is_empty() {
            inner["Cmd"] = json!(config.command);
        }
        let config = json!({
            "architecture": architecture(&config.architecture), "os": "linux", "config": inner,
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        });
        let config = self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer.descriptor]});
        let mut entry = self.blob(kind, manifest.to_string().as_bytes());
        entry["annotations"] = json!({"io.containerd.image.name": name});
        let digest = entry["digest"].as_str().unwrap_or_default().to_owned();
        self.manifests.push(entry);
        digest
    }

    fn blob(&mut self, kind: &str, content: &[u8]) -> Value {
        let sum: String =
            digest(&SHA256, content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        self.tar.file(&format!("blobs/sha256/{sum}"), 0o644, content);
        json!({"mediaType": kind, "digest": format!("sha256:{sum}"), "size": content.len()})
    }

    /// The archive.
    pub fn finish(mut self) -> Vec<u8> {
        let kind = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": self.manifests});
        self.tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#);
        self.tar.file("index.json", 0o644, index.to_string().as_bytes());
        self.tar.finish()
    }
}

/// An architecture in Go's words.
fn architecture(name: &str) -> &str {
    match if name.is_empty() { std::env::consts::ARCH } else { name } {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
