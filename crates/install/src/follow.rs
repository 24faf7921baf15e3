//! Keeps our configuration true to the primary's, by the kernel's word: nothing is looked at while nothing happens.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::choose::{Choice, choose};
use crate::conflist::{CONFLIST, Conflist};
use crate::installation::{Installation, around, configurations, conflist_path, renamed_path, take_renamed};
use crate::{Error, Result};

/// How often a configuration that somebody removes is put back before that somebody is believed.
const PATIENCE: u32 = 5;
/// After a failure, such as a full disk, there is nothing to wake up by.
const AGAIN: Duration = Duration::from_secs(10);

/// How the node stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Our configuration is in place.
    Wrapped {
        /// What it says.
        list: Conflist,
        /// A configuration that sorts before ours and that the runtime therefore takes.
        hidden_by: Option<String>,
    },
    /// There is no configuration to wrap yet, or no longer; ours is not there, and the node is not ready, as without us.
    Waiting,
    /// The primary's configuration cannot be read; ours is as it was.
    Unusable {
        /// The primary's file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Another program takes our configuration away.
    Blocked {
        /// Which, and what to do.
        reason: String,
    },
    /// It could not be written. It is tried again.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Ends a [`Follower`] from another thread.
#[derive(Debug, Clone)]
pub struct Stopper {
    stop: Arc<OwnedFd>,
}

impl Stopper {
    /// Ends it; what is installed stays.
    pub fn stop(&self) {
        // It fails only when it was told 2^64 times.
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
    }
}

/// Follows the primary's configuration.
#[derive(Debug)]
pub struct Follower {
    installation: Installation,
    inotify: OwnedFd,
    stop: Arc<OwnedFd>,
    put_back: u32,
    last: Option<Conflist>,
    blocked: Option<String>,
}

impl Follower {
    /// Installs the plugin's files and begins to watch. A configuration of ours that Cilium has renamed is cleared away, and it is
    /// tried again.
    ///
    /// # Errors
    /// What [`Installation::install`] says; the kernel has no watch left.
    pub fn new(mut installation: Installation) -> Result<Follower> {
        installation.install()?;
        let places = installation.options.places.clone();
        installation.tree.make_dir(places.conf())?;
        take_renamed(&installation.tree, &conflist_path(&places))?;
        let conf = places.here(places.conf());
        let failed = |errno: Errno| Error::file("watch", &conf)(errno.into());
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(failed)?;
        let follower =
            Follower { installation, inotify, stop: Arc::new(stop), put_back: 0, last: None, blocked: None };
        follower.watch()?;
        Ok(follower)
    }

    /// What ends [`Self::run`].
    pub fn stopper(&self) -> Stopper {
        Stopper { stop: self.stop.clone() }
    }

    /// Looks now, and puts our configuration in place, or takes it away.
    pub fn look(&mut self) -> State {
        self.try_look().unwrap_or_else(|error| State::Failed { reason: error.to_string() })
    }

    /// Looks whenever something happens in the directory, until it is stopped. `told` hears of every change of the state.
    ///
    /// # Errors
    /// The kernel refuses to wait.
    pub fn run(mut self, told: &mut dyn FnMut(&State)) -> Result<()> {
        let mut before: Option<State> = None;
        loop {
            let state = self.look();
            let failed = matches!(state, State::Failed { .. });
            if before.as_ref() != Some(&state) {
                told(&state);
                before = Some(state);
            }
            if !self.wait(failed.then_some(AGAIN))? {
                return Ok(());
            }
        }
    }

    fn try_look(&mut self) -> Result<State> {
        let options = &self.installation.options;
        let list = match &options.cluster_network {
            Some(name) => Conflist::of_definition(options.version, name),
            None => match choose(&configurations(&options.places)) {
                Choice::Primary { file, network, capabilities } => {
                    around(options, &file, network, capabilities)
                }
                Choice::Unusable { file, reason } => return Ok(State::Unusable { file, reason }),
                Choice::None => {
                    self.installation.unwrap_primary()?;
                    self.last = None;
                    return Ok(State::Waiting);
                }
            },
        };
        if self.last.as_ref() != Some(&list) {
            (self.put_back, self.blocked) = (0, None);
        } else if let Some(reason) = self.removed() {
            return Ok(State::Blocked { reason });
        }
        self.installation.wrap(&list)?;
        self.last = Some(list.clone());
        Ok(State::Wrapped { list, hidden_by: self.hidden_by() })
    }

    /// Why ours is not put back, when it was removed too often or by one who will do it again.
    fn removed(&mut self) -> Option<String> {
        let places = &self.installation.options.places;
        let conflist = conflist_path(places);
        if self.blocked.is_none() && !places.here(&conflist).exists() {
            self.put_back += 1;
            if places.here(&renamed_path(&conflist)).exists() {
                self.blocked = Some(format!(
                    "Cilium renames {}: set cni.exclusive=false in its configuration, then restart the agent",
                    conflist.display()
                ));
            } else if self.put_back > PATIENCE {
                self.blocked = Some(format!(
                    "another program removes {} again and again: end it, then restart the agent",
                    conflist.display()
                ));
            }
        }
        self.blocked.clone()
    }

    fn hidden_by(&self) -> Option<String> {
        let mut files = configurations(&self.installation.options.places);
        files.retain(|file| file.name.as_str() < CONFLIST);
        files.into_iter().map(|file| file.name).min()
    }

    fn watch(&self) -> Result<()> {
        let conf = self.installation.options.places.here(self.installation.options.places.conf());
        let what = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let added = inotify::add_watch(&self.inotify, &conf, what);
        added.map(drop).map_err(|errno| Error::file("watch", &conf)(errno.into()))
    }

    /// Waits until something happened; false when it is to end.
    fn wait(&mut self, patience: Option<Duration>) -> Result<bool> {
        let timeout = patience.map(|patience| Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        });
        let conf = self.installation.options.places.conf().to_owned();
        loop {
            let mut files =
                [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(&*self.stop, PollFlags::IN)];
            match poll(&mut files, timeout.as_ref()) {
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(Error::file("watch", &conf)(errno.into())),
                Ok(0) => return Ok(true),
                Ok(_) => {}
            }
            if !files[1].revents().is_empty() {
                return Ok(false);
            }
            let (relevant, lost) = self.events(&conf)?;
            if lost {
                // The directory itself went: a new one, and a new watch.
                self.installation.tree.make_dir(&conf)?;
                self.watch()?;
            }
            if relevant || lost {
                return Ok(true);
            }
        }
    }

    /// Reads all events: whether some file that counts is among them, and whether the directory went.
    fn events(&self, conf: &Path) -> Result<(bool, bool)> {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let (mut relevant, mut lost) = (false, false);
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| name.to_string_lossy().into_owned());
                    // Our own temporary names are of no interest; a queue that ran over has no name.
                    relevant |= name.is_none_or(|name| !name.ends_with(".llano-new"));
                    lost |= event.events().intersects(ReadFlags::IGNORED | ReadFlags::MOVE_SELF);
                }
                Err(Errno::AGAIN) => return Ok((relevant, lost)),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::file("watch", conf)(errno.into())),
            }
        }
    }
}
