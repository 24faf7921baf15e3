//! Files that are whole or not there, also after a power cut.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::{Error, Result};

/// More than any record of ours has; a file that is bigger was not written by us.
const LONGEST: u64 = 64 << 20;

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
    replace("write", path, |next| {
        let mut options = File::options();
        options.write(true).create_new(true);
        // The umask takes bits away: nobody may read it who could not before, and then it is as it was.
        let mut file = options.mode(mode.unwrap_or(0o666)).open(next)?;
        if let Some(mode) = mode {
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        file.write_all(content)?;
        file.sync_all()
    })
}

/// Makes a symbolic link, in place of what is there.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn link(path: &Path, to: &Path) -> Result<()> {
    replace("link", path, |next| std::os::unix::fs::symlink(to, next))
}

/// Makes something beside a path, and then gives it that name.
fn replace(op: &'static str, path: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
    let failed = |error| Error::file(op, path, error);
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed(ErrorKind::InvalidInput.into()));
    };
    make_dir(dir)?;
    let mut next = std::ffi::OsString::from(".");
    next.push(name);
    next.push(".new");
    let next = dir.join(next);
    // What a crash left of this name: there is one writer at a time.
    let _ = fs::remove_file(&next);
    let all = || {
        make(&next)?;
        fs::rename(&next, path)?;
        sync_dir(dir)
    };
    all().map_err(|error| {
        let _ = fs::remove_file(&next);
        failed(error)
    })
}

/// Removes a file for good; one that is not there is no error.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_dir).map_err(|error| Error::file("remove", path, error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file("remove", path, error)),
    }
}

/// Gives a file another name in its directory.
pub(crate) fn rename(path: &Path, to: &Path) -> Result<()> {
    let rename = || {
        fs::rename(path, to)?;
        path.parent().map_or(Ok(()), sync_dir)
    };
    rename().map_err(|error| Error::file("rename", path, error))
}

/// The content of a file, `None` when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let read = || {
        let mut content = Vec::new();
        let length = File::open(path)?.take(LONGEST + 1).read_to_end(&mut content)?;
        if length as u64 > LONGEST { Err(std::io::Error::from(ErrorKind::FileTooLarge)) } else { Ok(content) }
    };
    match read() {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("read", path, error)),
    }
}

/// Makes a directory with its parents.
pub(crate) fn make_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), make_dir)?;
    let make = || match fs::DirBuilder::new().mode(0o755).create(dir) {
        // Another process was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => parent.map_or(Ok(()), sync_dir),
    };
    make().map_err(|error| Error::file("create", dir, error))
}

fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}
