//! Where everything is.

use std::path::{Path, PathBuf};

/// The directories of a node. Paths are the node's own; `root` is where they are found from here: `/`, a node's root mounted in
/// a container, or a tree that becomes a node later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    root: PathBuf,
    bin: PathBuf,
    conf: PathBuf,
}

impl Places {
    /// With the usual directories of CNI.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Places { root: root.into(), bin: "/opt/cni/bin".into(), conf: "/etc/cni/net.d".into() }
    }

    /// With other directories of CNI, as k3s has them.
    #[must_use]
    pub fn with_cni(mut self, bin: impl Into<PathBuf>, conf: impl Into<PathBuf>) -> Self {
        self.bin = bin.into();
        self.conf = conf.into();
        self
    }

    /// The plugins' directory, on the node.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The configurations' directory, on the node.
    pub fn conf(&self) -> &Path {
        &self.conf
    }

    /// The node's root, from here.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path of the node, from here.
    pub fn here(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Our own directory, on the node.
    pub(crate) fn state() -> &'static Path {
        Path::new("/var/lib/llano/install")
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.here(&Self::state().join("manifest.json"))
    }

    /// Locks are the kernel's own: the file may stay.
    pub(crate) fn lock(&self) -> PathBuf {
        self.here(&Self::state().join("lock"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        let places = Places::below("/mnt");
        assert_eq!(places.here(Path::new("/etc/cni")), Path::new("/mnt/etc/cni"));
        assert_eq!(places.here(Path::new("etc/cni")), Path::new("/mnt/etc/cni"));
        assert_eq!(Places::below("/").here(places.conf()), Path::new("/etc/cni/net.d"));
    }
}
