//! A process of its own that takes a change back when its author dies or nobody confirms it.
//!
//! It sleeps in one poll(2) on three things: a pidfd of the author, an inotify of the records' directory, a timer of
//! the deadline. What it does when it wakes is what every command does when it finds an unfinished change.

use std::ffi::OsString;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use super::lock::Lock;
use super::{Keeper, Machinery, Pending, Places, Process, Stage, clock, durable};
use crate::{Error, Result};

/// What it says once it watches.
const READY: &[u8] = b"ready\n";
/// How long it may take to say so. systemd-run asks over D-Bus, which may not answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long another `llano host` may go on when a change has to be taken back: it may be one that writes to a terminal
/// which is stopped.
const GRACE: Duration = Duration::from_secs(5);
/// How often it looks whether that one is done.
const LOOK: Duration = Duration::from_millis(200);
/// Longest time between two tries to take a change back that the network does not let go.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How the watchdog is started: our own program with the arguments that make it one.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The program. `/proc/PID/exe` of this process stays right when the file is replaced meanwhile.
    pub program: PathBuf,
    /// What comes before `--change ID --author PID:START`.
    pub arguments: Vec<OsString>,
}

impl Launcher {
    /// This very program, called with these arguments.
    pub fn this_program(arguments: &[&str]) -> Self {
        let pid = rustix::process::getpid().as_raw_nonzero();
        Self {
            program: PathBuf::from(format!("/proc/{pid}/exe")),
            arguments: arguments.iter().map(OsString::from).collect(),
        }
    }

    /// Starts it, and returns when it watches. Under systemd it gets a scope of its own: else it would end with the
    /// session or the service that the change is made in.
    pub(crate) fn start(&self, places: &Places, id: &str) -> Result<()> {
        let wrong = |reason: String| Error::Watchdog { reason };
        durable::make_dir(&places.var)?;
        durable::make_dir(&places.run)?;
        let author = Process::current().ok_or_else(|| wrong("/proc is not there".to_owned()))?;
        if Path::new("/run/systemd/system").is_dir() {
            let mut scope = Command::new("systemd-run");
            scope.args(["--scope", "--quiet", "--collect", "--description=llano host: watchdog of a change"]);
            scope.arg(format!("--unit=llano-host-watchdog-{id}")).arg("--").arg(&self.program);
            if self.started(scope, id, author).is_ok() {
                return Ok(());
            }
        }
        self.started(Command::new(&self.program), id, author).map_err(|error| wrong(error.to_string()))
    }

    /// Whether the watchdog of that change lives.
    pub(crate) fn is_alive(&self, places: &Places, id: &str) -> bool {
        matches!(Lock::try_take(&places.watchdog(id)), Ok(Err(_)))
    }

    fn started(&self, mut command: Command, id: &str, author: Process) -> std::io::Result<()> {
        command.args(&self.arguments).args(["--change", id, "--author", &author.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/");
        let mut child = command.spawn()?;
        let ready = wait_ready(&mut child);
        if ready.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        ready
    }
}

fn wait_ready(child: &mut Child) -> std::io::Result<()> {
    let Some(mut stdout) = child.stdout.take() else { return Err(Errno::PIPE.into()) };
    let patience = timespec(PATIENCE);
    if poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&patience))? == 0 {
        return Err(std::io::ErrorKind::TimedOut.into());
    }
    let mut said = [0u8; READY.len()];
    stdout.read_exact(&mut said)?;
    if said == READY { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

/// The watchdog of one change.
#[derive(Debug)]
pub struct Watchdog {
    /// Where the records are.
    pub places: Places,
    /// The change.
    pub change: String,
    /// Who makes it.
    pub author: Process,
}

/// What it waits for.
struct Ears {
    notify: OwnedFd,
    timer: OwnedFd,
    author: Option<OwnedFd>,
}

impl Watchdog {
    /// Leaves the caller's session and watches until the change has come to its end. `ready` is called once it watches.
    ///
    /// # Errors
    /// When the kernel refuses what it takes to watch, or the change cannot be taken back.
    pub fn run<M: Machinery>(
        &self,
        machinery: &mut dyn FnMut() -> Result<M>,
        ready: impl FnOnce(),
    ) -> Result<()> {
        // It is a leader already only when someone started it by hand.
        let _ = rustix::process::setsid();
        // It was started by the number of its author's file: ps shall say what it is.
        let _ = rustix::thread::set_name(c"llano");
        let sign = self.places.watchdog(&self.change);
        let Ok(alive) = Lock::try_take(&sign)? else { return Ok(()) };
        let mut ears = self.listen()?;
        ready();
        let result = self.watch(&mut ears, machinery);
        let _ = std::fs::remove_file(&sign);
        drop(alive);
        result
    }

    fn listen(&self) -> Result<Ears> {
        let failed = |errno: Errno| Error::Watchdog { reason: errno.to_string() };
        let notify =
            inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).map_err(failed)?;
        let flags = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::DELETE;
        inotify::add_watch(&notify, &self.places.var, flags).map_err(failed)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags).map_err(failed)?;
        Ok(Ears { notify, timer, author: self.author.open() })
    }

    /// What every command does with what it finds; who has the lock, when somebody has.
    fn take_back<M: Machinery>(
        &self,
        machinery: &mut dyn FnMut() -> Result<M>,
    ) -> Result<std::result::Result<(), Option<Process>>> {
        let opened = Keeper::open_or_holder(self.places.clone(), machinery()?, &mut |_| {})?;
        Ok(opened.map(drop))
    }

    fn watch<M: Machinery>(&self, ears: &mut Ears, machinery: &mut dyn FnMut() -> Result<M>) -> Result<()> {
        let (mut seen, mut pause, mut busy_since) = (false, Duration::from_secs(1), None);
        loop {
            let pending = Pending::read(&self.places).ok().flatten();
            let Some(pending) = pending.filter(|pending| pending.id == self.change) else {
                if seen || ears.author.is_none() {
                    return Ok(());
                }
                // The author has not written it down yet.
                ears.wait(None)?;
                continue;
            };
            seen = true;
            let now = clock::since_boot();
            // Who takes it back has put its own name there.
            let author = ears.author.as_ref().filter(|_| pending.author == Some(self.author));
            match (pending.stage, author) {
                (Stage::Waiting { until }, _) if now < until => ears.wait(Some(until))?,
                (Stage::Applying { until }, Some(_)) if now < until => ears.wait(Some(until))?,
                (Stage::Confirmed, Some(_)) => ears.wait(None)?,
                (Stage::Applying { .. }, Some(author)) => {
                    // It hangs. Only when it is gone is the lock free.
                    let _ = pidfd_send_signal(author, Signal::KILL);
                    ears.wait(None)?;
                }
                (stage, _) => match self.take_back(machinery) {
                    Ok(Ok(())) => busy_since = None,
                    Ok(Err(holder)) => {
                        let since = *busy_since.get_or_insert(now);
                        // One that takes the change back has the time that it wrote down.
                        let until = match stage {
                            Stage::Applying { until } => until.max(since + GRACE),
                            Stage::Waiting { .. } => since + GRACE,
                            Stage::Confirmed => Duration::MAX,
                        };
                        if now >= until
                            && let Some(holder) = holder.and_then(Process::open)
                        {
                            let _ = pidfd_send_signal(&holder, Signal::KILL);
                        }
                        ears.rest(LOOK)?;
                    }
                    // Somebody may be cut off from this host until it succeeds.
                    Err(_) => {
                        busy_since = None;
                        ears.rest(pause)?;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                },
            }
        }
    }
}

impl Ears {
    /// As [`Ears::wait`], deaf to what was written until now, which may have been ourselves.
    fn rest(&mut self, time: Duration) -> Result<()> {
        drain(self.notify.as_fd());
        self.wait(Some(clock::since_boot() + time))
    }

    /// Sleeps until the author has died, a record has changed, or this time since boot has come.
    fn wait(&mut self, until: Option<Duration>) -> Result<()> {
        let failed = |errno: Errno| Error::Watchdog { reason: errno.to_string() };
        // A time of zero disarms.
        let at = timespec(until.map_or(Duration::ZERO, |until| until.max(Duration::from_nanos(1))));
        let spec = Itimerspec { it_interval: timespec(Duration::ZERO), it_value: at };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &spec).map_err(failed)?;
        let mut fds: Vec<PollFd<'_>> = [Some(&self.notify), Some(&self.timer), self.author.as_ref()]
            .into_iter()
            .flatten()
            .map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN))
            .collect();
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let author_ended = fds.get(2).is_some_and(|fd| !fd.revents().is_empty());
        drain(self.notify.as_fd());
        drain(self.timer.as_fd());
        if author_ended {
            self.author = None;
        }
        Ok(())
    }
}

/// What is said does not matter, the records tell.
fn drain(fd: BorrowedFd<'_>) {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
    while let Ok((read, _)) = rustix::io::read(fd, &mut buffer[..]) {
        if read.is_empty() {
            break;
        }
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}
