//! What is written down about a cluster before anything is done, so that `down` works after a crash at any point.
//!
//! `/var/lib/llano-cluster/NAME/` holds `cluster.json`, the hosts' disks, the logs and the images. It is on a real file system:
//! containers' layers are overlays, which cannot be on another overlay or need too much memory on a tmpfs.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::spec::ClusterSpec;

const BASE: &str = "/var/lib/llano-cluster";
/// Version of the state file's format.
const VERSION: u32 = 1;

/// The content of `cluster.json`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct State {
    version: u32,
    pub(crate) complete: bool,
    pub(crate) spec: ClusterSpec,
}

impl State {
    pub(crate) fn new(spec: ClusterSpec, complete: bool) -> Self {
        State { version: VERSION, complete, spec }
    }
}

/// The directory of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    pub(crate) cluster: String,
    path: PathBuf,
}

/// Held while a cluster is brought up or taken down.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Directory {
    /// The name is checked by the lab, which has the same.
    pub(crate) fn of(cluster: &str) -> Result<Self> {
        let ok = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if cluster.is_empty() || cluster.len() > 30 || !cluster.bytes().all(ok) || cluster.starts_with('-') {
            let allowed = "1 to 30 of a-z, 0-9 and -, beginning with a letter or digit";
            return Err(Error::Spec { key: "name", value: cluster.to_owned(), allowed });
        }
        Ok(Directory { cluster: cluster.to_owned(), path: Path::new(BASE).join(cluster) })
    }

    pub(crate) fn create(&self) -> Result<Lock> {
        let wrong = |error| Error::io("create", self.path.display(), error);
        // Keys are in it.
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(BASE).map_err(wrong)?;
        match fs::create_dir(&self.path) {
            Ok(()) => {
                let lock = self.lock()?;
                // Before the lock was ours, another may have taken the directory for what a killed builder left, and built its own.
                match self.read()? {
                    Some(_) => Err(Error::Exists { cluster: self.cluster.clone() }),
                    None => Ok(lock),
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Error::Exists { cluster: self.cluster.clone() })
            }
            Err(error) => Err(wrong(error)),
        }
    }

    pub(crate) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Waits for the one who builds it or takes it down.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let wrong = |error| Error::io("lock", self.path.display(), error);
        loop {
            let file = File::open(&self.path).map_err(wrong)?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|errno| wrong(errno.into()))?;
            if self.is_current(&file).map_err(wrong)? {
                return Ok(Lock { _file: file });
            }
        }
    }

    /// The lock, when nobody has it.
    pub(crate) fn try_lock(&self) -> Result<Option<Lock>> {
        let wrong = |error| Error::io("lock", self.path.display(), error);
        let file = File::open(&self.path).map_err(wrong)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(self.is_current(&file).map_err(wrong)?.then_some(Lock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(wrong(errno.into())),
        }
    }

    /// Whoever held the lock before may have removed the directory.
    fn is_current(&self, file: &File) -> std::io::Result<bool> {
        let (now, locked) = (fs::metadata(&self.path)?, file.metadata()?);
        Ok((now.dev(), now.ino()) == (locked.dev(), locked.ino()))
    }

    /// Where the disks of the hosts are.
    pub(crate) fn disks(&self) -> PathBuf {
        self.path.join("disks")
    }

    /// A file on a host's disk, by its path there.
    pub(crate) fn on_disk(&self, host: &str, path: &str) -> PathBuf {
        self.disks().join(host).join(path.trim_start_matches('/'))
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.path.join("images.tar")
    }

    /// Writes the state so that a reader sees the old or the new one, never a part.
    pub(crate) fn write(&self, state: &State) -> Result<()> {
        let file = self.path.join("cluster.json");
        let next = self.path.join("cluster.json.next");
        let text = serde_json::to_vec_pretty(state).map_err(|error| self.broken(&error))?;
        fs::write(&next, text)
            .and_then(|()| fs::rename(&next, &file))
            .map_err(|error| Error::io("write", file.display(), error))
    }

    /// Reads the state; `None` when its builder died before it wrote one.
    pub(crate) fn read(&self) -> Result<Option<State>> {
        let file = self.path.join("cluster.json");
        match fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| self.broken(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", file.display(), error)),
        }
    }

    pub(crate) fn remove(&self) -> Result<()> {
        fs::remove_dir_all(&self.path).map_err(|error| Error::io("remove", self.path.display(), error))?;
        // The last cluster takes the common directory along.
        let _ = fs::remove_dir(BASE);
        Ok(())
    }

    fn broken(&self, reason: &serde_json::Error) -> Error {
        Error::State {
            cluster: self.cluster.clone(),
            path: self.path.join("cluster.json").display().to_string(),
            reason: reason.to_string(),
        }
    }
}

/// Names of all clusters, sorted.
pub(crate) fn names() -> Vec<String> {
    let entries = fs::read_dir(BASE).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Writes a file and the directories above it.
pub(crate) fn write(file: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let wrong = |error| Error::io("write", file.display(), error);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).map_err(wrong)?;
    }
    fs::write(file, content).map_err(wrong)
}
