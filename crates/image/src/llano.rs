//! Llano's own image: two static programs and nothing else.

use crate::{Config, Layout, Tar};

/// Where programs are looked for. The image's own are in the second; the others are the node's, once its root is the agent's: a
/// plugin of another maker runs iptables, ip or mount by name.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The archive of the image and its digest. `llano` and `plugin` are the programs' bytes.
pub fn llano(name: &str, llano: &[u8], plugin: &[u8], architecture: &str) -> (Vec<u8>, String) {
    let mut tar = Tar::default();
    // Beside each other: `llano` looks for the plugin where it is itself. Where the host's root goes is there, so that a
    // read-only root file system will do.
    for dir in ["usr", "usr/local", "usr/local/bin", "host"] {
        tar.directory(dir, 0o755);
    }
    tar.file("usr/local/bin/llano", 0o755, llano);
    tar.file("usr/local/bin/llano-cni", 0o755, plugin);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let config = Config {
        entrypoint: words(&["/usr/local/bin/llano"]),
        command: words(&["agent"]),
        environment: words(&[PATH]),
        architecture: architecture.to_owned(),
    };
    let mut layout = Layout::default();
    let layer = layout.layer(tar);
    let digest = layout.image(name, &layer, &config);
    (layout.finish(), digest)
}
