//! One at a time. The kernel lets go of a lock when its holder ends, however it does.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{Process, durable};
use crate::{Error, Result};

/// A lock on a file, held as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock at once; the process that has it otherwise, as far as it has said so yet.
    pub(crate) fn try_take(path: &Path) -> Result<std::result::Result<Self, Option<Process>>> {
        let mut file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Ok(Self::sign(file))),
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = (&mut file).take(40).read_to_string(&mut text);
                Ok(Err(text.trim().parse().ok()))
            }
            Err(errno) => Err(Error::file("lock", path, errno.into())),
        }
    }

    /// Waits for the lock.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let file = open(path)?;
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Self::sign(file)),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::file("lock", path, errno.into())),
            }
        }
    }

    /// Writes down who has it, for those who wait; on a full disk they are not told.
    fn sign(mut file: File) -> Self {
        let _ = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| Process::current().map_or(Ok(()), |process| writeln!(file, "{process}")));
        Self { file }
    }
}

impl Drop for Lock {
    /// Who has let go must not be taken for its holder.
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
    }
}

/// Holds the records' lock without looking into them, for who only writes files that go with them.
#[derive(Debug)]
pub struct Held {
    _lock: Lock,
}

impl Held {
    /// Takes it, waiting for who has it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn take(places: &super::Places, told: &mut dyn FnMut(super::Told)) -> Result<Self> {
        let lock = match Lock::try_take(&places.lock())? {
            Ok(lock) => lock,
            Err(holder) => {
                told(super::Told::Busy { pid: holder.map(|holder| holder.pid) });
                Lock::take(&places.lock())?
            }
        };
        Ok(Self { _lock: lock })
    }
}

fn open(path: &Path) -> Result<File> {
    path.parent().map_or(Ok(()), durable::make_dir)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(|error| Error::file("open", path, error))
}
