//! Llano as its users install it: the image, the manifests of `deploy/`, and what they put on a node.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cluster::Cluster;
use netns_tests::bin_dir;
use serde_json::Value;

use crate::{PATIENCE, on};

/// The image's name in `deploy/`.
pub const IMAGE: &str = concat!("docker.io/llano/llano:", env!("CARGO_PKG_VERSION"));
/// The image that an upgrade leads to.
pub const NEXT: &str = "docker.io/llano/llano:next";
/// Largest archive that is allowed, in bytes.
const LARGEST: usize = 20_000_000;

/// The definitions' kind, the agents, and what takes them away, as users apply them.
const DEFINITIONS: &str = include_str!("../../../deploy/network-attachment-definition.yaml");
const AGENT: &str = include_str!("../../../deploy/llano.yaml");
const UNINSTALL: &str = include_str!("../../../deploy/llano-uninstall.yaml");

/// The archive that `cargo xtask image` has made of the programs that are tested.
///
/// # Panics
/// When there is none, when it was made of other programs, or when it is too large.
pub fn archive() -> PathBuf {
    let file = bin_dir().join("llano-image.tar");
    let found = fs::read(&file).unwrap_or_else(|error| {
        panic!("{}: {error}: make it with `cargo xtask image`", file.display());
    });
    let (expected, _) = pack(IMAGE, b"");
    assert!(found == expected, "{} is of other programs: `cargo xtask image`", file.display());
    assert!(found.len() <= LARGEST, "the image has {} bytes, allowed are {LARGEST}", found.len());
    file
}

/// The image under another name, with a plugin that does the same and is not the same file. Gives the archive and the plugin.
pub fn next(cluster: &Cluster) -> (PathBuf, Vec<u8>) {
    // Loaders do not look behind a program's end.
    let (archive, plugin) = pack(NEXT, b"next");
    let file = cluster.on_disk("control", "/etc/kubernetes/llano-next.tar");
    fs::write(&file, archive).unwrap();
    (file, plugin)
}

fn pack(name: &str, appendix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let read = |program: &str| fs::read(bin_dir().join(program)).unwrap();
    let plugin = [&read("llano-cni"), appendix].concat();
    let (archive, _) = image::llano(name, &read("llano"), &plugin, std::env::consts::ARCH);
    (archive, plugin)
}

/// The names of the images that a node has.
pub fn images(cluster: &Cluster, node: &str) -> Vec<String> {
    let ctr = cluster.program("ctr").display().to_string();
    let text = on(cluster, node, &[&ctr, "-n", "k8s.io", "images", "ls", "-q"]).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Installs the agents, or makes them those of another image, and waits until every node's is ready.
///
/// # Panics
/// When one is not.
pub fn apply(cluster: &Cluster, image: &str) {
    begin(cluster, image);
    rolled_out(cluster, "llano-agent");
}

/// As [`apply`], without waiting.
pub fn begin(cluster: &Cluster, image: &str) {
    assert!(AGENT.contains(IMAGE) && UNINSTALL.contains(IMAGE), "the manifests name {IMAGE}");
    for manifest in [DEFINITIONS, &AGENT.replace(IMAGE, image)] {
        cluster.apply(manifest).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Ends the agents and waits until they are gone; what they have installed stays.
pub fn end(cluster: &Cluster) {
    let words =
        ["-n", "llano", "delete", "daemonset", "llano-agent", "--cascade=foreground", "--timeout=120s"];
    cluster.kubectl_output(words).unwrap_or_else(|error| panic!("{error}"));
}

/// Gives every node back, as the handbook says. What the nodes' containers have said.
pub fn uninstall(cluster: &Cluster, image: &str) -> String {
    end(cluster);
    cluster.apply(&UNINSTALL.replace(IMAGE, image)).unwrap();
    rolled_out(cluster, "llano-uninstall");
    let label = "app.kubernetes.io/name=llano-uninstall";
    let said = ["-n", "llano", "logs", "-l", label, "-c", "uninstall", "--tail=-1", "--prefix"];
    let said = cluster.kubectl_output(said).unwrap_or_else(|error| panic!("{error}"));
    for manifest in ["uninstall", "agent"] {
        let words =
            ["-n", "llano", "delete", "daemonset", &format!("llano-{manifest}"), "--ignore-not-found"];
        cluster.kubectl_output(words.iter().chain(&["--cascade=foreground", "--timeout=120s"])).unwrap();
    }
    said
}

fn rolled_out(cluster: &Cluster, name: &str) {
    let (set, timeout) = (format!("daemonset/{name}"), format!("--timeout={}s", PATIENCE.as_secs()));
    let said = cluster.kubectl_output(["-n", "llano", "rollout", "status", &set, &timeout]);
    said.unwrap_or_else(|error| panic!("{error}\n{}", logs(cluster)));
}

/// The pods of the agents, by their nodes.
pub fn agents(cluster: &Cluster) -> BTreeMap<String, Value> {
    let words = ["-n", "llano", "get", "pods", "-l", "app.kubernetes.io/name=llano-agent", "-o", "json"];
    let list: Value = serde_json::from_str(&cluster.kubectl_output(words).unwrap()).unwrap();
    let pods = list["items"].as_array().cloned().unwrap_or_default();
    pods.into_iter()
        .map(|pod| (pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned(), pod))
        .collect()
}

/// What the agents have said last.
pub fn logs(cluster: &Cluster) -> String {
    let label = "app.kubernetes.io/part-of!=none";
    let words = ["-n", "llano", "logs", "-l", label, "--all-containers", "--prefix", "--tail=40"];
    let pods =
        cluster.kubectl_output(["-n", "llano", "describe", "pods"]).unwrap_or_else(|error| error.to_string());
    format!("{pods}\n{}", cluster.kubectl_output(words).unwrap_or_else(|error| error.to_string()))
}

/// A file, link or directory: its mode, and what is in it or where it leads.
pub type Entry = (u32, Vec<u8>);

/// The CNI directories of a node, with everything below: the same before and after, or something is left.
pub fn cni_directories(cluster: &Cluster, node: &str) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    for directory in ["/etc/cni", "/opt/cni"] {
        look(&cluster.on_disk(node, directory), Path::new(directory), &mut found);
    }
    found
}

fn look(file: &Path, name: &Path, found: &mut BTreeMap<PathBuf, Entry>) {
    let meta = file.symlink_metadata().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let content = if meta.is_symlink() {
        fs::read_link(file).unwrap().into_os_string().into_encoded_bytes()
    } else if meta.is_dir() {
        for entry in fs::read_dir(file).unwrap().flatten() {
            look(&entry.path(), &name.join(entry.file_name()), found);
        }
        Vec::new()
    } else {
        fs::read(file).unwrap()
    };
    found.insert(name.to_owned(), (meta.permissions().mode(), content));
}

/// What is different, by name.
pub fn differences(before: &BTreeMap<PathBuf, Entry>, after: &BTreeMap<PathBuf, Entry>) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let shown = |entry: Option<&Entry>| {
        entry.map_or("nothing".to_owned(), |(mode, content)| format!("{mode:o} {} bytes", content.len()))
    };
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| format!("{}: {} → {}", name.display(), shown(before.get(name)), shown(after.get(name))))
        .collect()
}
