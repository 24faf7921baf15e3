//! Where the records are.

use std::path::{Path, PathBuf};

/// The directories of the records. Another root makes them a test's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Holds `host.yaml`, the last confirmed declared state.
    pub etc: PathBuf,
    /// Holds `pending.json`, `history/` and the lock.
    pub var: PathBuf,
    /// What the next boot need not find.
    pub run: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self::below(Path::new("/"))
    }
}

impl Places {
    /// The customary directories below a root.
    pub fn below(root: &Path) -> Self {
        Self {
            etc: root.join("etc/llano"),
            var: root.join("var/lib/llano/host"),
            run: root.join("run/llano"),
        }
    }

    /// The last confirmed declared state.
    pub fn declared(&self) -> PathBuf {
        self.etc.join("host.yaml")
    }

    /// A `host.yaml` that was edited by hand and then undone.
    pub fn edited(&self) -> PathBuf {
        self.declared().with_extension("yaml.edited")
    }

    /// The change that is being made or waits to be confirmed.
    pub fn pending(&self) -> PathBuf {
        self.var.join("pending.json")
    }

    /// The directory of past changes.
    pub fn history(&self) -> PathBuf {
        self.var.join("history")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.var.join("lock")
    }

    /// What the files that we wrote elsewhere replaced.
    pub(crate) fn files(&self) -> PathBuf {
        self.var.join("files.json")
    }

    /// Locked as long as the watchdog of that change lives.
    pub(crate) fn watchdog(&self, id: &str) -> PathBuf {
        self.run.join(format!("host-watchdog-{id}"))
    }
}
