//! Files that are whole or not there, also after a power cut: made beside their place, flushed, renamed into it, and the
//! directory flushed. A path has one writer at a time; readers need no lock.
//!
//! Errors are the system's own: callers say which file it was.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Most bytes that [`read`] takes: nothing of ours is longer, and a longer file is not ours.
pub const LONGEST: u64 = 64 << 20;

/// Writes a file: at any moment a reader finds the old content or the new. A program that runs from the old one goes on.
/// With these permission bits from its first byte on, or those that the umask leaves.
///
/// # Errors
/// When the file system refuses; then what was there is there.
pub fn write(path: &Path, content: &[u8], mode: Option<u32>) -> io::Result<()> {
    replace(path, |next| {
        let mut options = File::options();
        options.write(true).create_new(true);
        // The umask takes bits away: nobody may read it who may not later, and then it is as asked.
        let mut file = options.mode(mode.unwrap_or(0o666)).open(next)?;
        if let Some(mode) = mode {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        file.write_all(content)?;
        file.sync_all()
    })
}

/// Makes a symbolic link in place of what is there.
///
/// # Errors
/// As [`write`].
pub fn link(path: &Path, to: &Path) -> io::Result<()> {
    replace(path, |next| std::os::unix::fs::symlink(to, next))
}

/// Makes something beside a path, flushed by who makes it, and then gives it that name.
///
/// # Errors
/// As [`write`], or those of `make`.
pub fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let next = beside(path);
    // What a kill left of this name.
    let _ = fs::remove_file(&next);
    make(&next).and_then(|()| rename(&next, path)).inspect_err(|_| {
        let _ = fs::remove_file(&next);
    })
}

/// The name under which a file is made. It begins with a dot and has no extension that anybody reads.
pub fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".llano-new");
    path.with_file_name(name)
}

/// Gives a file another name in its directory, for good.
///
/// # Errors
/// When the file system refuses.
pub fn rename(path: &Path, to: &Path) -> io::Result<()> {
    fs::rename(path, to)?;
    sync_parent(to)
}

/// Removes a file for good; one that is not there is no error.
///
/// # Errors
/// When the file system refuses.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_parent(path),
    }
}

/// A file's content; none when there is no file.
///
/// # Errors
/// When it cannot be read, or is longer than [`LONGEST`].
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    let length = file.take(LONGEST + 1).read_to_end(&mut content)?;
    if length as u64 > LONGEST { Err(ErrorKind::FileTooLarge.into()) } else { Ok(Some(content)) }
}

/// Makes a directory for good, of mode 0755; one that is there is no error. Its parent must be there.
///
/// # Errors
/// When the file system refuses.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(dir) {
        // Another process was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_parent(dir),
    }
}

/// Flushes the directory that holds a path: its names then outlive a power cut.
///
/// # Errors
/// When it cannot be opened or flushed.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        // The root has no name.
        None => Ok(()),
        Some(dir) if dir.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(dir) => File::open(dir)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test ends where it cannot go on.

    use super::*;

    #[test]
    fn a_write_is_whole_or_not_there_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.json");
        let alone = || fs::read_dir(dir.path()).unwrap().count() == 1;
        assert_eq!(read(&path).unwrap(), None);
        write(&path, b"one", Some(0o640)).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        // What a kill left.
        fs::write(beside(&path), "torn").unwrap();
        write(&path, b"two", None).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert!(alone());
        // What fails half-way changes nothing.
        let half = |next: &Path| fs::write(next, "half").and(Err(ErrorKind::StorageFull.into()));
        assert_eq!(replace(&path, half).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert!(alone());
        link(&path, Path::new("/dev/null")).unwrap();
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("/dev/null"));
        assert!(alone());
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(path.symlink_metadata().is_err());
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse");
        File::create(&path).unwrap().set_len(LONGEST + 1).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_directory_is_made_once_and_a_file_in_its_place_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (made, file) = (dir.path().join("made"), dir.path().join("file"));
        make_dir(&made).unwrap();
        make_dir(&made).unwrap();
        fs::write(&file, "").unwrap();
        assert_eq!(make_dir(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(make_dir(&file.join("below")).unwrap_err().kind(), ErrorKind::NotADirectory);
    }
}
