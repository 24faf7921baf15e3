//! The node's root as our own, for an agent in a container.

use std::path::Path;

use crate::{Error, Result};

/// Makes a directory this process's root. The primary plugin and others, which the agent runs, then find what they find when the
/// runtime runs them: their programs, sockets and state. What is needed of the old root must be open by then.
///
/// # Errors
/// It is no directory, or the capability `SYS_CHROOT` is missing.
pub fn enter(root: &Path) -> Result<()> {
    rustix::process::chroot(root)
        .and_then(|()| rustix::process::chdir("/"))
        .map_err(|errno| Error::file("enter", root)(errno.into()))
}
