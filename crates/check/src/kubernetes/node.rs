//! Whether this is a node, and what its kubelet and containerd were told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_yaml_ng::Value;

use super::containerd::Cni;

const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// Files of flags, as kubeadm and packages have them.
const FLAG_FILES: [&str; 3] =
    ["/var/lib/kubelet/kubeadm-flags.env", "/etc/kubernetes/kubelet", "/etc/default/kubelet"];
const CONTAINERD_CONFIG: &str = "/etc/containerd/config.toml";

/// A node of Kubernetes.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// The kubelet's flags, without dashes.
    pub(crate) flags: BTreeMap<String, String>,
    /// The kubelet's configuration file.
    pub(crate) config: Value,
    /// What containerd was told of CNI, when it has a file.
    pub(crate) containerd: Option<Cni>,
}

impl Node {
    /// `None` without a running kubelet or a file of one.
    pub(crate) fn find() -> Option<Self> {
        let running = running_kubelet();
        let files: Vec<String> = FLAG_FILES.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
        let config = fs::read_to_string(KUBELET_CONFIG).ok();
        if running.is_none() && files.is_empty() && config.is_none() {
            return None;
        }
        let words = running.unwrap_or_default();
        let mut flags = BTreeMap::new();
        for text in &files {
            // `KUBELET_ARGS="--a=b --c d"`
            let words = text.split(|c: char| c.is_whitespace() || c == '"' || c == '\'');
            read_flags(&words.map(str::to_owned).collect::<Vec<_>>(), &mut flags);
        }
        // The command line is what counts.
        read_flags(&words, &mut flags);
        let config = config.and_then(|text| serde_yaml_ng::from_str(&text).ok()).unwrap_or(Value::Null);
        let containerd = fs::read_to_string(CONTAINERD_CONFIG).ok().map(|text| Cni::parse(&text));
        Some(Self { flags, config, containerd })
    }

    /// Where the runtime looks for plugins, as it was told; empty when it was not.
    pub(crate) fn bin_dirs(&self) -> BTreeSet<PathBuf> {
        let of_containerd = self.containerd.iter().flat_map(|cni| cni.bin_dirs.iter()).map(PathBuf::from);
        let of_kubelet = self.flags.get("cni-bin-dir").into_iter().flat_map(|dirs| dirs.split(','));
        of_containerd.chain(of_kubelet.map(PathBuf::from)).collect()
    }
}

fn running_kubelet() -> Option<Vec<String>> {
    let own = fs::read_link("/proc/self/ns/net").ok();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        // One with a network of its own, as kind's, makes a node of that and not of this host.
        if fs::read_link(entry.path().join("ns/net")).ok() != own {
            continue;
        }
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let words: Vec<String> =
            line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let program = words.first().map(|word| Path::new(word).file_name().unwrap_or_default().to_owned());
        if program.is_some_and(|name| name == "kubelet") {
            return Some(words);
        }
    }
    None
}

/// `--name=value` and `--name value`.
fn read_flags(words: &[String], flags: &mut BTreeMap<String, String>) {
    let mut words = words.iter().filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        // In a file of variables the first flag may stand right behind `=`.
        let Some(flag) = word.find("--").map(|at| &word[at + 2..]) else { continue };
        match flag.split_once('=') {
            Some((name, value)) => flags.insert(name.to_owned(), value.to_owned()),
            None => {
                let value = words.next_if(|next| !next.starts_with("--")).cloned().unwrap_or_default();
                flags.insert(flag.to_owned(), value)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_flag() {
        let mut flags = BTreeMap::new();
        let words =
            ["kubelet", "--network-plugin=cni", "--cni-conf-dir", "/a", "--quiet", "--cni-bin-dir=/b"];
        read_flags(&words.map(str::to_owned), &mut flags);
        let of = |name: &str| flags.get(name).map(String::as_str);
        assert_eq!((of("cni-conf-dir"), of("cni-bin-dir"), of("quiet")), (Some("/a"), Some("/b"), Some("")));
    }

    proptest::proptest! {
        #[test]
        fn no_words_break_the_reader(words: Vec<String>) {
            read_flags(&words, &mut BTreeMap::new());
        }
    }
}
