//! Whole Ethernet frames (`AF_PACKET`, raw).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::{BpfInsn, Error, MacAddr, Result, sys};

/// A raw packet socket on one interface, closed on exec, never blocking but in [`PacketSocket::recv_timeout`].
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
    index: u32,
}

impl PacketSocket {
    /// Opens a socket in the calling thread's namespace that receives frames of an EtherType (`ETH_P_ALL` for all,
    /// then also those it sends) on an interface. No frame is received before `filter` holds; an empty one takes all.
    pub fn open(index: u32, ethertype: u16, filter: &[BpfInsn]) -> Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Without a protocol it receives nothing until it is bound.
        let fd = rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None::<Protocol>)
            .map_err(|errno| Error::new("open", "packet socket", errno))?;
        let socket = Self { fd, index };
        if !filter.is_empty() {
            socket.set_filter(filter)?;
        }
        sys::bind_packet(socket.fd.as_fd(), index, ethertype).map_err(|e| socket.error("bind", e))?;
        Ok(socket)
    }

    fn error(&self, op: &'static str, errno: Errno) -> Error {
        Error::new(op, format!("packet socket on interface {}", self.index), errno)
    }

    /// Replaces the filter. Frames already waiting are not filtered again.
    pub fn set_filter(&self, program: &[BpfInsn]) -> Result<()> {
        sys::attach_filter(self.fd.as_fd(), program).map_err(|e| self.error("filter", e))
    }

    /// Also receives frames sent to this multicast address, for as long as the socket lives.
    pub fn join_multicast(&self, mac: MacAddr) -> Result<()> {
        sys::join_packet(self.fd.as_fd(), self.index, Some(mac.0)).map_err(|e| self.error("join", e))
    }

    /// Also receives all multicast frames, for as long as the socket lives.
    pub fn allmulti(&self) -> Result<()> {
        sys::join_packet(self.fd.as_fd(), self.index, None).map_err(|e| self.error("join", e))
    }

    /// No longer receives what this machine sends on the interface (Linux 4.20).
    pub fn ignore_outgoing(&self) -> Result<()> {
        sys::ignore_outgoing(self.fd.as_fd()).map_err(|e| self.error("ignore what is sent on", e))
    }

    /// Asks for a receive buffer of so many bytes (`SO_RCVBUF`, bounded by `net.core.rmem_max`).
    pub fn set_receive_buffer(&self, bytes: usize) -> Result<()> {
        rustix::net::sockopt::set_socket_recv_buffer_size(&self.fd, bytes)
            .map_err(|e| self.error("set buffer of", e))
    }

    /// Sends a whole frame, Ethernet header first.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        loop {
            match rustix::net::send(&self.fd, frame, SendFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.error("send on", errno)),
            }
        }
    }

    /// Takes a frame if one waits: how many bytes of `buf` it fills; a longer frame is cut.
    pub fn recv(&self, buf: &mut [u8]) -> Result<Option<usize>> {
        loop {
            match rustix::net::recv(&self.fd, &mut *buf, RecvFlags::DONTWAIT) {
                Ok((len, _)) => return Ok(Some(len)),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.error("receive on", errno)),
            }
        }
    }

    /// Waits for a frame. `None` when none came in time.
    pub fn recv_timeout(&self, buf: &mut [u8], timeout: Duration) -> Result<Option<usize>> {
        let end = Instant::now() + timeout;
        loop {
            if let Some(len) = self.recv(buf)? {
                return Ok(Some(len));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            wait(self.fd.as_fd(), Some(left)).map_err(|e| self.error("wait for", e))?;
        }
    }
}

/// Waits until something can be read, or for this long; whether something can.
pub(crate) fn wait(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> std::result::Result<bool, Errno> {
    let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    match rustix::event::poll(&mut fds, timeout.as_ref()) {
        Ok(n) => Ok(n > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
