//! One client's connection: bytes in until a request is whole, then an answer out. It never blocks the loop.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use cni::forward::{HttpRequest, RequestParser, encode_error};

use crate::clock::{Millis, SECOND};

/// A client that neither sends nor reads for so long is dropped; one that waits for its answer is not.
const IDLE: Millis = 30 * SECOND;

/// What reading brought.
#[derive(Debug)]
pub(super) enum Input {
    /// Nothing whole yet.
    Nothing,
    /// A request.
    Request(HttpRequest),
    /// The client is gone, or what it sent is no HTTP; what is to be said has been queued.
    Closed,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    parser: RequestParser,
    out: Vec<u8>,
    written: usize,
    /// When it last moved.
    moved: Millis,
    /// It has a call that is being worked on.
    pub(super) waiting: bool,
    closing: bool,
}

impl Connection {
    /// A fresh connection.
    pub(super) fn new(stream: UnixStream, now: Millis) -> Self {
        let parser = RequestParser::default();
        Connection { stream, parser, out: Vec::new(), written: 0, moved: now, waiting: false, closing: false }
    }

    /// Whether there are bytes to write.
    pub(super) fn wants_write(&self) -> bool {
        self.written < self.out.len()
    }

    /// When it is dropped for idleness.
    pub(super) fn deadline(&self) -> Option<Millis> {
        (!self.waiting).then_some(self.moved + IDLE)
    }

    /// Reads what is there.
    pub(super) fn read(&mut self, now: Millis) -> Input {
        let mut buffer = [0u8; 16 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Input::Closed,
                Ok(n) => {
                    self.moved = now;
                    if self.waiting || self.closing {
                        // One call per connection: what comes behind it is not looked at.
                        continue;
                    }
                    match self.parser.feed(&buffer[..n]) {
                        Ok(None) => {}
                        Ok(Some(request)) => {
                            self.waiting = true;
                            return Input::Request(request);
                        }
                        Err(error) => self.answer(encode_error(&error), now),
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Input::Nothing,
                Err(_) => return Input::Closed,
            }
        }
    }

    /// Queues the answer and writes what can be written. The connection ends after it.
    pub(super) fn answer(&mut self, bytes: Vec<u8>, now: Millis) {
        self.out.extend(bytes);
        (self.waiting, self.closing, self.moved) = (false, true, now);
    }

    /// Writes what can be written. False when the connection is done.
    pub(super) fn flush(&mut self) -> bool {
        while self.wants_write() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(n) if n > 0 => self.written += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                _ => return false,
            }
        }
        !self.closing
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// A plain answer with a JSON body.
pub(super) fn json_answer(status: &str, body: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    (head + body).into_bytes()
}
