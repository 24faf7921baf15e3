//! What can go wrong.

use rustix::io::Errno;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong when a machine is looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// A namespace is gone, or in its place is another.
    #[error("the network namespace of {owner} is gone")]
    Gone {
        /// Whose it was.
        owner: String,
    },
    /// Nothing matches what was typed.
    #[error(
        "{text:?} is no network namespace: allowed are a name of `ip netns`, a path, a process number, a container's \
         ID or name, and POD_NAMESPACE/POD"
    )]
    NoSuchNamespace {
        /// What was typed.
        text: String,
    },
    /// Several match.
    #[error("{text:?} is not clear: it may be {}", candidates.join(", "))]
    Ambiguous {
        /// What was typed.
        text: String,
        /// Whom it may mean.
        candidates: Vec<String>,
    },
    /// A file of proc that every Linux has cannot be read.
    #[error("cannot read {path}: {}", std::io::Error::from_raw_os_error(errno.raw_os_error()))]
    Proc {
        /// Its path.
        path: String,
        /// The system's answer.
        errno: Errno,
    },
}
