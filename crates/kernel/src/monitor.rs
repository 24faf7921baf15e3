//! What changes, as the kernel tells it (multicast groups of `NETLINK_ROUTE`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::{Error, Message, Result};

/// Which changes to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Groups {
    /// Links.
    pub links: bool,
    /// Addresses of both families.
    pub addresses: bool,
    /// Routes of both families.
    pub routes: bool,
    /// Neighbours.
    pub neighbours: bool,
}

/// A socket that hears of changes in one namespace.
#[derive(Debug)]
pub struct Monitor {
    fd: OwnedFd,
}

impl Monitor {
    /// Opens in the calling thread's namespace.
    pub fn open(_groups: Groups) -> Result<Self> {
        Err(Error::Malformed { op: "anything", what: "stub" })
    }

    /// Waits for changes. `None` means that events were lost (ENOBUFS): read everything anew. An empty list means
    /// that nothing came in time.
    pub fn next(&mut self, _timeout: Option<Duration>) -> Result<Option<Vec<Message>>> {
        Err(Error::Malformed { op: "anything", what: "stub" })
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
