//! What can go wrong with what is stored.

use std::io;
use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused: the disk is full or failing, or another agent has it open.
    #[error("store {}: {reason}", path.display())]
    Store {
        /// The database's file.
        path: PathBuf,
        /// The database's words.
        reason: String,
    },
    /// A file or directory.
    #[error("cannot {op} {}: {source}", path.display())]
    File {
        /// `make`, `read`, `move`.
        op: &'static str,
        /// Which one.
        path: PathBuf,
        /// The system's refusal.
        source: io::Error,
    },
    /// The API server cannot be asked, and the watch does not know.
    #[error("{what}: {reason}")]
    Behind {
        /// What was asked: `pod shop/web`.
        what: String,
        /// Why nobody could say.
        reason: String,
    },
    /// What the access to the API server is made of cannot be used.
    #[error(transparent)]
    Access(#[from] apiserver::Error),
    /// The container runtime does not answer.
    #[error("container runtime at {endpoint}: {reason}")]
    Runtime {
        /// Its socket.
        endpoint: String,
        /// Its words.
        reason: String,
    },
    /// A result that has no form as JSON.
    #[error(transparent)]
    Cni(#[from] cni::Error),
}

impl Error {
    pub(crate) fn file(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { op, path, source }
    }

    /// The error the runtime sees: to store nothing and go on would be to forget.
    pub fn to_cni(&self) -> cni::Error {
        match self {
            Error::Cni(error) => error.clone(),
            other => cni::Error::try_again(other.to_string()),
        }
    }
}
