//! The errors of this crate.

use std::path::PathBuf;

use rustix::io::Errno;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, with the object it concerns.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused.
    #[error("cannot {op}{}{object}: {}{}", space(object), describe(*errno), reason(text))]
    Refused {
        /// What was tried, a verb: `add address`.
        op: &'static str,
        /// What it was tried on: `10.1.2.3/24 on interface 4`; empty when the verb says it all.
        object: String,
        /// The kernel's answer.
        errno: Errno,
        /// The kernel's own explanation (extended acknowledgement), when it gave one.
        text: Option<String>,
    },
    /// The file exists and is no namespace.
    #[error(
        "{path} is not a namespace: the magic of its file system is {magic:x}, allowed are nsfs and proc"
    )]
    NotANamespace {
        /// The file.
        path: PathBuf,
        /// `statfs.f_type` of the file system it is on.
        magic: u64,
    },
    /// The file is a namespace of another kind, or another file of proc.
    #[error("{path} is not a network namespace")]
    NotANetworkNamespace {
        /// The file.
        path: PathBuf,
    },
    /// A value that the kernel could not take, found before asking it.
    #[error("{object} is {value}: allowed is {allowed}")]
    Invalid {
        /// Which value: `interface name`.
        object: &'static str,
        /// The value as given.
        value: String,
        /// What would be accepted.
        allowed: &'static str,
    },
    /// The kernel's answer could not be understood.
    #[error("the kernel's answer to {op} cannot be read: {what}")]
    Malformed {
        /// What was tried.
        op: &'static str,
        /// What was wrong with the answer.
        what: &'static str,
    },
}

impl Error {
    pub(crate) fn new(op: &'static str, object: impl Into<String>, errno: Errno) -> Self {
        Self::Refused { op, object: object.into(), errno, text: None }
    }

    /// The kernel's error number, when the kernel was asked.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// Whether the object does not exist (ENOENT, ENODEV, ESRCH, EADDRNOTAVAIL).
    pub fn is_not_found(&self) -> bool {
        matches!(self.errno(), Some(Errno::NOENT | Errno::NODEV | Errno::SRCH | Errno::ADDRNOTAVAIL))
    }

    /// Whether the object exists already (EEXIST).
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(Errno::EXIST)
    }
}

/// `File exists (EEXIST)`.
pub(crate) fn describe(errno: Errno) -> String {
    let raw = errno.raw_os_error();
    let text = std::io::Error::from_raw_os_error(raw).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    match name(errno) {
        Some(name) => format!("{text} ({name})"),
        None => format!("{text} (errno {raw})"),
    }
}

fn space(object: &str) -> &'static str {
    if object.is_empty() { "" } else { " " }
}

fn reason(text: &Option<String>) -> String {
    match text {
        Some(text) => format!(": {text}"),
        None => String::new(),
    }
}

/// The symbol of the errors that netlink, namespaces and sockets give.
fn name(errno: Errno) -> Option<&'static str> {
    const NAMES: [(Errno, &str); 31] = [
        (Errno::PERM, "EPERM"),
        (Errno::NOENT, "ENOENT"),
        (Errno::SRCH, "ESRCH"),
        (Errno::INTR, "EINTR"),
        (Errno::IO, "EIO"),
        (Errno::NXIO, "ENXIO"),
        (Errno::BADF, "EBADF"),
        (Errno::AGAIN, "EAGAIN"),
        (Errno::NOMEM, "ENOMEM"),
        (Errno::ACCESS, "EACCES"),
        (Errno::BUSY, "EBUSY"),
        (Errno::EXIST, "EEXIST"),
        (Errno::NODEV, "ENODEV"),
        (Errno::NOTDIR, "ENOTDIR"),
        (Errno::ISDIR, "EISDIR"),
        (Errno::INVAL, "EINVAL"),
        (Errno::MFILE, "EMFILE"),
        (Errno::NOSPC, "ENOSPC"),
        (Errno::ROFS, "EROFS"),
        (Errno::RANGE, "ERANGE"),
        (Errno::NAMETOOLONG, "ENAMETOOLONG"),
        (Errno::MSGSIZE, "EMSGSIZE"),
        (Errno::OPNOTSUPP, "EOPNOTSUPP"),
        (Errno::AFNOSUPPORT, "EAFNOSUPPORT"),
        (Errno::ADDRINUSE, "EADDRINUSE"),
        (Errno::ADDRNOTAVAIL, "EADDRNOTAVAIL"),
        (Errno::NETDOWN, "ENETDOWN"),
        (Errno::NETUNREACH, "ENETUNREACH"),
        (Errno::NOBUFS, "ENOBUFS"),
        (Errno::HOSTUNREACH, "EHOSTUNREACH"),
        (Errno::TIMEDOUT, "ETIMEDOUT"),
    ];
    NAMES.iter().find(|(e, _)| *e == errno).map(|(_, n)| *n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let mut error = Error::new("read links", "", Errno::PERM);
        assert_eq!(error.to_string(), "cannot read links: Operation not permitted (EPERM)");
        if let Error::Refused { object, text, errno, .. } = &mut error {
            *object = "of eth0".to_owned();
            *text = Some("not today".to_owned());
            *errno = Errno::XDEV;
        }
        let words = error.to_string();
        assert!(words.starts_with("cannot read links of eth0: "), "{words}");
        assert!(words.ends_with(" (errno 18): not today"), "{words}");
    }
}
