//! Waiting until a tool has let go of an interface: it takes its own addresses away first, and does so in its own time.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

use super::{Subject, View, find};

/// Where the tools write down which interface is whose.
const TELLS: [&str; 2] = ["run/systemd/netif/links", "run/NetworkManager/devices"];
/// Longest wait. A tool that does not say that it has let go may have died.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until no running tool that can be kept off looks after one of these interfaces, by the files in which the
/// tools tell it.
pub(super) fn wait(view: &View, subjects: &[Subject]) {
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let Ok(notify) = inotify::init(flags) else { return };
    let events =
        inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CLOSE_WRITE | inotify::WatchFlags::DELETE;
    let watched =
        TELLS.iter().filter(|dir| inotify::add_watch(&notify, view.path(dir), events).is_ok()).count();
    if watched == 0 {
        return;
    }
    let end = Instant::now() + PATIENCE;
    let holds = |owner: &super::Owner| owner.running && owner.tool.can_be_kept_off();
    while find(view, subjects).iter().any(holds) {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        if left.is_zero() || poll(&mut [PollFd::new(&notify, PollFlags::IN)], Some(&timeout)) == Ok(0) {
            return;
        }
        let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
        while let Ok((read, _)) = rustix::io::read(&notify, &mut buffer[..]) {
            if read.is_empty() {
                break;
            }
        }
    }
}
