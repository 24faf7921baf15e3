//! Where Llano keeps what it can rebuild or must lock: one place, so that tests can move it.

use std::path::{Path, PathBuf};

/// Directories that the plugin types write to beside those their configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Locks, caches and quarantines; gone after a reboot. `/run/llano` unless `LLANO_RUN_DIR` says otherwise.
    pub run: PathBuf,
}

impl Paths {
    /// Reads `LLANO_RUN_DIR`; an empty value counts as unset.
    pub fn from_env() -> Self {
        match std::env::var_os("LLANO_RUN_DIR") {
            Some(dir) if !dir.is_empty() => Self { run: dir.into() },
            _ => Self::default(),
        }
    }

    /// The directory of one kind of state below [`Paths::run`].
    pub fn state(&self, kind: &str) -> PathBuf {
        Path::new(&self.run).join(kind)
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self { run: PathBuf::from("/run/llano") }
    }
}
