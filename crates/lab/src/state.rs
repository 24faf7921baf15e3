//! What is written down about a lab before anything is done, so that `down` works after a crash at any point.
//!
//! `/run/llano-lab/NAME/` holds `lab.json` and, for each node, a directory with its bound namespaces.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::spec::is_name;

/// Where all labs are.
pub(crate) const BASE: &str = "/run/llano-lab";

/// How far a lab has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Being built, or its builder died.
    Building,
    /// Complete.
    Up,
}

/// The content of `lab.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    /// Version of this format.
    pub(crate) version: u32,
    pub(crate) stage: Stage,
    /// Goes away with the process of this identity, when set: a test's lab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<Owner>,
    /// The description as it was written.
    pub(crate) spec: String,
}

/// A process, told from a later one of the same number by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pid: u32,
    /// Field 22 of /proc/PID/stat: clock ticks since boot.
    start: u64,
}

impl Owner {
    pub(crate) fn current() -> Option<Self> {
        Self::of(std::process::id())
    }

    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let start = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()?;
        Some(Owner { pid, start })
    }

    pub(crate) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// The directory of a lab, and the lock on it.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) lab: String,
    pub(crate) path: PathBuf,
}

/// Held while a lab is built or taken down. The kernel lets go of it when the process ends, however it does.
pub(crate) struct Lock {
    _file: File,
}

impl Directory {
    pub(crate) fn of(lab: &str) -> Result<Self> {
        if !is_name(lab) {
            let allowed = "1 to 30 of a-z, 0-9 and -, beginning with a letter or digit";
            return Err(Error::Name { name: lab.to_owned(), allowed });
        }
        Ok(Directory { lab: lab.to_owned(), path: Path::new(BASE).join(lab) })
    }

    /// Makes the directory; fails with [`Error::Exists`] when there is one.
    pub(crate) fn create(&self) -> Result<Lock> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o755).create(BASE).map_err(|error| Error::io("create", BASE, error))?;
        match fs::create_dir(&self.path) {
            Ok(()) => self.lock(),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Error::Exists { lab: self.lab.clone() })
            }
            Err(error) => Err(Error::io("create", self.path.display(), error)),
        }
    }

    pub(crate) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Waits for the one who builds it or takes it down.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let wrong = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::NoSuchLab { lab: self.lab.clone(), labs: names() },
            _ => Error::io("lock", self.path.display(), error),
        };
        loop {
            let file = File::open(&self.path).map_err(wrong)?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|errno| wrong(errno.into()))?;
            // Whoever held the lock may have removed the directory, and another lab of the name may be there now.
            let now = fs::metadata(&self.path).map_err(wrong)?;
            let locked = file.metadata().map_err(wrong)?;
            if (now.dev(), now.ino()) == (locked.dev(), locked.ino()) {
                return Ok(Lock { _file: file });
            }
        }
    }

    pub(crate) fn node(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn file(&self) -> PathBuf {
        self.path.join("lab.json")
    }

    /// Writes the state so that a reader sees the old or the new one, never a part.
    pub(crate) fn write(&self, state: &State) -> Result<()> {
        let file = self.file();
        let next = self.path.join("lab.json.next");
        let text = serde_json::to_vec_pretty(state).map_err(|error| self.broken(&error))?;
        let write = || {
            let mut out = File::create(&next)?;
            out.write_all(&text)?;
            fs::rename(&next, &file)
        };
        write().map_err(|error| Error::io("write", file.display(), error))
    }

    /// Reads the state; `None` when its builder died before it wrote one.
    pub(crate) fn read(&self) -> Result<Option<State>> {
        match fs::read(self.file()) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| self.broken(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", self.file().display(), error)),
        }
    }

    /// The directories below, one for each node or switch.
    pub(crate) fn nodes(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }

    pub(crate) fn remove(&self) -> Result<()> {
        fs::remove_dir_all(&self.path).map_err(|error| Error::io("remove", self.path.display(), error))?;
        // The last lab takes the common directory along.
        let _ = fs::remove_dir(BASE);
        Ok(())
    }

    fn broken(&self, reason: &serde_json::Error) -> Error {
        Error::State { lab: self.lab.clone(), path: self.file(), reason: reason.to_string() }
    }
}

/// Names of all labs, sorted.
pub(crate) fn names() -> Vec<String> {
    let entries = fs::read_dir(BASE).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_name(name))
        .collect();
    names.sort();
    names
}
