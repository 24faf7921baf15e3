//! The daemon's socket: who may serve it, and how it comes to be.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, flock};
use rustix::io::Errno;

use super::sys;
use crate::{Error, Result};

/// The right to be the daemon of a socket, before it listens.
#[derive(Debug)]
pub(super) struct Right {
    path: PathBuf,
    /// Held until the process ends, however it ends.
    lock: File,
}

impl Right {
    /// Becomes the daemon of `path`: takes `<path>.lock`.
    ///
    /// # Errors
    /// [`Error::AlreadyRunning`] when another process has it.
    pub(super) fn take(path: &Path) -> Result<Right> {
        if let Some(dir) = path.parent() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(Error::file("make", dir))?;
        }
        let lock_path = sibling(path, ".lock");
        let lock = File::options().write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
        let lock = lock.map_err(Error::file("open", &lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Right { path: path.to_owned(), lock }),
            Err(Errno::WOULDBLOCK) => Err(Error::AlreadyRunning { path: path.to_owned() }),
            Err(errno) => Err(Error::file("lock", lock_path)(errno.into())),
        }
    }

    /// Listens. A socket left by a daemon that was killed is replaced: the lock says that nobody serves it.
    pub(super) fn listen(self) -> Result<Socket> {
        let Right { path, lock } = self;
        let handed = activated()?;
        let activated = handed.is_some();
        let listener = match handed {
            Some(listener) => listener,
            None => bind(&path)?,
        };
        listener.set_nonblocking(true).map_err(Error::file("set up", &path))?;
        Ok(Socket { listener, path, _lock: lock, activated })
    }
}

/// The listening socket with the lock that makes this process the only daemon of it.
#[derive(Debug)]
pub(super) struct Socket {
    /// Where calls come in; never blocks.
    pub(super) listener: UnixListener,
    path: PathBuf,
    _lock: File,
    activated: bool,
}

impl Socket {
    /// The next connection of somebody who may ask: root, or who runs the daemon. Others are dropped.
    pub(super) fn accept(&self) -> Option<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().ok()?;
            let Ok(peer) = rustix::net::sockopt::socket_peercred(&stream) else { continue };
            if !peer.uid.is_root() && peer.uid != rustix::process::geteuid() {
                tracing::warn!(
                    uid = peer.uid.as_raw(),
                    pid = peer.pid.as_raw_nonzero(),
                    "call refused: not root"
                );
                continue;
            }
            if stream.set_nonblocking(true).is_ok() {
                return Some(stream);
            }
        }
    }

    /// Removes the socket's file, unless it is systemd's.
    pub(super) fn close(self) {
        if !self.activated {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn bind(path: &Path) -> Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::file("replace", path)(e)),
        _ => {}
    }
    // The process has one thread here, so its umask is ours to change: the socket is never open to others.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    bound.map_err(Error::file("listen on", path))
}

/// The socket of systemd's socket activation (sd_listen_fds(3)), if there is one.
fn activated() -> Result<Option<UnixListener>> {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u32>().ok());
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if pid == std::process::id() => {
            if count != 1 {
                return Err(Error::Activation(format!("LISTEN_FDS is {count}, allowed is one socket")));
            }
            let fd: OwnedFd = sys::take_first();
            rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)
                .map_err(|e| Error::Activation(format!("descriptor {}: {e}", sys::FIRST)))?;
            Ok(Some(UnixListener::from(fd)))
        }
        _ => Ok(None),
    }
}

/// `path` with more at the end of its name.
pub fn sibling(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_daemon_per_socket_and_a_stale_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/dhcp.sock");
        std::fs::create_dir(dir.path().join("new")).unwrap();
        std::fs::write(&path, "stale").unwrap();
        let first = Right::take(&path).unwrap().listen().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Right::take(&path), Err(Error::AlreadyRunning { .. })));
        let _client = UnixStream::connect(&path).unwrap();
        assert!(first.accept().is_some());
        first.close();
        assert!(!path.exists());
        Right::take(&path).unwrap().listen().unwrap().close();
    }
}
