//! What can go wrong while installing.

use std::io;
use std::path::{Path, PathBuf};

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed step. Whatever it was, running the command again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory.
    #[error("cannot {op} {}: {source}", path.display())]
    File {
        /// `write`, `read`, `remove`, …
        op: &'static str,
        /// Which one.
        path: PathBuf,
        /// The system's refusal.
        source: io::Error,
    },
    /// The record of what was there before.
    #[error("{}: {reason}; it says what to give back: restore it from a backup, or remove what is left by hand", path.display())]
    Manifest {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something stands where a file is to go, and is none.
    #[error("{}: is {what}, expected a file, a link or nothing", path.display())]
    InTheWay {
        /// Where.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The plugin to be installed is none.
    #[error("{}: {reason}, expected the program llano-cni", path.display())]
    Plugin {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A link that the plugin does not answer to.
    #[error("plugin type {name:?}: expected one of {}", crate::LINKS.join(", "))]
    Link {
        /// What was asked for.
        name: String,
    },
    /// Another installation is under way, or the agent keeps one.
    #[error("{} is held by {}: the agent keeps the installation as it is; end it first", path.display(), holder.map_or("another process".to_owned(), |pid| format!("process {pid}")))]
    Busy {
        /// The lock.
        path: PathBuf,
        /// Who has it, where it has said so.
        holder: Option<u32>,
    },
    /// A kubeconfig that is none.
    #[error("kubeconfig {}: {reason}", path.display())]
    Kubeconfig {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    pub(crate) fn file(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { op, path, source }
    }
}
