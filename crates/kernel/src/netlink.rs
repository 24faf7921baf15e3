//! The netlink socket: requests, acknowledgements, dumps.

use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::message::{decode_ack, errno_of, text_of};
use crate::uapi::*;
use crate::wire::{Messages, Raw, Writer};
use crate::{Change, Error, NetNs, Result, sys};

/// What one read takes. The kernel makes the pieces of a dump as big as this (and never bigger than 32 KiB, but for
/// links with many virtual functions). The memory is not touched before it is needed.
const BUFFER: usize = 32 * 1024;
/// So many changes go into one send: their acknowledgements must fit into the socket's receive buffer.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 32 * 1024;
/// How often a dump is begun anew when what it reads changes under it.
const TRIES: usize = 20;

/// `NETLINK_ROUTE` is the protocol 0.
pub(crate) const ROUTE: Option<Protocol> = None;

/// A blocking `NETLINK_ROUTE` socket. It stays bound to the namespace it was opened in, whatever the thread does later.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
    seq: u32,
    buf: Vec<u8>,
}

/// What a reader says of a piece of an answer.
enum Answer {
    More,
    End,
}

impl Netlink {
    /// Opens a socket in the calling thread's namespace.
    pub fn open() -> Result<Self> {
        let fd =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, ROUTE)
                .map_err(|errno| Error::new("open", "netlink socket", errno))?;
        // All three are at least as old as Linux 4.20; without one of them errors lose their text or dumps their
        // filter, which we then do ourselves.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK, libc::NETLINK_GET_STRICT_CHK] {
            let _ = sys::set_netlink_option(fd.as_fd(), option);
        }
        Ok(Self::over(fd, BUFFER))
    }

    /// A socket that is there, read by so many bytes at first.
    pub(crate) fn over(fd: OwnedFd, buffer: usize) -> Self {
        Self { fd, seq: 1, buf: Vec::with_capacity(buffer) }
    }

    /// Opens a socket in a namespace. The calling thread visits it and comes back.
    pub fn open_in(ns: &NetNs) -> Result<Self> {
        ns.run(Self::open)?
    }

    /// The index of a name of at most 15 bytes, by the cheapest way (`SIOCGIFINDEX`), in the socket's namespace.
    pub fn index_of(&self, name: &str) -> Result<Option<u32>> {
        if name.is_empty() || name.len() > IFNAME_MAX {
            return Ok(None);
        }
        match rustix::net::netdevice::name_to_index(&self.fd, name) {
            Ok(index) => Ok(Some(index)),
            Err(Errno::NODEV) => Ok(None),
            Err(errno) => Err(Error::new("find link", name, errno)),
        }
    }

    /// Makes one change.
    pub fn apply(&mut self, change: &Change) -> Result<()> {
        self.apply_all(std::slice::from_ref(change)).map_err(|(_, error)| error)
    }

    /// Makes changes in order with one send for every 64; every answer is read. The error is the first failure with
    /// its place. The kernel does not stop there: the changes that follow in the same send were tried all the same.
    /// A change that cannot be encoded fails before anything of its send is made.
    pub fn apply_all(&mut self, changes: &[Change]) -> std::result::Result<(), (usize, Error)> {
        let mut w = Writer::new(self.seq);
        // The first sequence number of every change in this send.
        let mut firsts = Vec::with_capacity(changes.len().min(BATCH));
        let mut done = 0;
        for (at, change) in changes.iter().enumerate() {
            firsts.push(w.seq());
            change.encode(&mut w).map_err(|error| (at, error))?;
            let last = at + 1 == changes.len();
            if last || firsts.len() == BATCH || w.len() >= BATCH_BYTES {
                self.seq = w.seq();
                self.send_and_check(&w, &firsts, &changes[done..=at])
                    .map_err(|(place, error)| (done + place, error))?;
                done = at + 1;
                firsts.clear();
                w.clear();
            }
        }
        Ok(())
    }

    fn send_and_check(
        &mut self,
        w: &Writer,
        firsts: &[u32],
        changes: &[Change],
    ) -> std::result::Result<(), (usize, Error)> {
        let (Some(&first), end) = (firsts.first(), w.seq()) else { return Ok(()) };
        let refused = |place: usize, errno: Errno, text: Option<String>| {
            let (op, object) = changes.get(place).map_or(("change", String::new()), |c| (c.op(), c.object()));
            (place, Error::Refused { op, object, errno, text })
        };
        self.send(w.bytes()).map_err(|errno| refused(0, errno, None))?;
        let mut missing = end.wrapping_sub(first);
        let mut failure = None;
        while missing > 0 {
            let received = self.receive(&mut |raw| {
                let nth = raw.seq.wrapping_sub(first);
                if nth >= end.wrapping_sub(first) || raw.kind != NLMSG_ERROR {
                    return Answer::More;
                }
                missing = missing.saturating_sub(1);
                let (errno, text) = ack(&raw);
                if let (Some(errno), None) = (errno, &failure) {
                    let place = firsts.partition_point(|s| s.wrapping_sub(first) <= nth).saturating_sub(1);
                    failure = Some(refused(place, errno, text));
                }
                if missing == 0 { Answer::End } else { Answer::More }
            });
            if let Err(errno) = received {
                // Answers were lost (ENOBUFS): what was made is not known.
                return Err(failure.unwrap_or_else(|| refused(0, errno, None)));
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Asks for one object; the kernel answers with it or with an error. `f` gets the answer.
    pub(crate) fn get(
        &mut self,
        encode: &dyn Fn(&mut Writer) -> Result<()>,
        f: &mut dyn FnMut(&Raw<'_>),
    ) -> Result<std::result::Result<(), Errno>> {
        loop {
            let (w, seq) = self.request(encode)?;
            self.send(w.bytes()).map_err(|errno| Error::new("ask", "the kernel", errno))?;
            let mut refused = None;
            let result = self.receive(&mut |raw| {
                if raw.seq != seq {
                    return Answer::More;
                }
                if raw.kind == NLMSG_ERROR {
                    refused = ack(&raw).0;
                } else {
                    f(&raw);
                }
                Answer::End
            });
            match result {
                Ok(()) => return Ok(refused.map_or(Ok(()), Err)),
                // The buffer has been made bigger.
                Err(Errno::MSGSIZE) => {}
                Err(errno) => return Err(Error::new("read the answer of", "the kernel", errno)),
            }
        }
    }

    /// Asks for a list. It is asked for again when it changed while the kernel told it, so that what comes back
    /// was true at one time. `begin` is called before each try, `f` with every message.
    pub(crate) fn dump(
        &mut self,
        op: &'static str,
        encode: &dyn Fn(&mut Writer) -> Result<()>,
        f: &mut dyn FnMut(Dump<'_>),
    ) -> Result<()> {
        for _ in 0..TRIES {
            let (w, seq) = self.request(encode)?;
            self.send(w.bytes()).map_err(|errno| Error::new(op, "", errno))?;
            f(Dump::Begin);
            let (mut again, mut refused) = (false, None);
            loop {
                let result = self.receive(&mut |raw| {
                    if raw.seq != seq {
                        return Answer::More;
                    }
                    again |= raw.flags & NLM_F_DUMP_INTR != 0;
                    match raw.kind {
                        NLMSG_ERROR => {
                            let (errno, text) = ack(&raw);
                            refused = errno.map(|errno| (errno, text));
                            return Answer::End;
                        }
                        NLMSG_DONE => {
                            let errno = raw.body.first_chunk().and_then(|bytes| errno_of(*bytes));
                            refused = errno.map(|errno| (errno, text_of(raw.body, 4)));
                            return Answer::End;
                        }
                        _ => f(Dump::Item(&raw)),
                    }
                    Answer::More
                });
                match result {
                    Ok(()) => break,
                    // A piece was cut: the buffer has been made bigger, the rest must be read all the same.
                    Err(Errno::MSGSIZE) => again = true,
                    Err(errno) => return Err(Error::new(op, "", errno)),
                }
            }
            match refused {
                Some((errno, text)) => {
                    return Err(Error::Refused { op, object: String::new(), errno, text });
                }
                None if !again => return Ok(()),
                None => {}
            }
        }
        Err(Error::Refused {
            op,
            object: String::new(),
            errno: Errno::INTR,
            text: Some(format!("the list changed during each of {TRIES} tries to read it")),
        })
    }

    fn request(&mut self, encode: &dyn Fn(&mut Writer) -> Result<()>) -> Result<(Writer, u32)> {
        let seq = self.seq;
        let mut w = Writer::new(seq);
        encode(&mut w)?;
        self.seq = w.seq();
        Ok((w, seq))
    }

    fn send(&self, bytes: &[u8]) -> std::result::Result<(), Errno> {
        loop {
            match rustix::net::send(&self.fd, bytes, SendFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Reads datagrams of the kernel and gives `f` their messages until it says that it has the end. A datagram that
    /// does not fit is lost: the buffer is made bigger and the error is EMSGSIZE.
    fn receive(&mut self, f: &mut dyn FnMut(Raw<'_>) -> Answer) -> std::result::Result<(), Errno> {
        loop {
            let len = receive(&self.fd, &mut self.buf)?;
            if len > self.buf.capacity() {
                self.buf.clear();
                self.buf.reserve(len);
                return Err(Errno::MSGSIZE);
            }
            for raw in Messages(&self.buf) {
                if let Answer::End = f(raw) {
                    return Ok(());
                }
            }
        }
    }
}

/// Reads one datagram of the kernel into an empty buffer without growing it; the datagram's true length.
pub(crate) fn receive(fd: &OwnedFd, buf: &mut Vec<u8>) -> std::result::Result<usize, Errno> {
    loop {
        buf.clear();
        match rustix::net::recvfrom(fd, spare_capacity(buf), RecvFlags::TRUNC) {
            Ok((_, len, from)) => {
                // Any process of the namespace may write to us: only the kernel has the number 0.
                let from = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
                if from.is_none_or(|from| from.pid() == 0) {
                    return Ok(len);
                }
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// What a dump gives its reader.
pub(crate) enum Dump<'a> {
    /// A try begins; what came before does not count.
    Begin,
    /// One message.
    Item(&'a Raw<'a>),
}

fn ack(raw: &Raw<'_>) -> (Option<Errno>, Option<String>) {
    match decode_ack(raw.body, raw.flags & NLM_F_CAPPED != 0, raw.flags & NLM_F_ACK_TLVS != 0) {
        Some(ack) => (ack.errno, ack.text),
        None => (Some(Errno::PROTO), None),
    }
}
