//! The file operations on a lease directory, each of them safe against a crash at any instant.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RawDir, Timespec, Timestamps};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::lease::{LONGEST_RECORD, Record, parse_record};

/// Names of files on their way to another name start so. Found by a scan, they are left over from a crash.
pub(crate) const PASSING: &str = ".llano-";

const PASSING_LEASE: &str = ".llano-lease";
const PASSING_CURSOR: &str = ".llano-cursor";

const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58f6;

/// The open directory.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: OwnedFd,
    path: PathBuf,
    /// Whether the file system keeps anything over a power cut, so that syncing is worth its time.
    durable: bool,
    /// Whether the file system has files without a name, as far as we know.
    unnamed: Cell<bool>,
    /// Steps left before everything fails, for tests that crash at each step.
    steps: Steps,
}

/// Counts the operations that change something. With a limit, the ones after it fail: to the directory
/// this looks like the death of the process, as nothing is tidied up after it either.
#[derive(Debug, Default)]
pub(crate) struct Steps(Option<Cell<u32>>);

impl Steps {
    #[cfg(test)]
    pub(crate) fn limited(limit: u32) -> Steps {
        Steps(Some(Cell::new(limit)))
    }

    pub(crate) fn take(&self) -> std::result::Result<(), Errno> {
        let Some(left) = &self.0 else { return Ok(()) };
        if left.get() == 0 {
            return Err(Errno::CANCELED);
        }
        left.set(left.get() - 1);
        Ok(())
    }
}

impl Disk {
    /// Opens the directory, made if needed, and locks it. Gives the lock too: closing it unlocks.
    pub(crate) fn open_locked(path: &Path, steps: Steps) -> Result<(Disk, OwnedFd)> {
        loop {
            let dir = open_dir(path, &steps)?;
            let lock = lock(&dir, path);
            // Somebody may have removed the directory, or made it anew, while we waited for the lock.
            if is_in_place(&dir, path) {
                let durable = is_durable(dir.as_fd());
                return Ok((
                    Disk { dir, path: path.to_owned(), durable, unnamed: Cell::new(true), steps },
                    lock?,
                ));
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn without_unnamed_files(&self) {
        self.unnamed.set(false);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn steps(&self) -> &Steps {
        &self.steps
    }

    pub(crate) fn stat(&self) -> std::result::Result<rustix::fs::Stat, Errno> {
        rustix::fs::fstat(&self.dir)
    }

    /// Calls `each` with every name in the directory but `.` and `..`.
    pub(crate) fn names(&self, each: &mut dyn FnMut(&str)) -> Result<()> {
        let failed = |errno| self.error("read the directory", "", errno);
        rustix::fs::seek(&self.dir, rustix::fs::SeekFrom::Start(0)).map_err(failed)?;
        let mut buffer = [MaybeUninit::<u8>::uninit(); 16 * 1024];
        let mut entries = RawDir::new(&self.dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(failed)?;
            if let Ok(name) = entry.file_name().to_str()
                && name != "."
                && name != ".."
            {
                each(name);
            }
        }
        Ok(())
    }

    /// What a lease file says; `None` when there is none. What is no readable file is foreign.
    pub(crate) fn record(&self, name: &str) -> Result<Option<Record>> {
        let mut content = [0_u8; LONGEST_RECORD + 1];
        match self.read(name, &mut content) {
            Ok(length) => Ok(Some(parse_record(&content[..length]))),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => Ok(Some(Record::Foreign)),
            Err(errno) => Err(self.error("read the lease file", name, errno)),
        }
    }

    /// Whether there is something with this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Reads as much of a file as fits.
    pub(crate) fn read(&self, name: &str, content: &mut [u8]) -> std::result::Result<usize, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&self.dir, name, flags, Mode::empty())?;
        let mut length = 0;
        loop {
            match rustix::io::read(&file, &mut content[length..]) {
                Ok(0) => return Ok(length),
                Ok(n) => length += n,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Makes a lease's file, which has its whole content from the first instant of its name, and puts the
    /// cursor in the place of the one with its name: a reader sees either the old one or the new one.
    /// False, and no change, when the lease's name is taken. The names are durable after `sync`.
    pub(crate) fn claim(&self, lease: (&str, &[u8]), cursor: (&str, &[u8])) -> Result<bool> {
        let failed = |errno| self.error("create the lease file", lease.0, errno);
        let failed_cursor = |errno| self.error("write", cursor.0, errno);
        let file = self.lease_file(lease.1).map_err(failed)?;
        let cursor_file = self.passing_file(PASSING_CURSOR, cursor.1).map_err(failed_cursor)?;
        self.flush([&file, &cursor_file]).map_err(failed)?;
        match self.name_lease(&file, lease) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                self.remove(PASSING_CURSOR)?;
                return Ok(false);
            }
            Err(errno) => return Err(failed(errno)),
        }
        let moved = self
            .steps
            .take()
            .and_then(|()| rustix::fs::renameat(&self.dir, PASSING_CURSOR, &self.dir, cursor.0));
        if let Err(errno) = moved {
            let _ = self.remove(lease.0);
            let _ = self.remove(PASSING_CURSOR);
            return Err(failed_cursor(errno));
        }
        Ok(true)
    }

    /// A file with this content and no name, or one on its way to its name.
    fn lease_file(&self, content: &[u8]) -> std::result::Result<OwnedFd, Errno> {
        if self.unnamed.get() {
            self.steps.take()?;
            let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
            match rustix::fs::openat(&self.dir, ".", flags, FILE_MODE) {
                Ok(file) => return self.fill(file, content),
                // NFS, FUSE, old overlayfs.
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => self.unnamed.set(false),
                Err(errno) => return Err(errno),
            }
        }
        self.passing_file(PASSING_LEASE, content)
    }

    fn passing_file(&self, name: &str, content: &[u8]) -> std::result::Result<OwnedFd, Errno> {
        self.steps.take()?;
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        self.fill(rustix::fs::openat(&self.dir, name, flags, FILE_MODE)?, content)
    }

    fn fill(&self, file: OwnedFd, mut content: &[u8]) -> std::result::Result<OwnedFd, Errno> {
        while !content.is_empty() {
            self.steps.take()?;
            match rustix::io::write(&file, content) {
                Ok(n) => content = &content[n..],
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(file)
    }

    /// Makes the content of both files durable. The writing of both is started before either is waited for:
    /// that makes one commit of the file system's journal where there would be two.
    fn flush(&self, files: [&OwnedFd; 2]) -> std::result::Result<(), Errno> {
        if !self.durable {
            return Ok(());
        }
        for file in files {
            // Of all advice, that the content is not needed in memory is the one that starts writing it out.
            let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
        }
        for file in files {
            self.steps.take()?;
            rustix::fs::fdatasync(file)?;
        }
        Ok(())
    }

    fn name_lease(&self, file: &OwnedFd, (name, content): (&str, &[u8])) -> std::result::Result<(), Errno> {
        use std::os::fd::AsRawFd;
        if !self.unnamed.get() {
            return self.name_passing(name);
        }
        self.steps.take()?;
        let mut named = rustix::fs::linkat(file, "", &self.dir, name, AtFlags::EMPTY_PATH);
        if named == Err(Errno::NOENT) {
            // Without CAP_DAC_READ_SEARCH (a user namespace) the kernel wants the way through /proc.
            let link = format!("/proc/self/fd/{}", file.as_raw_fd());
            named = rustix::fs::linkat(rustix::fs::CWD, link, &self.dir, name, AtFlags::SYMLINK_FOLLOW);
        }
        if named == Err(Errno::NOENT) {
            self.unnamed.set(false);
            let file = self.passing_file(PASSING_LEASE, content)?;
            self.flush([&file, &file])?;
            return self.name_passing(name);
        }
        named
    }

    /// Gives the file that is on its way its name, which must be free.
    fn name_passing(&self, name: &str) -> std::result::Result<(), Errno> {
        self.steps.take()?;
        let named = match rustix::fs::linkat(&self.dir, PASSING_LEASE, &self.dir, name, AtFlags::empty()) {
            // FAT has no links.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
                // Nobody else makes the name between these two calls: we hold the lock.
                if !self.has(name) {
                    return rustix::fs::renameat(&self.dir, PASSING_LEASE, &self.dir, name);
                }
                Err(Errno::EXIST)
            }
            other => other,
        };
        // What cannot be removed now is removed by the next scan.
        let _ = self.remove(PASSING_LEASE);
        named
    }

    /// Removes a file. One that is not there is as good as removed.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let removed = match self.steps.take() {
            Ok(()) => rustix::fs::unlinkat(&self.dir, name, AtFlags::empty()),
            Err(errno) => Err(errno),
        };
        match removed {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.error("remove", name, errno)),
        }
    }

    /// Sets the directory's time of change; the time of the last read stays.
    pub(crate) fn set_mtime(&self, mtime: Timespec) -> std::result::Result<(), Errno> {
        self.steps.take()?;
        let omit = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
        let times = Timestamps { last_access: omit, last_modification: mtime };
        rustix::fs::futimens(&self.dir, &times)
    }

    /// Makes the names in the directory durable.
    pub(crate) fn sync(&self) -> Result<()> {
        if !self.durable {
            return Ok(());
        }
        self.steps
            .take()
            .and_then(|()| rustix::fs::fsync(&self.dir))
            .map_err(|errno| self.error("sync the directory", "", errno))
    }

    pub(crate) fn error(&self, op: &'static str, name: &str, errno: Errno) -> Error {
        let path = if name.is_empty() { self.path.clone() } else { self.path.join(name) };
        Error::Io { op, path, errno }
    }
}

fn lock(dir: &OwnedFd, path: &Path) -> Result<OwnedFd> {
    let failed = |op, errno| Error::Io { op, path: path.join("lock"), errno };
    let flags = OFlags::CREATE | OFlags::RDONLY | OFlags::CLOEXEC;
    let lock = rustix::fs::openat(dir, "lock", flags, Mode::from_raw_mode(0o750))
        .map_err(|errno| failed("open the lock file", errno))?;
    loop {
        match rustix::fs::flock(&lock, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(lock),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("lock", errno)),
        }
    }
}

fn is_in_place(dir: &OwnedFd, path: &Path) -> bool {
    match (rustix::fs::fstat(dir), rustix::fs::stat(path)) {
        (Ok(ours), Ok(named)) => (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino),
        _ => false,
    }
}

fn open_dir(path: &Path, steps: &Steps) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let failed = |op, errno| Error::Io { op, path: path.to_owned(), errno };
    loop {
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(dir) => return Ok(dir),
            Err(Errno::NOENT) => {
                make_dir(path, steps).map_err(|errno| failed("make the directory", errno))?
            }
            Err(errno) => return Err(failed("open the directory", errno)),
        }
    }
}

/// Makes the directory and those above it, 0755 as host-local does, each durable in its parent.
fn make_dir(path: &Path, steps: &Steps) -> std::result::Result<(), Errno> {
    steps.take()?;
    let mode = Mode::from_raw_mode(0o755);
    match rustix::fs::mkdir(path, mode) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(Errno::NOENT) => {
            let Some(parent) = path.parent() else { return Err(Errno::NOENT) };
            make_dir(parent, steps)?;
            match rustix::fs::mkdir(path, mode) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(errno) => return Err(errno),
    }
    if let Some(parent) = path.parent()
        && let Ok(dir) = rustix::fs::open(parent, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        && is_durable(dir.as_fd())
    {
        rustix::fs::fsync(&dir)?;
    }
    Ok(())
}

/// False for file systems in memory.
pub(crate) fn is_durable(fd: std::os::fd::BorrowedFd<'_>) -> bool {
    !matches!(rustix::fs::fstatfs(fd), Ok(stat) if stat.f_type == TMPFS || stat.f_type == RAMFS)
}
