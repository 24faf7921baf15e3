//! The plugin's side: one request on one connection, with a deadline over all of it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::{BODY_LIMIT, CNI_PATH, HEAD_LIMIT, encode_request_body};
use crate::json::{self, Object};
use crate::{CniResult, Error, Request};

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
    let protocol = |error: Error| ForwardError::Protocol {
        socket: socket.display().to_string(),
        cause: error.to_string(),
    };
    let value = json::parse(&answer).map_err(protocol)?;
    let root = Object::root(&value).map_err(protocol)?;
    if let Some(error) = root.get("error") {
        return Err(ForwardError::Cni(Error::from_json(error.value).map_err(protocol)?));
    }
    match root.get("result") {
        None => Ok(None),
        Some(node) => CniResult::parse_at(&node, request.version).map(Some).map_err(protocol),
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
    let bytes = outcome.map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::TimedOut => ForwardError::Timeout { socket: name(), after: deadline },
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ForwardError::NotRunning { socket: name(), cause: error.to_string() }
        }
        _ => ForwardError::Protocol { socket: name(), cause: error.to_string() },
    })?;
    response_body(&bytes).map_err(|cause| ForwardError::Protocol { socket: name(), cause: cause.to_owned() })
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

/// Everything until the other side closes, or until the announced length is there.
fn read_until(stream: &mut UnixStream, clock: &Clock) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        stream.set_read_timeout(Some(clock.left()?))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(or_timeout(error)),
        }
        if bytes.len() > HEAD_LIMIT + BODY_LIMIT {
            return Err(io::Error::other("the answer is too long"));
        }
        if response_body(&bytes).is_ok() {
            return Ok(bytes);
        }
    }
}

/// The body of a whole response with a Content-Length.
fn response_body(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let limit = bytes.len().min(HEAD_LIMIT);
    let end =
        bytes[..limit].windows(4).position(|window| window == b"\r\n\r\n").ok_or("no end of the headers")?;
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "headers that are not UTF-8")?;
    let mut lines = head.split("\r\n");
    if !lines.next().is_some_and(|line| line.starts_with("HTTP/1.")) {
        return Err("no HTTP response");
    }
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .ok_or("no Content-Length")?;
    let body = &bytes[end + 4..];
    if body.len() < length { Err("an answer cut short") } else { Ok(body[..length].to_vec()) }
}
