//! Durable files as the crate `durable` has them, with this crate's errors, and directories that are made when missing.

use std::path::Path;

use crate::{Error, Result};

/// Writes a file so that at any moment, and after a power cut at any moment, a reader finds the old content or the new.
/// Its directory is made when missing.
///
/// # Errors
/// When the file system refuses.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    write_as(path, content, None)
}

/// As [`write`], with these permission bits from its first byte on.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn write_as(path: &Path, content: &[u8], mode: Option<u32>) -> Result<()> {
    path.parent().map_or(Ok(()), make_dir)?;
    ::durable::write(path, content, mode).map_err(|error| Error::file("write", path, error))
}

/// Makes a symbolic link, in place of what is there.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn link(path: &Path, to: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), make_dir)?;
    ::durable::link(path, to).map_err(|error| Error::file("link", path, error))
}

/// Removes a file for good; one that is not there is no error.
pub(crate) fn remove(path: &Path) -> Result<()> {
    ::durable::remove(path).map_err(|error| Error::file("remove", path, error))
}

/// Gives a file another name in its directory.
pub(crate) fn rename(path: &Path, to: &Path) -> Result<()> {
    ::durable::rename(path, to).map_err(|error| Error::file("rename", path, error))
}

/// The content of a file, `None` when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    ::durable::read(path).map_err(|error| Error::file("read", path, error))
}

/// Makes a directory with its parents.
pub(crate) fn make_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), make_dir)?;
    ::durable::make_dir(dir).map_err(|error| Error::file("create", dir, error))
}
