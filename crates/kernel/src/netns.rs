//! Network namespaces.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::thread::LinkNameSpaceType;

use crate::{Error, Result, sys};

/// The namespace of the calling thread, whichever thread that is.
const CURRENT: &str = "/proc/thread-self/ns/net";
/// `NSFS_MAGIC` and `PROC_SUPER_MAGIC` (linux/magic.h); old kernels have namespaces on proc.
const NSFS: u64 = 0x6e73_6673;
const PROC: u64 = 0x9fa0;

/// A network namespace, held open. Clones share the descriptor, which is closed on exec.
#[derive(Clone, Debug)]
pub struct NetNs {
    fd: Arc<OwnedFd>,
}

/// Equal when they are the same namespace.
impl PartialEq for NetNs {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.fd, &other.fd)
            || matches!((self.id(), other.id()), (Ok(mine), Ok(theirs)) if mine == theirs)
    }
}

impl NetNs {
    /// Opens the namespace of a file: a bind mount such as /run/netns/x, or /proc/PID/ns/net.
    /// A file that is not there gives ENOENT ([`Error::is_not_found`]), any other file [`Error::NotANamespace`], a namespace of another kind
    /// [`Error::NotANetworkNamespace`].
    pub fn open(path: &Path) -> Result<Self> {
        // Non-blocking, because the file may turn out to be a FIFO.
        let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
            .map_err(|errno| failed("open namespace", path, errno))?;
        let magic = rustix::fs::fstatfs(&fd).map_err(|errno| failed("read namespace", path, errno))?.f_type;
        #[allow(clippy::cast_sign_loss)]
        let magic = magic as u64;
        if magic != NSFS && magic != PROC {
            return Err(Error::NotANamespace { path: path.to_owned(), magic });
        }
        // Entering would fail with a bare EINVAL.
        if !sys::is_network_namespace(fd.as_fd()) {
            return Err(Error::NotANetworkNamespace { path: path.to_owned() });
        }
        Ok(Self { fd: Arc::new(fd) })
    }

    /// The calling thread's namespace.
    pub fn current() -> Result<Self> {
        Self::open(Path::new(CURRENT))
    }

    /// Device and inode, which together tell namespaces apart for as long as they live.
    pub fn id(&self) -> Result<(u64, u64)> {
        let stat = rustix::fs::fstat(&*self.fd).map_err(|e| Error::new("read", "namespace", e))?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// Runs `f` with the calling thread in this namespace. The thread comes back also when `f` panics; when it cannot
    /// come back the process is ended, because it would go on in the wrong place.
    pub fn run<T>(&self, f: impl FnOnce() -> T) -> Result<T> {
        let _guard = self.enter()?;
        Ok(f())
    }

    fn enter(&self) -> Result<Return> {
        let from = rustix::fs::open(CURRENT, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Error::new("open", CURRENT, errno))?;
        set(self.fd.as_fd()).map_err(|errno| Error::new("enter", "namespace", errno))?;
        Ok(Return(from))
    }

    /// Makes a new namespace and binds it to `path`, which must not exist; its directory must. The loopback is down.
    pub fn create_at(path: &Path) -> Result<Self> {
        rustix::fs::open(
            path,
            OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o444),
        )
        .map_err(|errno| failed("create namespace", path, errno))?;
        // A thread of its own, which never comes back to the caller's namespace.
        let made = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().spawn_scoped(scope, || {
                sys::unshare_network()?;
                rustix::mount::mount(CURRENT, path, c"", MountFlags::BIND, None)
            });
            match thread {
                Ok(thread) => thread.join().unwrap_or(Err(Errno::IO)),
                Err(_) => Err(Errno::AGAIN),
            }
        });
        let result =
            made.map_err(|errno| failed("create namespace", path, errno)).and_then(|()| Self::open(path));
        if result.is_err() {
            let _ = Self::delete(path);
        }
        result
    }

    /// Makes a namespace without a name: it ends with the last clone of what is returned. The loopback is down.
    pub fn scratch() -> Result<Self> {
        std::thread::scope(|scope| {
            // A thread of its own, which never comes back to the caller's namespace.
            let thread = std::thread::Builder::new().spawn_scoped(scope, || {
                sys::unshare_network().map_err(|errno| Error::new("create", "namespace", errno))?;
                Self::current()
            });
            match thread {
                Ok(thread) => {
                    thread.join().unwrap_or_else(|_| Err(Error::new("create", "namespace", Errno::IO)))
                }
                Err(_) => Err(Error::new("create", "namespace", Errno::AGAIN)),
            }
        })
    }

    /// Unbinds a namespace and removes its file. It lives on while something holds it. A file that is not there gives
    /// ENOENT.
    pub fn delete(path: &Path) -> Result<()> {
        match rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // EINVAL: no mount point, as after a reboot.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(failed("delete namespace", path, errno)),
        }
        fs::remove_file(path).map_err(|e| {
            let errno = Errno::from_io_error(&e).unwrap_or(Errno::IO);
            failed("delete namespace", path, errno)
        })
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

struct Return(OwnedFd);

impl Drop for Return {
    fn drop(&mut self) {
        if set(self.0.as_fd()).is_err() {
            std::process::abort();
        }
    }
}

fn set(fd: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    rustix::thread::move_into_link_name_space(fd, Some(LinkNameSpaceType::Network))
}

fn failed(op: &'static str, path: &Path, errno: Errno) -> Error {
    Error::new(op, path.to_string_lossy(), errno)
}
