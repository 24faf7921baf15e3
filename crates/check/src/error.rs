//! What can go wrong.

use std::path::PathBuf;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kept a check from being made, or a fix from being applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The namespaces of this host could not be read.
    #[error(transparent)]
    Topology(topology::Error),
    /// A file could not be read or written.
    #[error("cannot {what} {path}: {source}")]
    File {
        /// A verb: `read`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program that a fix needs failed.
    #[error("{program}: {reason}")]
    Program {
        /// The program.
        program: String,
        /// What it did.
        reason: String,
    },
    /// The interface is not there.
    #[error("no interface {name}")]
    NoInterface {
        /// Its name.
        name: String,
    },
}

impl Error {
    pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }
}
