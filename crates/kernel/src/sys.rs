//! The system calls that rustix lacks or marks unsafe. All `unsafe` of the crate is here.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;
use rustix::thread::UnshareFlags;

use crate::bpf::BpfInsn;

// if_packet.h; libc has them as int, the structures as u16.
const AF_PACKET: u16 = 17;
const PACKET_MR_MULTICAST: u16 = 0;
const PACKET_MR_ALLMULTI: u16 = 2;

/// Gives the calling thread a new network namespace.
pub(crate) fn unshare_network() -> Result<(), Errno> {
    // SAFETY: only CLONE_NEWNET: memory, descriptors and file system state stay shared with the other threads.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
}

/// Whether a descriptor is of a network namespace (`NS_GET_NSTYPE`, Linux 4.11).
pub(crate) fn is_network_namespace(fd: BorrowedFd<'_>) -> bool {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: the request takes no argument and gives a number; other files refuse it with ENOTTY.
    #[allow(clippy::unnecessary_cast)] // The request is an int with musl, a long with glibc.
    let kind = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE as _) };
    kind == libc::CLONE_NEWNET
}

/// `setsockopt` with a value that the kernel only reads.
fn set_option<T>(fd: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> Result<(), Errno> {
    let len = libc::socklen_t::try_from(size_of::<T>()).map_err(|_| Errno::INVAL)?;
    // SAFETY: `value` is a live `T` of `len` bytes, and the kernel copies it before the call returns.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), len) };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// The user at the other end of a unix socket (`SO_PEERCRED`). Not by rustix: a caller in another PID namespace has the PID 0, which
/// its type cannot hold.
pub(crate) fn peer_uid(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut len = libc::socklen_t::try_from(size_of::<libc::ucred>()).map_err(|_| Errno::INVAL)?;
    // SAFETY: `peer` is `len` bytes that the kernel may write, and any bytes are a `ucred`.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            std::ptr::from_mut(&mut peer).cast(),
            &raw mut len,
        )
    };
    if result == 0 { Ok(peer.uid) } else { Err(last_error()) }
}

fn last_error() -> Errno {
    let raw = std::io::Error::last_os_error().raw_os_error();
    Errno::from_raw_os_error(raw.unwrap_or(libc::EIO))
}

/// Turns a netlink socket's option on (`SOL_NETLINK`).
pub(crate) fn set_netlink_option(fd: BorrowedFd<'_>, name: i32) -> Result<(), Errno> {
    set_option(fd, libc::SOL_NETLINK, name, &1i32)
}

/// Joins a multicast group of netlink, by number.
pub(crate) fn join_netlink_group(fd: BorrowedFd<'_>, group: u32) -> Result<(), Errno> {
    set_option(fd, libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, &group)
}

/// Binds a packet socket to an interface and an EtherType.
pub(crate) fn bind_packet(fd: BorrowedFd<'_>, index: u32, ethertype: u16) -> Result<(), Errno> {
    let address = libc::sockaddr_ll {
        sll_family: AF_PACKET,
        sll_protocol: ethertype.to_be(),
        sll_ifindex: i32::try_from(index).map_err(|_| Errno::INVAL)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = libc::socklen_t::try_from(size_of_val(&address)).map_err(|_| Errno::INVAL)?;
    // SAFETY: `address` is a live sockaddr_ll of `len` bytes; the kernel copies it.
    let result = unsafe { libc::bind(fd.as_raw_fd(), std::ptr::from_ref(&address).cast(), len) };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// Joins a packet socket's membership: `PACKET_MR_MULTICAST` with an address or `PACKET_MR_ALLMULTI`.
pub(crate) fn join_packet(fd: BorrowedFd<'_>, index: u32, mac: Option<[u8; 6]>) -> Result<(), Errno> {
    let mut request = libc::packet_mreq {
        mr_ifindex: i32::try_from(index).map_err(|_| Errno::INVAL)?,
        mr_type: if mac.is_some() { PACKET_MR_MULTICAST } else { PACKET_MR_ALLMULTI },
        mr_alen: 0,
        mr_address: [0; 8],
    };
    if let Some(mac) = mac {
        request.mr_alen = 6;
        request.mr_address[..6].copy_from_slice(&mac);
    }
    set_option(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
}

/// A packet socket no longer receives what is sent (`PACKET_IGNORE_OUTGOING`, Linux 4.20).
pub(crate) fn ignore_outgoing(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    set_option(fd, libc::SOL_PACKET, 23, &1i32)
}

/// Attaches a classic BPF program to a socket; the kernel verifies it.
pub(crate) fn attach_filter(fd: BorrowedFd<'_>, program: &[BpfInsn]) -> Result<(), Errno> {
    let mut instructions: Vec<libc::sock_filter> = program
        .iter()
        .map(|i| libc::sock_filter { code: i.code, jt: i.jump_true, jf: i.jump_false, k: i.value })
        .collect();
    let program = libc::sock_fprog {
        len: u16::try_from(instructions.len()).map_err(|_| Errno::INVAL)?,
        filter: instructions.as_mut_ptr(),
    };
    // `instructions` outlives the call, in which the kernel copies them.
    set_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}
