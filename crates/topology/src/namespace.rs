//! A network namespace that was found.

use std::path::{Path, PathBuf};

use kernel::NetNs;
use serde::Serialize;

use crate::{Attachment, Container, Error, Owner, Pod, Process, Result};

/// What tells namespaces apart for as long as they live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct NamespaceId {
    /// Device of the file system of namespaces.
    pub device: u64,
    /// Inode there, as in `readlink /proc/PID/ns/net`.
    pub inode: u64,
}

/// Where a namespace is bound.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The process whose mounts have it, when the caller's have not.
    pub through: Option<u32>,
    /// The file.
    pub path: PathBuf,
}

/// A network namespace and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Namespace {
    /// Which one.
    pub id: NamespaceId,
    /// Whether it is the caller's own.
    pub is_current: bool,
    /// Whether it is that of process 1.
    pub is_init: bool,
    /// Where it is bound, those of the caller's own mounts first.
    pub places: Vec<Place>,
    /// The first of its processes.
    pub process: Option<Process>,
    /// How many processes are in it.
    pub processes: usize,
    /// The container it belongs to.
    pub container: Option<Container>,
    /// The pod it belongs to.
    pub pod: Option<Pod>,
    /// What CNI's cache says of its interfaces.
    pub attachments: Vec<Attachment>,
    /// A file to open it by that is neither a place nor a process: a thread, a descriptor.
    pub(crate) handle: Option<PathBuf>,
}

/// Where `ip netns` keeps names.
pub(crate) const NAMED: &str = "/run/netns";

impl Namespace {
    pub(crate) fn new(id: NamespaceId) -> Self {
        Self {
            id,
            is_current: false,
            is_init: false,
            places: Vec::new(),
            process: None,
            processes: 0,
            container: None,
            pod: None,
            attachments: Vec::new(),
            handle: None,
        }
    }

    /// Whose it is.
    pub fn owner(&self) -> Owner {
        if self.is_current {
            return Owner::Host;
        }
        if self.is_init {
            return Owner::Init;
        }
        if let Some(pod) = &self.pod {
            return Owner::Pod(pod.clone());
        }
        if let Some(container) = &self.container {
            return Owner::Container(container.clone());
        }
        let named = self.places.iter().find_map(|place| Some((name_of(&place.path)?, place.through)));
        if let Some((name, through)) = named {
            return Owner::Named { name, through };
        }
        match (self.places.first(), &self.process) {
            // A process says more than another's mounts.
            (Some(place), process) if place.through.is_none() || process.is_none() => {
                Owner::Bound { path: place.path.clone(), through: place.through }
            }
            (_, Some(process)) => Owner::Process(process.clone()),
            _ => Owner::Unknown,
        }
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`Error::Gone`] when it is not there any more; what the kernel said otherwise.
    pub fn open(&self) -> Result<NetNs> {
        let mut refused = None;
        for path in self.paths() {
            match NetNs::open(&path) {
                Ok(net) if net.id().is_ok_and(|id| id == (self.id.device, self.id.inode)) => return Ok(net),
                // The name or the number belongs to another by now.
                Ok(_) => {}
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            // EMFILE, EACCES and the like are worth telling; the rest only says that it is gone.
            Some(error)
                if matches!(
                    error.errno(),
                    Some(
                        kernel::Errno::MFILE
                            | kernel::Errno::NFILE
                            | kernel::Errno::ACCESS
                            | kernel::Errno::PERM
                    )
                ) =>
            {
                Err(error.into())
            }
            _ => Err(Error::Gone { owner: self.owner().to_string() }),
        }
    }

    /// Files to open it by, best first.
    pub(crate) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let own = self.is_current.then(|| PathBuf::from("/proc/thread-self/ns/net"));
        let process =
            self.process.iter().map(|process| PathBuf::from(format!("/proc/{}/ns/net", process.pid)));
        own.into_iter().chain(self.places.iter().map(Place::file)).chain(process).chain(self.handle.clone())
    }

    /// A path by which it can be entered from the caller's mounts.
    pub fn path(&self) -> Option<PathBuf> {
        self.paths().next()
    }
}

impl Place {
    /// The file as the caller can open it.
    pub(crate) fn file(&self) -> PathBuf {
        match self.through {
            None => self.path.clone(),
            Some(pid) => {
                let below = self.path.strip_prefix("/").unwrap_or(&self.path);
                Path::new(&format!("/proc/{pid}/root")).join(below)
            }
        }
    }
}

/// The name that `ip netns` would print for a path.
pub(crate) fn name_of(path: &Path) -> Option<String> {
    let below = [NAMED, "/var/run/netns"].into_iter().find_map(|dir| path.strip_prefix(dir).ok())?;
    let mut parts = below.components();
    let name = parts.next()?.as_os_str().to_string_lossy().into_owned();
    parts.next().is_none().then_some(name)
}
