//! Files that are whole or not there, also after a power cut.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Nothing of ours is longer; a longer file is not ours.
pub(crate) const LONGEST: u64 = 64 << 20;

/// Writes a file: at any moment a reader finds the old one or the new one. A program that runs from the old one goes on.
pub(crate) fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    replace("write", path, |next| {
        let mut file = File::options().write(true).create_new(true).mode(mode).open(next)?;
        // The umask takes bits away.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()
    })
}

/// Makes a symbolic link in place of what is there.
pub(crate) fn link(path: &Path, to: &Path) -> Result<()> {
    replace("link", path, |next| std::os::unix::fs::symlink(to, next))
}

/// Makes something beside a path and then gives it that name.
pub(crate) fn replace(
    op: &'static str,
    path: &Path,
    make: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<()> {
    let next = beside(path);
    // What a kill left of this name; there is one writer at a time.
    let _ = fs::remove_file(&next);
    make(&next).and_then(|()| fs::rename(&next, path)).and_then(|()| sync_parent(path)).map_err(|error| {
        let _ = fs::remove_file(&next);
        Error::file(op, path)(error)
    })
}

/// The name under which a file is made. It begins with a dot and has no extension that a runtime reads.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".llano-new");
    path.with_file_name(name)
}

/// Removes a file for good; one that is not there is no error.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path).map_err(Error::file("remove", path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file("remove", path)(error)),
    }
}

/// A file's content; none when there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let read = || {
        let mut content = Vec::new();
        let length = File::open(path)?.take(LONGEST + 1).read_to_end(&mut content)?;
        if length as u64 > LONGEST { Err(std::io::Error::from(ErrorKind::FileTooLarge)) } else { Ok(content) }
    };
    match read() {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

/// Flushes the directory that holds a path.
pub(crate) fn sync_parent(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}
