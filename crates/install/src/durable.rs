//! Durable files as the crate `durable` has them, with this crate's errors.

use std::path::Path;

pub(crate) use ::durable::{LONGEST, beside};

use crate::{Error, Result};

/// Writes a file: at any moment a reader finds the old one or the new one. A program that runs from the old one goes on.
pub(crate) fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    ::durable::write(path, content, Some(mode)).map_err(Error::file("write", path))
}

/// Makes a symbolic link in place of what is there.
pub(crate) fn link(path: &Path, to: &Path) -> Result<()> {
    ::durable::link(path, to).map_err(Error::file("link", path))
}

/// Gives a kept file its name back.
pub(crate) fn restore(path: &Path, from: &Path) -> Result<()> {
    ::durable::rename(from, path).map_err(Error::file("restore", path))
}

/// Makes something beside a path and then gives it that name: the second name of a file that is kept.
pub(crate) fn keep(path: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
    ::durable::replace(path, make).map_err(Error::file("keep", path))
}

/// Removes a file for good; one that is not there is no error.
pub(crate) fn remove(path: &Path) -> Result<()> {
    ::durable::remove(path).map_err(Error::file("remove", path))
}

/// A file's content; none when there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    ::durable::read(path).map_err(Error::file("read", path))
}

/// Makes a directory; one that is there is no error.
pub(crate) fn make_dir(dir: &Path) -> Result<()> {
    ::durable::make_dir(dir).map_err(Error::file("make", dir))
}
