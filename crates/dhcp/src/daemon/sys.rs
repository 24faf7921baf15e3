//! The one thing that needs `unsafe`: sockets that systemd hands over are numbers, not owned descriptors.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Systemd's first descriptor (sd_listen_fds(3)).
pub(super) const FIRST: RawFd = 3;

/// Takes descriptor 3 as ours.
pub(super) fn take_first() -> OwnedFd {
    // SAFETY: called once, by the start of the process, when LISTEN_PID and LISTEN_FDS say that the descriptor was
    // opened for us; nothing else in this process owns it.
    unsafe { OwnedFd::from_raw_fd(FIRST) }
}
