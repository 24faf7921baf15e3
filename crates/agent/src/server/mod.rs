//! The agent's socket: the plugin's calls, and pages for people and probes, in HTTP/1.1.
//!
//! Only root may ask, and who runs the agent. A connection carries one request and has a thread of its own, of which there are at most
//! [`CONNECTIONS`]; more wait in the kernel's queue.

mod connection;
#[cfg(test)]
mod tests;

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cni::{CniResult, Verb};
pub use daemon::Page;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use crate::{Engine, Error, Result};

/// Most connections at a time: an ADD may wait for the API server, and a node starts all its pods at once.
pub const CONNECTIONS: usize = 128;
/// A call's thread needs little; only what it touches counts.
const STACK: usize = 512 << 10;

/// What one call came to, for metrics and logs.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The verb.
    pub verb: Verb,
    /// The answer.
    pub answer: &'a cni::Result<Option<CniResult>>,
    /// From the whole request to the answer's first byte.
    pub took: Duration,
}

/// What the program around the server does.
pub trait Hooks: Send + Sync {
    /// The page of a path, such as `/healthz`, `/readyz` and `/metrics`; `/dump` is the server's own.
    fn page(&self, path: &str) -> Option<Page>;

    /// A call has been answered.
    fn observed(&self, call: &Observed<'_>);
}

/// The socket, open.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    stop: Arc<OwnedFd>,
    busy: Arc<Busy>,
}

/// Ends [`Server::run`] from another thread.
#[derive(Debug, Clone)]
pub struct Stop(Arc<OwnedFd>);

impl Stop {
    /// No new call is taken.
    pub fn stop(&self) {
        // It can fail only when it has been written 2^64 times.
        let _ = rustix::io::write(self.0.as_fd(), &1u64.to_ne_bytes());
    }
}

/// How many connections there are.
#[derive(Debug, Default)]
struct Busy {
    count: Mutex<usize>,
    changed: Condvar,
}

/// One of them.
struct Counted(Arc<Busy>);

impl Server {
    /// Opens the socket, for root only. One that an agent left which was killed is replaced: whoever has the store open is
    /// the node's only agent.
    ///
    /// # Errors
    /// The directory or the socket cannot be made.
    pub fn open(path: &Path) -> Result<Server> {
        if let Some(dir) = path.parent() {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(Error::file("make", dir))?;
        }
        // Under another name until its mode is right.
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        let draft = PathBuf::from(draft);
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file("remove", &draft)(error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&draft).map_err(Error::file("listen on", &draft))?;
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o600))
            .and_then(|()| listener.set_nonblocking(true))
            .and_then(|()| fs::rename(&draft, path))
            .map_err(Error::file("listen on", path))?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| Error::file("watch", path)(errno.into()))?;
        Ok(Server { listener, path: path.to_owned(), stop: Arc::new(stop), busy: Arc::default() })
    }

    /// What ends [`Server::run`].
    pub fn stopper(&self) -> Stop {
        Stop(Arc::clone(&self.stop))
    }

    /// Serves until it is stopped, then waits for the calls that run, at most for `patience`. True when all are done.
    ///
    /// # Errors
    /// The socket cannot be waited for.
    pub fn run(self, engine: &Arc<Engine>, hooks: &Arc<dyn Hooks>, patience: Duration) -> Result<bool> {
        while self.wait()? {
            while let Some(stream) = self.accept() {
                let counted = self.busy.enter(CONNECTIONS);
                let (engine, hooks) = (Arc::clone(engine), Arc::clone(hooks));
                let thread = std::thread::Builder::new().name("call".to_owned()).stack_size(STACK);
                let started = thread.spawn(move || {
                    connection::serve(stream, &engine, hooks.as_ref());
                    drop(counted);
                });
                if let Err(error) = started {
                    // The plugin sees its connection close, and tries again.
                    tracing::error!(error = %error, "no thread for a call");
                }
            }
        }
        // The next agent may have its own socket there already.
        let _ = fs::remove_file(&self.path);
        drop(self.listener);
        Ok(self.busy.wait_for_none(patience))
    }

    /// Until somebody connects; false when it is stopped.
    fn wait(&self) -> Result<bool> {
        loop {
            let mut fds =
                [PollFd::new(&self.listener, PollFlags::IN), PollFd::new(self.stop.as_ref(), PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) if !fds[1].revents().is_empty() => return Ok(false),
                Ok(_) => return Ok(true),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Error::file("wait for", &self.path)(errno.into())),
            }
        }
    }

    /// The next connection of somebody who may ask. Others are dropped.
    fn accept(&self) -> Option<UnixStream> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
                Err(error) => {
                    tracing::warn!(error = %error, "connection not accepted");
                    // Without descriptors there is nothing to do but to wait for one.
                    std::thread::sleep(Duration::from_millis(10));
                    return None;
                }
            };
            match kernel::peer_uid(stream.as_fd()) {
                Ok(uid) if uid == 0 || uid == rustix::process::geteuid().as_raw() => return Some(stream),
                Ok(uid) => tracing::warn!(uid, "call refused: not root"),
                Err(error) => tracing::warn!(error = %error, "call refused: whose it is cannot be told"),
            }
        }
    }
}

impl Busy {
    /// One more, once there are fewer than `most`.
    fn enter(self: &Arc<Busy>, most: usize) -> Counted {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        while *count >= most {
            count = self.changed.wait(count).unwrap_or_else(PoisonError::into_inner);
        }
        *count += 1;
        Counted(Arc::clone(self))
    }

    fn wait_for_none(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        while *count > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            count = self.changed.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.changed.notify_all();
    }
}
