//! Who is at the other end of a unix socket.

use std::io;
use std::os::fd::BorrowedFd;

use crate::sys;

/// The user that connected, or that listens, there. Works across PID namespaces.
///
/// # Errors
/// It is no unix socket, or not connected.
pub fn peer_uid(socket: BorrowedFd<'_>) -> io::Result<u32> {
    match sys::peer_uid(socket)? {
        u32::MAX => Err(io::ErrorKind::NotConnected.into()),
        uid => Ok(uid),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;

    #[test]
    fn the_other_end_is_ourselves_and_nobody_before_it_is_connected() {
        let (one, other) = UnixStream::pair().unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert_eq!((peer_uid(one.as_fd()).unwrap(), peer_uid(other.as_fd()).unwrap()), (own, own));
        assert!(peer_uid(UnixDatagram::unbound().unwrap().as_fd()).is_err());
        assert!(peer_uid(std::fs::File::open("/dev/null").unwrap().as_fd()).is_err());
    }
}
