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

/// Room for one answer of the kernel.
const BUFFER: usize = 8192;

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
        self.transmit(&bytes)?;
        let mut left = messages.len();
        while left > 0 {
            left -= self.receive()?.min(left);
        }
        Ok(())
    }

    /// Asks for a link and returns its index, which stands at a fixed place in the answer.
    pub(crate) fn get_link(&mut self, name: &str) -> Result<u32> {
        self.transmit(&Message::get_link(name).bytes())?;
        let mut buffer = [0; BUFFER];
        let length = self.datagram(&mut buffer)?;
        let index = buffer[..length].get(20..24).and_then(|index| index.try_into().ok());
        index.map(u32::from_ne_bytes).ok_or_else(|| Error::other("the answer is too short"))
    }

    fn transmit(&self, bytes: &[u8]) -> Result<()> {
        // SAFETY: the buffer is valid for its length over the call.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 { Err(Error::last_os_error()) } else { Ok(()) }
    }

    fn datagram(&self, buffer: &mut [u8; BUFFER]) -> Result<usize> {
        // SAFETY: the buffer is valid for its length over the call.
        let length = unsafe { libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        usize::try_from(length).map_err(|_| Error::last_os_error())
    }

    /// Reads one datagram; returns how many acknowledgements were in it.
    fn receive(&self) -> Result<usize> {
        const NLMSG_ERROR: u16 = 2;
        let mut buffer = [0; BUFFER];
        let length = self.datagram(&mut buffer)?;
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

/// A MAC address of one's own: local, for one host.
pub(crate) fn random_mac() -> Result<[u8; 6]> {
    let mut mac = [0; 6];
    // SAFETY: the buffer is valid for its length over the call.
    let got = unsafe { libc::getrandom(mac.as_mut_ptr().cast(), mac.len(), 0) };
    if got < 0 {
        return Err(Error::last_os_error());
    }
    mac[0] = mac[0] & 0xfe | 0x02;
    Ok(mac)
}

/// Waits for the exclusive lock.
pub(crate) fn lock(file: &File) -> Result<()> {
    // SAFETY: flock takes numbers.
    check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }).map(drop)
}

/// Reads all names of a directory and forgets them; std's way would bring a second allocator in.
pub(crate) fn read_names(dir: &File) -> Result<()> {
    let mut buffer = [0_u8; 16384];
    loop {
        // SAFETY: the buffer is valid for its length over the call.
        let read = unsafe {
            libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
        };
        match read {
            0 => return Ok(()),
            read if read < 0 => return Err(Error::last_os_error()),
            _ => {}
        }
    }
}

/// Gives a file that has no name yet (O_TMPFILE) a name.
pub(crate) fn give_name(file: &File, path: &CStr) -> Result<()> {
    // SAFETY: both paths are NUL-terminated; the empty one stands for the descriptor itself.
    check(unsafe {
        libc::linkat(file.as_raw_fd(), c"".as_ptr(), libc::AT_FDCWD, path.as_ptr(), libc::AT_EMPTY_PATH)
    })
    .map(drop)
}

/// Whether what is in this directory survives a power cut, so that syncing is worth its time.
pub(crate) fn is_on_disk(dir: &File) -> Result<bool> {
    // SAFETY: all zeroes is a value of statfs, which is numbers; it is valid for writing over the call.
    unsafe {
        let mut buffer: libc::statfs = mem::zeroed();
        check(libc::fstatfs(dir.as_raw_fd(), &mut buffer))?;
        // The C libraries do not agree on the types of the two.
        Ok(i128::from(buffer.f_type) != i128::from(libc::TMPFS_MAGIC))
    }
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
