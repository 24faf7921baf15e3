//! The database's file, opened only when it is whole.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, StorageError};

use super::CACHE;

/// So many processes may end while they open the file, one after the other, until the file is held to be the reason.
const ATTEMPTS: u64 = 3;

/// The database, its content compared with its checksums: what is read later is what was written. There are damages at which redb
/// ends the process; that it was tried stands beside the file, so that this does not go on for ever.
pub(super) fn whole(path: &Path) -> Result<Database, DatabaseError> {
    match fs::metadata(path) {
        // redb takes an empty file for a new one; ours is never empty, but by a file system that lost it.
        Ok(meta) if meta.len() == 0 => return Err(lost_file()),
        Ok(_) => {}
        Err(_) => return Database::builder().set_cache_size(CACHE).create(path),
    }
    let trace = Trace::new(path)?;
    if trace.attempts > ATTEMPTS {
        return match File::open(path)?.try_lock() {
            Err(TryLockError::WouldBlock) => Err(DatabaseError::DatabaseAlreadyOpen),
            _ => Err(StorageError::Corrupted("nobody has opened it and lived".to_owned()).into()),
        };
    }
    let mut database = Database::builder().set_cache_size(CACHE).create(path)?;
    database.check_integrity()?;
    Ok(database)
}

/// A file with a byte for each attempt since the last that had an answer.
struct Trace {
    path: PathBuf,
    attempts: u64,
}

impl Trace {
    fn new(database: &Path) -> std::io::Result<Trace> {
        let mut path = database.as_os_str().to_owned();
        path.push(".opening");
        let path = PathBuf::from(path);
        let mut file = File::options().append(true).create(true).open(&path)?;
        // A full disk keeps nobody from reading.
        let _ = file.write_all(b".");
        Ok(Trace { path, attempts: file.metadata()?.len() })
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // A test's panic is a process's end.
        if !std::thread::panicking() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

pub(super) fn lost_file() -> DatabaseError {
    StorageError::Corrupted("there is nothing in the file any more".to_owned()).into()
}

/// Whether the file is no database any more; everything else may pass, and its content be good.
pub(super) fn is_damage(error: &DatabaseError) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::UpgradeRequired(_) => false,
        DatabaseError::Storage(StorageError::Io(error)) => {
            matches!(error.kind(), InvalidData | UnexpectedEof)
        }
        _ => true,
    }
}
