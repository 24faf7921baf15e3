//! The images of the cluster's pods, made without a container engine: an OCI layout in one archive.

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::directory::{self, Directory};
use crate::error::{Error, Result};
use crate::programs::{BUSYBOX, Programs};
use crate::tar::Tar;

/// busybox and `/echo`, a server (HTTP on 8080, TCP and UDP echo on 9000) and client; started as `/echo serve`.
pub const ECHO_IMAGE: &str = "lab.llano.dev/echo:1";
/// What the sandbox of a pod runs.
pub const PAUSE_IMAGE: &str = "lab.llano.dev/pause:1";
/// The cluster's DNS.
pub(crate) const COREDNS_IMAGE: &str = "lab.llano.dev/coredns:1";

/// The commands of busybox that the image has as links; its own `echo` is among them, ours is `/echo`.
const COMMANDS: &str = "sh ash cat ls sleep ping ip echo true false env hostname head tail grep sed awk cut wc sort id ps \
    kill nc traceroute arping ifconfig route netstat date touch mkdir rm mv cp ln test printf seq stat df du mount tee find xargs dd od";

/// Writes the archive with all images.
pub(crate) fn write(directory: &Directory, programs: &Programs) -> Result<()> {
    let read = |file: &std::path::Path| {
        std::fs::read(file).map_err(|error| Error::io("read", file.display(), error))
    };
    let mut echo = base();
    echo.file("bin/busybox", 0o755, &read(std::path::Path::new(BUSYBOX))?);
    for command in COMMANDS.split_ascii_whitespace() {
        echo.link(&format!("bin/{command}"), "busybox");
    }
    echo.file("echo", 0o755, &read(&programs.get("echo"))?);
    let mut coredns = base();
    coredns.file("coredns", 0o755, &read(&programs.get("coredns"))?);

    let mut layout = Layout::default();
    let echo = layout.layer(echo);
    let coredns = layout.layer(coredns);
    layout.image(ECHO_IMAGE, &echo, &["/echo"], &["serve"]);
    layout.image(PAUSE_IMAGE, &echo, &["/echo", "pause"], &[]);
    layout.image(COREDNS_IMAGE, &coredns, &["/coredns"], &[]);
    directory::write(&directory.images(), layout.finish())
}

fn base() -> Tar {
    let mut tar = Tar::default();
    for dir in ["bin", "etc", "proc", "sys", "dev", "root"] {
        tar.directory(dir, 0o755);
    }
    tar.directory("tmp", 0o1777);
    tar.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    tar.file("etc/group", 0o644, b"root:x:0:\n");
    tar
}

/// An OCI image layout (image-spec, image-layout.md) under way.
#[derive(Default)]
struct Layout {
    tar: Tar,
    manifests: Vec<Value>,
}

/// A layer's descriptor, and the digest of its archive: the same, it is not compressed.
struct Layer {
    descriptor: Value,
    digest: String,
}

impl Layout {
    fn layer(&mut self, tar: Tar) -> Layer {
        let descriptor = self.blob("application/vnd.oci.image.layer.v1.tar", &tar.finish());
        let digest = descriptor["digest"].as_str().unwrap_or_default().to_owned();
        Layer { descriptor, digest }
    }

    fn image(&mut self, name: &str, layer: &Layer, entrypoint: &[&str], command: &[&str]) {
        let config = json!({
            "architecture": architecture(), "os": "linux",
            "config": {"Entrypoint": entrypoint, "Cmd": command, "Env": ["PATH=/bin"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        });
        let config = self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer.descriptor]});
        let mut entry = self.blob(kind, manifest.to_string().as_bytes());
        entry["annotations"] = json!({"io.containerd.image.name": name});
        self.manifests.push(entry);
    }

    fn blob(&mut self, kind: &str, content: &[u8]) -> Value {
        let sum: String =
            digest(&SHA256, content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        self.tar.file(&format!("blobs/sha256/{sum}"), 0o644, content);
        json!({"mediaType": kind, "digest": format!("sha256:{sum}"), "size": content.len()})
    }

    fn finish(mut self) -> Vec<u8> {
        let kind = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": self.manifests});
        self.tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#);
        self.tar.file("index.json", 0o644, index.to_string().as_bytes());
        self.tar.finish()
    }
}

/// The machine's architecture in Go's words.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
