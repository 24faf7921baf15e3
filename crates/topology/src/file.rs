//! Files of others: only regular ones, and no more of them than is useful.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags};

/// Most bytes of one file that runtimes write.
pub(crate) const LIMIT: u64 = 4 << 20;
/// Most entries of one directory that are looked at.
const ENTRIES: usize = 65_536;

/// The bytes of a regular file and when it was written; `None` when it is not there, is something else, or is longer
/// than `limit`. Never waits, as for a FIFO's writer.
pub(crate) fn read(path: &Path, limit: u64) -> Option<(Vec<u8>, Option<SystemTime>)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > limit {
        return None;
    }
    let mut bytes = Vec::new();
    // It may grow while it is read, and files of proc say that they are empty.
    file.take(limit + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit).then(|| (bytes, metadata.modified().ok()))
}

/// As [`read`], as text; what is not UTF-8 is replaced.
pub(crate) fn text(path: &Path, limit: u64) -> Option<String> {
    read(path, limit).map(|(bytes, _)| String::from_utf8_lossy(&bytes).into_owned())
}

/// What is in a directory, sorted; nothing when it cannot be read.
pub(crate) fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.take(ENTRIES).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// A path's last part as text.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
