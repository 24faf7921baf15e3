//! Where the cluster's programs are: in the cache, by version, what no distribution has; in PATH the rest.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::spec::Containerd;

/// The directories of the cache and what is in them; `cargo xtask cluster` builds from the same list.
const LIST: &str = include_str!("../programs.txt");

/// Version of Kubernetes.
pub const KUBERNETES: &str = "1.35.4";

/// Programs of the distribution, with Debian's package.
const DISTRIBUTION: [(&str, &str); 6] = [
    ("etcd", "etcd-server"),
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
];

/// CNI plugins of the primary network, from the distribution.
pub(crate) const PLUGINS: [&str; 4] = ["bridge", "host-local", "loopback", "portmap"];
const PLUGIN_DIR: &str = "/usr/lib/cni";
/// The containers' shell; Debian's package busybox-static.
pub(crate) const BUSYBOX: &str = "/bin/busybox";

/// Every program, found.
#[derive(Debug, Clone)]
pub struct Programs {
    found: BTreeMap<String, PathBuf>,
    path: OsString,
}

impl Programs {
    /// Looks for all of them.
    ///
    /// # Errors
    /// [`Error::Missing`] with everything that is not there.
    pub fn find(containerd: Containerd) -> Result<Self> {
        let cache = cache_dir();
        let mut found = BTreeMap::new();
        let mut missing = Vec::new();
        for (directory, program) in built() {
            if directory.starts_with("containerd") && containerd != Containerd::V2 {
                continue;
            }
            let file = cache.join(directory).join(program);
            if file.is_file() {
                found.insert(program.to_owned(), file);
            } else {
                missing.push(format!("{program} ({directory})"));
            }
        }
        let path = search_path();
        for (program, package) in DISTRIBUTION {
            if found.contains_key(program) {
                continue;
            }
            match std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file()) {
                Some(file) => drop(found.insert(program.to_owned(), file)),
                None => missing.push(format!("{program} (package {package})")),
            }
        }
        for plugin in PLUGINS {
            let file = Path::new(PLUGIN_DIR).join(plugin);
            if file.is_file() {
                found.insert(plugin.to_owned(), file);
            } else {
                missing.push(format!("{plugin} (package containernetworking-plugins)"));
            }
        }
        if !Path::new(BUSYBOX).is_file() {
            missing.push("busybox (package busybox-static)".to_owned());
        }
        if missing.is_empty() { Ok(Programs { found, path }) } else { Err(Error::Missing { missing }) }
    }

    /// The file of a program.
    pub(crate) fn get(&self, program: &str) -> PathBuf {
        // Only names of the lists above are asked for; another one fails when it is started.
        self.found.get(program).cloned().unwrap_or_else(|| PathBuf::from(program))
    }

    /// PATH of the cluster's processes: containerd finds its shim and runc there, kube-proxy finds nft.
    pub(crate) fn path(&self) -> OsString {
        let first = self.found.get("containerd").and_then(|file| file.parent()).map(Path::to_owned);
        let rest = std::env::split_paths(&self.path);
        std::env::join_paths(first.into_iter().chain(rest)).unwrap_or_else(|_| self.path.clone())
    }
}

fn search_path() -> OsString {
    let given = std::env::var_os("PATH").unwrap_or_default();
    let system =
        ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    std::env::join_paths(std::env::split_paths(&given).chain(system)).unwrap_or(given)
}

/// Directory and program of what is built.
fn built() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = LIST.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let directory = words.next().unwrap_or_default();
        words.skip(1).map(move |program| (directory, program.rsplit('/').next().unwrap_or(program)))
    })
}

fn cache_dir() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("LLANO_CACHE_DIR").unwrap_or_else(|| {
        set("XDG_CACHE_HOME")
            .or_else(|| set("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(|| PathBuf::from("/var/cache"))
            .join("llano")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_what_the_cluster_starts() {
        let all: Vec<_> = built().collect();
        let kubernetes = format!("kubernetes-{KUBERNETES}");
        for program in [
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
            "kubectl",
        ] {
            assert!(all.contains(&(kubernetes.as_str(), program)), "{program}: {all:?}");
        }
        for program in ["coredns", "flanneld", "echo", "containerd"] {
            assert!(all.iter().any(|(_, known)| *known == program), "{program}: {all:?}");
        }
    }
}
