//! The system calls, as directly as they can be made. The only module with `unsafe`.
#![allow(unsafe_code)]

use crate::message::Message;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{Error, Result};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

/// An open network namespace.
pub(crate) struct Namespace(OwnedFd);

impl Namespace {
    pub(crate) fn open(path: &CStr) -> Result<Self> {
        // SAFETY: the path is NUL-terminated; a descriptor that open returns is ours alone.
        let fd = check(unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) })?;
        // SAFETY: see above.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(crate) fn descriptor(&self) -> i32 {
        self.0.as_raw_fd()
    }

    pub(crate) fn enter(&self) -> Result<()> {
        // SAFETY: setns takes numbers.
        check(unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
    }
}

/// A route socket of the namespace it was opened in.
pub(crate) struct Netlink(OwnedFd);

impl Netlink {
    pub(crate) fn open() -> Result<Self> {
        // SAFETY: socket takes numbers; the descriptor it returns is ours alone.
        let fd = check(unsafe {
            libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE)
        })?;
        // SAFETY: see above.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// SIOCGIFINDEX: the cheapest way from a name to an index.
    pub(crate) fn index_of(&self, name: &str) -> Result<u32> {
        // SAFETY: all zeroes is a value of ifreq, which is bytes and numbers.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from.cast_signed();
        }
        // SAFETY: the kernel reads the name and writes the index into the same ifreq, which lives over the call.
        let index = unsafe {
            check(libc::ioctl(self.0.as_raw_fd(), libc::SIOCGIFINDEX as _, &mut request))?;
            request.ifr_ifru.ifru_ifindex
        };
        Ok(index.cast_unsigned())
    }

    /// Sends all in one call and reads one acknowledgement for each.
    pub(crate) fn send(&mut self, messages: &[Message]) -> Result<()> {
        let bytes: Vec<u8> = messages.iter().flat_map(Message::bytes).collect();
        // SAFETY: the buffer is valid for its length over the call.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 {
            return Err(Error::last_os_error());
        }
        let mut left = messages.len();
        while left > 0 {
            left -= self.receive()?.min(left);
        }
        Ok(())
    }

    /// Reads one link and its acknowledgement.
    pub(crate) fn get_link(&mut self, index: u32) -> Result<()> {
        self.send(&[Message::get_link(index)])
    }

    /// Reads one datagram; returns how many acknowledgements were in it.
    fn receive(&self) -> Result<usize> {
        const NLMSG_ERROR: u16 = 2;
        let mut buffer = [0_u8; 8192];
        // SAFETY: the buffer is valid for its length over the call.
        let length = unsafe { libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        let Ok(length) = usize::try_from(length) else { return Err(Error::last_os_error()) };
        let mut rest = &buffer[..length];
        let mut acknowledged = 0;
        while let [a, b, c, d, e, f, ..] = *rest {
            if u16::from_ne_bytes([e, f]) == NLMSG_ERROR {
                acknowledged += 1;
                let code =
                    rest.get(16..20).and_then(|code| code.try_into().ok()).map_or(0, i32::from_ne_bytes);
                if code != 0 {
                    return Err(Error::from_raw_os_error(-code));
                }
            }
            let size = u32::from_ne_bytes([a, b, c, d]) as usize;
            rest = rest.get(size.next_multiple_of(4).max(16)..).unwrap_or_default();
        }
        Ok(acknowledged)
    }
}

/// Opens, writes, closes.
pub(crate) fn write_file(path: &str, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    std::fs::OpenOptions::new().write(true).open(path)?.write_all(bytes)
}

/// Waits for the exclusive lock.
pub(crate) fn lock(file: &File) -> Result<()> {
    // SAFETY: flock takes numbers.
    check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }).map(drop)
}

/// Runs a program with our environment and standard input and returns the most memory it had, in KiB. A process takes
/// over its parent's figure at exec, so the parent has to be as small as this one.
pub(crate) fn most_memory(program: &CStr) -> Result<i64> {
    let child = Command::new(OsStr::from_bytes(program.to_bytes())).stdout(Stdio::null()).spawn()?;
    let pid = child.id().cast_signed();
    let mut status = 0;
    // SAFETY: status and usage are valid for writing; usage is plain numbers.
    let usage = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        check(libc::wait4(pid, &mut status, 0, &mut usage))?;
        usage
    };
    if status != 0 {
        return Err(Error::other(format!("{program:?} ended with status {status}")));
    }
    Ok(usage.ru_maxrss)
}

fn check(result: i32) -> Result<i32> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}
