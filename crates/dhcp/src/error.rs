//! What can go wrong in the daemon, and the CNI code that says so.

use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed step of the daemon.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The call itself is wrong; code and text are its own.
    #[error(transparent)]
    Cni(#[from] cni::Error),
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// A file or socket refused.
    #[error("cannot {op} {}: {source}", path.display())]
    File {
        /// What was tried: `open`, `lock`, …
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Another daemon serves the socket.
    #[error("{} is served by another daemon already (its lock file is held)", path.display())]
    AlreadyRunning {
        /// The socket.
        path: PathBuf,
    },
    /// The lease store refused.
    #[error("lease store {}: {reason}", path.display())]
    Store {
        /// The database.
        path: PathBuf,
        /// Its words.
        reason: String,
    },
    /// The link or its namespace is gone.
    #[error("{what} is gone")]
    Gone {
        /// `interface eth0 in /run/netns/x`.
        what: String,
    },
    /// A link that is not Ethernet.
    #[error("interface {ifname} has no Ethernet address: DHCP needs one")]
    NotEthernet {
        /// Its name.
        ifname: String,
    },
    /// The daemon cannot be asked.
    #[error("no answer from the DHCP daemon on {}: {reason}", socket.display())]
    NoAnswer {
        /// The socket.
        socket: PathBuf,
        /// Why.
        reason: String,
    },
    /// A daemon may be started from any directory.
    #[error("pidfile {} is not an absolute path", path.display())]
    Pidfile {
        /// The value.
        path: PathBuf,
    },
    /// Systemd handed over something else than one socket.
    #[error("socket activation: {0}")]
    Activation(String),
}

impl Error {
    pub(crate) fn file(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { op, path, source }
    }
}

impl From<Error> for cni::Error {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Cni(error) => error,
            Error::Gone { .. } => cni::Error::coded(cni::code::INVALID_NETNS, text),
            Error::File { .. } | Error::Store { .. } => cni::Error::io(text),
            Error::Kernel(
                kernel::Error::NotANamespace { .. } | kernel::Error::NotANetworkNamespace { .. },
            ) => cni::Error::netns(text),
            Error::NoAnswer { .. } => cni::Error::unavailable(text),
            Error::Kernel(_)
            | Error::AlreadyRunning { .. }
            | Error::NotEthernet { .. }
            | Error::Pidfile { .. }
            | Error::Activation(_) => cni::Error::internal(text),
        }
    }
}
