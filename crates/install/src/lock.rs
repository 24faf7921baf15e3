//! One installer at a time: the agent for as long as it runs, or a command. The kernel lets go when the holder ends.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::{Error, Places, Result};

/// The lock, held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes it.
    ///
    /// # Errors
    /// [`Error::Busy`] when somebody has it; the file cannot be made.
    pub fn take(places: &Places) -> Result<Lock> {
        let path = places.lock();
        let dir = path.parent().unwrap_or(&path);
        std::fs::create_dir_all(dir).map_err(Error::file("make", dir))?;
        let mut options = File::options();
        let open = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(Error::file("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // For who finds it taken; a full disk keeps it from them, no more.
                let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                Ok(Lock { file })
            }
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(20).read_to_string(&mut text));
                Err(Error::Busy { path, holder: text.trim().parse().ok() })
            }
            Err(errno) => Err(Error::file("lock", &path)(errno.into())),
        }
    }
}

impl Drop for Lock {
    /// Who has let go must not be taken for its holder.
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
    }
}
