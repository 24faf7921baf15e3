//! One connection: a request in, an answer out.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cni::Version;
use cni::forward::{
    CNI_PATH, HttpError, HttpRequest, RequestParser, encode_error, encode_response, parse_call,
};

use super::{Hooks, Observed, Page};
use crate::Engine;

/// A request has to be whole after this, and its answer taken.
const LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of a body: a configuration has at most one MiB, GC's list a hundred bytes for each of the node's pods.
pub(super) const BODY: usize = 4 << 20;

/// Serves one request. Whatever the client sends or does not send, it ends.
pub(super) fn serve(mut stream: UnixStream, engine: &Arc<Engine>, hooks: &dyn Hooks) {
    let answer = match read(&mut stream) {
        Ok(Some(request)) => return dispatch(&mut stream, &request, engine, hooks),
        Ok(None) => return,
        Err(Refused::Http(error)) => encode_error(&error),
        Err(Refused::Io(error)) => return tracing::debug!(error = %error, "no whole request"),
    };
    send(&mut stream, &answer);
}

const UNKNOWN: HttpError = HttpError {
    status: 404,
    msg: "no such path; known are POST /cni/v1, GET /healthz, /readyz, /metrics and /dump",
};

enum Refused {
    Http(HttpError),
    Io(io::Error),
}

/// A whole request; none when the client closed before it sent one.
fn read(stream: &mut UnixStream) -> Result<Option<HttpRequest>, Refused> {
    let end = Instant::now() + LIMIT;
    let mut parser = RequestParser::with_body_limit(BODY);
    let mut buffer = [0; 8 << 10];
    stream.set_nonblocking(false).map_err(Refused::Io)?;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Refused::Io(io::ErrorKind::TimedOut.into()));
        }
        stream.set_read_timeout(Some(left)).map_err(Refused::Io)?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(count) => match parser.feed(&buffer[..count]) {
                Ok(None) => {}
                Ok(Some(request)) => return Ok(Some(request)),
                Err(error) => return Err(Refused::Http(error)),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Refused::Io(error)),
        }
    }
}

fn dispatch(stream: &mut UnixStream, request: &HttpRequest, engine: &Arc<Engine>, hooks: &dyn Hooks) {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", CNI_PATH) => call(stream, &request.body, engine, hooks),
        ("GET", "/dump") => {
            let body = engine.dump().to_pretty();
            send(stream, &page(&Page { status: 200, content_type: "application/json", body }));
        }
        ("GET", path) => match hooks.page(path) {
            Some(found) => send(stream, &page(&found)),
            None => send(stream, &encode_error(&UNKNOWN)),
        },
        _ => send(stream, &encode_error(&UNKNOWN)),
    }
}

fn call(stream: &mut UnixStream, body: &[u8], engine: &Arc<Engine>, hooks: &dyn Hooks) {
    let began = Instant::now();
    let request = match parse_call(body) {
        Ok(request) => request,
        Err(error) => return send(stream, &encode_response(&Err(error), Version::CURRENT, false)),
    };
    let reply = engine.call(&request);
    let (verb, took) = (request.env.verb, began.elapsed());
    send(stream, &encode_response(&reply.answer, request.version, false));
    hooks.observed(&Observed { verb, answer: &reply.answer, took });
    engine.sent(reply);
}

/// Sends all of it. Who does not take it has gone; the runtime deletes what nobody heard of.
fn send(stream: &mut UnixStream, bytes: &[u8]) {
    let sent = stream.set_write_timeout(Some(LIMIT)).and_then(|()| stream.write_all(bytes));
    if let Err(error) = sent {
        tracing::debug!(error = %error, "answer not taken");
    }
}

fn page(page: &Page) -> Vec<u8> {
    let reason = if page.status == 200 { "OK" } else { "Service Unavailable" };
    let head = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.status,
        page.content_type,
        page.body.len()
    );
    (head + &page.body).into_bytes()
}
