//! The daemon: one thread, one poll loop for clients and servers.
//!
//! | module | what it does |
//! |---|---|
//! | [`socket`], [`connection`] | who may call, and HTTP/1.1 over the unix socket |
//! | [`attachment`] | an attachment's leases and the call that waits for them |
//! | [`place`] | its interface: found, checked, given another address |
//! | [`line4`], [`line6`] | the clients' packets |
//! | [`store`] | records on disk |
//! | [`calls`] | the verbs |
//! | [`report`] | what a user is told of an attachment |
//! | [`client`] | what `llano dhcp list` asks |

mod attachment;
mod calls;
mod client;
mod connection;
mod line4;
mod line6;
mod place;
mod report;
mod socket;
mod store;
#[allow(unsafe_code)]
mod sys;
mod world;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGINT, SIGTERM};

use attachment::{Attachment, Outcome};
pub use client::{DEFAULT_SOCKET, Row, default_state_dir, leases};
use connection::{Connection, Input};
pub use socket::sibling;
use socket::{Right, Socket};
pub use store::{Record, Store};
use world::World;
pub use world::{Options, prefixed};

use crate::clock::{Millis, SECOND};
use crate::{Error, Result};

/// The running daemon.
#[derive(Debug)]
struct Daemon {
    world: World,
    socket: Socket,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    attachments: BTreeMap<String, Attachment>,
    /// Since when there is neither lease nor call.
    idle_since: Option<Millis>,
}

/// Serves until SIGTERM or SIGINT. Leases stay on disk; the next daemon goes on with them.
///
/// # Errors
/// [`Error::AlreadyRunning`], or socket or store cannot be opened.
pub fn serve(options: Options) -> Result<()> {
    if let Some(path) = options.pidfile.as_ref().filter(|p| !p.is_absolute()) {
        return Err(Error::Pidfile { path: path.clone() });
    }
    let stop = signals()?;
    let path = prefixed(options.host_prefix.as_deref(), &options.socket);
    let right = Right::take(&path)?;
    let pidfile = options.pidfile.clone();
    let world = World::open(options)?;
    if let Some(path) = &pidfile {
        std::fs::write(path, format!("{}\n", std::process::id())).map_err(Error::file("write", path))?;
    }
    raise_descriptor_limit();
    // Who connects finds everything in place: the store opened, the leases of before in hand. The spool is read once somebody
    // listens: a plugin that has written a file there knocks.
    let mut attachments = calls::resume(&world);
    let socket = right.listen()?;
    calls::take_spool(&world, &mut attachments);
    let mut daemon = Daemon {
        socket,
        world,
        connections: BTreeMap::new(),
        next_connection: 0,
        attachments,
        idle_since: None,
    };
    tracing::info!(socket = %path.display(), state = %daemon.world.options.state_dir.display(), "serving");
    let done = daemon.run(&stop);
    daemon.stop();
    daemon.socket.close();
    if let Some(path) = pidfile {
        let _ = std::fs::remove_file(path);
    }
    tracing::info!("stopped");
    done
}

/// A pipe that becomes readable at SIGTERM or SIGINT.
fn signals() -> Result<UnixStream> {
    let failed = |source| Error::File { op: "watch", path: "signals".into(), source };
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, theirs.try_clone().map_err(failed)?)
            .map_err(failed)?;
    }
    Ok(ours)
}

/// Leaves the session of the process that started this one, so that what ends that one (a terminal, a runtime that
/// signals its process group) does not end the daemon.
pub fn detach() {
    // It fails only for the leader of a process group, which is in no need of it.
    let _ = rustix::process::setsid();
}

/// Each exchange holds a socket or two, each call one: a burst of pods needs more than the usual 1,024.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

impl Daemon {
    fn run(&mut self, stop: &UnixStream) -> Result<()> {
        loop {
            let timeout = self.timeout();
            let (stopped, incoming) = self.wait(stop, timeout)?;
            if stopped {
                return Ok(());
            }
            if incoming {
                self.accept();
            }
            self.serve_connections();
            self.step_all();
            self.flush();
            if self.idle_too_long() {
                return Ok(());
            }
        }
    }

    fn timeout(&self) -> Option<Timespec> {
        let now = self.world.now();
        let attachments = self.attachments.values().filter_map(Attachment::deadline);
        let connections = self.connections.values().filter_map(Connection::deadline);
        let idle = self.idle_since.zip(self.world.options.idle_exit).map(|(since, limit)| since + limit);
        let next = attachments.chain(connections).chain(idle).min()?;
        let left = next.saturating_sub(now);
        let nanos = i64::try_from(left % SECOND * 1_000_000).unwrap_or(0);
        // A poll of at most an hour: a clock that jumps is noticed.
        Some(Timespec { tv_sec: i64::try_from(left / SECOND).unwrap_or(0).min(3600), tv_nsec: nanos })
    }

    /// Waits. Whether to stop, and whether a client is at the door.
    fn wait(&self, stop: &UnixStream, timeout: Option<Timespec>) -> Result<(bool, bool)> {
        let mut fds = vec![
            PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.socket.listener.as_fd(), PollFlags::IN),
        ];
        for connection in self.connections.values() {
            let write = if connection.wants_write() { PollFlags::OUT } else { PollFlags::empty() };
            fds.push(PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::IN | write));
        }
        for fd in self.attachments.values().flat_map(Attachment::fds) {
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::file("wait for", "sockets")(errno.into())),
        }
        Ok((!fds[0].revents().is_empty(), !fds[1].revents().is_empty()))
    }

    fn accept(&mut self) {
        let now = self.world.now();
        while let Some(stream) = self.socket.accept() {
            self.connections.insert(self.next_connection, Connection::new(stream, now));
            self.next_connection += 1;
        }
    }

    fn serve_connections(&mut self) {
        let now = self.world.now();
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for id in ids {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            match connection.read(now) {
                Input::Nothing => {
                    if connection.deadline().is_some_and(|at| at <= now) {
                        self.connections.remove(&id);
                    }
                }
                Input::Request(request) => self.call(id, &request),
                Input::Closed => {
                    let waited = connection.waiting;
                    self.connections.remove(&id);
                    if waited {
                        self.abandon(id);
                    }
                }
            }
        }
    }

    fn step_all(&mut self) {
        let keys: Vec<String> = self.attachments.keys().cloned().collect();
        for key in keys {
            self.step(&key);
        }
    }

    /// Lets one attachment act, and does what follows for its callers.
    fn step(&mut self, key: &str) {
        let Some(attachment) = self.attachments.get_mut(key) else { return };
        match attachment.step(&self.world) {
            Ok(None) => {
                let now = self.world.now();
                if attachment.waiting.is_some_and(|w| w.until <= now) {
                    let error = cni::Error::try_again(format!(
                        "no lease for {} in time, no more tries: {}",
                        attachment.place.describe(),
                        attachment.complaint()
                    ));
                    self.fail(key, error);
                }
            }
            Ok(Some(Outcome::Answer(connection, result))) => self.answer(connection, &Ok(Some(result))),
            Ok(Some(Outcome::Done)) => self.forget(key),
            Err(e) => {
                tracing::warn!(key, error = %e, "attachment given up");
                self.fail(key, e.into());
            }
        }
    }

    fn flush(&mut self) {
        self.connections.retain(|_, connection| connection.flush());
    }

    fn idle_too_long(&mut self) -> bool {
        let now = self.world.now();
        if self.attachments.is_empty() && self.connections.is_empty() {
            let since = *self.idle_since.get_or_insert(now);
            return self.world.options.idle_exit.is_some_and(|limit| now >= since + limit);
        }
        self.idle_since = None;
        false
    }

    /// At the end: calls that wait are told to come again, what they got meanwhile is given back.
    fn stop(&mut self) {
        let keys: Vec<String> = self.attachments.keys().cloned().collect();
        for key in keys {
            let Some(attachment) = self.attachments.get(&key) else { continue };
            if attachment.waiting.is_some() {
                self.fail(&key, cni::Error::try_again("the DHCP daemon is being stopped"));
                self.forget(&key);
            } else if attachment.releasing.is_some() {
                self.forget(&key);
            }
        }
        self.flush();
    }
}
