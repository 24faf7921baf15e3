//! What changes, as the kernel tells it (multicast groups of `NETLINK_ROUTE`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::netlink::{ROUTE, receive};
use crate::packet::wait;
use crate::uapi::*;
use crate::{Error, Message, NetNs, Result, message, sys};

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

/// What a monitor has heard.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// These changes, in order; empty when nothing came in time.
    Changes(Vec<Message>),
    /// Changes were lost because they came faster than they were read: read everything anew.
    Lost,
}

/// A socket that hears of changes in one namespace.
#[derive(Debug)]
pub struct Monitor {
    fd: OwnedFd,
    buf: Vec<u8>,
}

impl Monitor {
    /// Opens in the calling thread's namespace.
    pub fn open(groups: Groups) -> Result<Self> {
        let failed = |errno| Error::new("open", "netlink monitor", errno);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, ROUTE)
            .map_err(failed)?;
        // A number of its own first: the kernel sends nothing to a socket without one.
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0)).map_err(failed)?;
        let wanted = [
            (groups.links, RTNLGRP_LINK),
            (groups.addresses, RTNLGRP_IPV4_IFADDR),
            (groups.addresses, RTNLGRP_IPV6_IFADDR),
            (groups.routes, RTNLGRP_IPV4_ROUTE),
            (groups.routes, RTNLGRP_IPV6_ROUTE),
            (groups.neighbours, RTNLGRP_NEIGH),
        ];
        for (_, group) in wanted.iter().filter(|(wanted, _)| *wanted) {
            sys::join_netlink_group(fd.as_fd(), *group).map_err(failed)?;
        }
        Ok(Self { fd, buf: Vec::with_capacity(32 * 1024) })
    }

    /// Opens in a namespace. The calling thread visits it and comes back.
    pub fn open_in(ns: &NetNs, groups: Groups) -> Result<Self> {
        ns.run(|| Self::open(groups))?
    }

    /// Waits for changes, at most for `timeout`, for ever with `None`.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Heard> {
        let failed = |errno| Error::new("read", "netlink monitor", errno);
        wait(self.fd.as_fd(), timeout).map_err(failed)?;
        let mut changes = Vec::new();
        loop {
            match receive(&self.fd, &mut self.buf) {
                Ok(len) if len > self.buf.capacity() => {
                    self.buf.clear();
                    self.buf.reserve(len);
                    return Ok(Heard::Lost);
                }
                Ok(_) => changes.extend(message::decode(&self.buf)),
                Err(Errno::AGAIN) => return Ok(Heard::Changes(changes)),
                Err(Errno::NOBUFS) => return Ok(Heard::Lost),
                Err(errno) => return Err(failed(errno)),
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
