//! One lock per shim, held by the kernel for as long as the process lives.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use rustix::fs::{FlockOperation, flock};

use crate::paths::Paths;
use crate::{Error, Result};

/// Released when dropped, or when the process dies.
pub(super) struct Lock {
    _file: File,
}

/// Where the locks are, each named by its shim.
pub(super) fn dir(paths: &Paths) -> PathBuf {
    paths.state("host-access")
}

impl Lock {
    /// Waits for the lock of `shim`.
    pub(super) fn acquire(paths: &Paths, shim: &str) -> Result<Self> {
        let dir = dir(paths);
        let failed = |op, path: &std::path::Path, source| Error::State { op, path: path.to_owned(), source };
        let path = dir.join(format!("{shim}.lock"));
        let open = || OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = match open() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let made = DirBuilder::new().recursive(true).mode(0o755).create(&dir);
                made.map_err(|error| failed("create", &dir, error))?;
                open()
            }
            opened => opened,
        }
        .map_err(|error| failed("open", &path, error))?;
        flock(&file, FlockOperation::LockExclusive).map_err(|errno| failed("lock", &path, errno.into()))?;
        Ok(Self { _file: file })
    }
}
