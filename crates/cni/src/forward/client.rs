//! The plugin's side: one request on one connection, with a deadline over all of it.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::{BODY_LIMIT, CNI_PATH, HEAD_LIMIT, encode_request_body};
use crate::json::{self, Object};
use crate::{CniResult, Error, Request, Version};

/// Why a call got no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// Nobody listens: no such socket, or nothing behind it.
    #[error("nothing listens on {socket}: {cause}")]
    NotRunning {
        /// Path of the socket.
        socket: String,
        /// The kernel's words.
        cause: String,
    },
    /// The deadline passed; the call may have had an effect.
    #[error("no answer from {socket} within {}.{:03} s", .after.as_secs(), .after.subsec_millis())]
    Timeout {
        /// Path of the socket.
        socket: String,
        /// How long was waited.
        after: Duration,
    },
    /// The answer is an error of the call itself.
    #[error(transparent)]
    Cni(Error),
    /// The connection broke, or the answer is not one.
    #[error("{socket} answered wrongly: {cause}")]
    Protocol {
        /// Path of the socket.
        socket: String,
        /// What is wrong.
        cause: String,
    },
}

/// Hands a call to who listens on `socket`, and waits at most `deadline` in all.
pub fn forward(
    socket: &Path,
    request: &Request,
    deadline: Duration,
) -> Result<Option<CniResult>, ForwardError> {
    let body = encode_request_body(request).map_err(ForwardError::Cni)?;
    let answer = call(socket, CNI_PATH, body.as_bytes(), deadline)?;
    match parse_answer(&answer, request.version) {
        Ok(answer) => answer.map_err(ForwardError::Cni),
        Err(error) => {
            Err(ForwardError::Protocol { socket: socket.display().to_string(), cause: error.to_string() })
        }
    }
}

/// Posts `body` to `path` and gives the answer's body, whatever its status.
pub fn call(socket: &Path, path: &str, body: &[u8], deadline: Duration) -> Result<Vec<u8>, ForwardError> {
    let clock = Clock { end: Instant::now() + deadline };
    let name = || socket.display().to_string();
    let outcome = (|| {
        let mut stream = connect_until(socket, &clock)?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let mut message = head.into_bytes();
        message.extend_from_slice(body);
        write_until(&mut stream, &message, &clock)?;
        read_until(&mut stream, &clock)
    })();
    outcome.map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::TimedOut => ForwardError::Timeout { socket: name(), after: deadline },
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ForwardError::NotRunning { socket: name(), cause: error.to_string() }
        }
        _ => ForwardError::Protocol { socket: name(), cause: error.to_string() },
    })
}

struct Clock {
    end: Instant,
}

impl Clock {
    /// What is left; an error when nothing is. Never zero, which a socket takes for "no limit".
    fn left(&self) -> io::Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(left.max(Duration::from_millis(1)))
        }
    }
}

/// Connects without blocking: a listener whose queue is full says EAGAIN and is asked again.
fn connect_until(path: &Path, clock: &Clock) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    loop {
        match connect(&socket, &address) {
            Ok(()) => break,
            Err(Errno::AGAIN) => std::thread::sleep(clock.left()?.min(Duration::from_millis(5))),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// A socket's own time limit shows as EAGAIN.
fn or_timeout(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

fn write_until(stream: &mut UnixStream, mut bytes: &[u8], clock: &Clock) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(clock.left()?))?;
        match stream.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It refused the rest, but may have said why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(or_timeout(error)),
        }
    }
    Ok(())
}

/// One whole response's body. The announced length decides; the connection may stay open.
fn read_until(stream: &mut UnixStream, clock: &Clock) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let mut whole: Option<Range<usize>> = None;
    loop {
        stream.set_read_timeout(Some(clock.left()?))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err(io::Error::other("the answer is cut short")),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(or_timeout(error)),
        }
        if whole.is_none() {
            whole = body_range(&bytes).map_err(io::Error::other)?;
        }
        match &whole {
            Some(range) if bytes.len() >= range.end => return Ok(bytes[range.clone()].to_vec()),
            _ => {}
        }
    }
}

/// Where the body of a response stands; none while its head is not whole.
fn body_range(bytes: &[u8]) -> Result<Option<Range<usize>>, &'static str> {
    let searched = &bytes[..bytes.len().min(HEAD_LIMIT)];
    let Some(end) = searched.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() < HEAD_LIMIT { Ok(None) } else { Err("the headers are too long") };
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "the headers are not UTF-8")?;
    let mut lines = head.split("\r\n");
    if !lines.next().is_some_and(|line| line.starts_with("HTTP/1.")) {
        return Err("this is not HTTP");
    }
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .ok_or("Content-Length is missing")?;
    if length > BODY_LIMIT {
        return Err("the answer is too long");
    }
    Ok(Some(end + 4..end + 4 + length))
}

/// The answer inside a response's body.
pub fn parse_answer(body: &[u8], version: Version) -> crate::Result<crate::Result<Option<CniResult>>> {
    let value = json::parse(body)?;
    let root = Object::root(&value)?;
    if let Some(error) = root.get("error") {
        return Ok(Err(Error::from_json(error.value)?));
    }
    match root.get("result") {
        None => Ok(Ok(None)),
        Some(node) => Ok(Ok(Some(CniResult::parse_at(&node, version)?))),
    }
}

/// The body of a response that came in one piece.
pub fn response_body(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(body_range(bytes).ok()??)
}
