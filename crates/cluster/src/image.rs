//! The images of the cluster's pods, made without a container engine: an OCI layout in one archive.

use ::image::{Config, Layout, Tar};

use crate::directory::{self, Directory};
use crate::error::{Error, Result};
use crate::programs::{BUSYBOX, Programs};

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
    layout.image(ECHO_IMAGE, &echo, &runs(&["/echo"], &["serve"]));
    layout.image(PAUSE_IMAGE, &echo, &runs(&["/echo", "pause"], &[]));
    layout.image(COREDNS_IMAGE, &coredns, &runs(&["/coredns"], &[]));
    directory::write(&directory.images(), layout.finish())
}

fn runs(entrypoint: &[&str], command: &[&str]) -> Config {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Config {
        entrypoint: words(entrypoint),
        command: words(command),
        environment: words(&["PATH=/bin"]),
        ..Config::default()
    }
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
