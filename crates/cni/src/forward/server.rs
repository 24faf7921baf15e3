//! The server's side without I/O: bytes in, a request out; an answer in, bytes out.

use std::ffi::OsString;

use super::{BODY_LIMIT, HEAD_LIMIT};
use crate::env::RawEnv;
use crate::json::{self, Object, Value};
use crate::{CniResult, Error, Request, Result, Version};

/// One HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `POST`, `GET`, ...
    pub method: String,
    /// The path, as it came.
    pub path: String,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the client wants to send another request on this connection.
    pub keep_alive: bool,
}

/// A request that is not taken, with the HTTP status that says why. The connection must be closed after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("HTTP {status}: {msg}")]
pub struct HttpError {
    /// 400, 411, 413, 431, 501 or 505.
    pub status: u16,
    /// What is wrong.
    pub msg: &'static str,
}

/// Collects one connection's bytes into requests. Memory is bounded by [`HEAD_LIMIT`] and the body limit.
#[derive(Debug)]
pub struct RequestParser {
    buffer: Vec<u8>,
    head: Option<Head>,
    body_limit: usize,
    /// How far the end of the head was looked for, so that slow senders do not cost more.
    searched: usize,
}

#[derive(Debug)]
struct Head {
    method: String,
    path: String,
    length: usize,
    keep_alive: bool,
}

impl Default for RequestParser {
    fn default() -> RequestParser {
        RequestParser::with_body_limit(BODY_LIMIT)
    }
}

impl RequestParser {
    /// A parser that refuses bodies longer than `limit` bytes.
    pub fn with_body_limit(limit: usize) -> RequestParser {
        RequestParser { buffer: Vec::new(), head: None, body_limit: limit, searched: 0 }
    }

    /// Takes bytes as they come from the connection. A request once it is whole; further ones, already
    /// received, by feeding nothing.
    pub fn feed(&mut self, bytes: &[u8]) -> std::result::Result<Option<HttpRequest>, HttpError> {
        self.buffer.extend_from_slice(bytes);
        if self.head.is_none() {
            let from = self.searched.saturating_sub(3);
            let Some(at) = self.buffer[from..].windows(4).position(|window| window == b"\r\n\r\n") else {
                self.searched = self.buffer.len();
                return if self.buffer.len() > HEAD_LIMIT { Err(HEAD_TOO_LONG) } else { Ok(None) };
            };
            let end = from + at + 4;
            if end > HEAD_LIMIT {
                return Err(HEAD_TOO_LONG);
            }
            let head = parse_head(&self.buffer[..end - 4])?;
            if head.length > self.body_limit {
                return Err(HttpError { status: 413, msg: "the body is too long" });
            }
            self.buffer.drain(..end);
            self.head = Some(head);
        }
        match self.head.take() {
            Some(head) if self.buffer.len() >= head.length => {
                let rest = self.buffer.split_off(head.length);
                let body = std::mem::replace(&mut self.buffer, rest);
                self.searched = 0;
                Ok(Some(HttpRequest {
                    method: head.method,
                    path: head.path,
                    body,
                    keep_alive: head.keep_alive,
                }))
            }
            head => {
                self.head = head;
                Ok(None)
            }
        }
    }
}

const HEAD_TOO_LONG: HttpError = HttpError { status: 431, msg: "the headers are too long" };
const BAD_HEAD: HttpError = HttpError { status: 400, msg: "this is not an HTTP request" };

fn parse_head(head: &[u8]) -> std::result::Result<Head, HttpError> {
    let head = std::str::from_utf8(head).map_err(|_| BAD_HEAD)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BAD_HEAD);
    };
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) || !path.starts_with('/') {
        return Err(BAD_HEAD);
    }
    let mut keep_alive = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ => return Err(HttpError { status: 505, msg: "only HTTP/1.1 is understood" }),
    };
    let mut length: Option<usize> = None;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(BAD_HEAD)?;
        let value = value.trim_matches([' ', '\t']);
        if name.eq_ignore_ascii_case("content-length") {
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            match (value.parse(), length) {
                (Ok(new), None) if digits => length = Some(new),
                // Two lengths, even equal ones, are how requests are smuggled.
                _ => return Err(HttpError { status: 400, msg: "Content-Length is not one number" }),
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(HttpError { status: 501, msg: "Transfer-Encoding is not understood" });
        } else if name.eq_ignore_ascii_case("connection") {
            keep_alive = keep_alive && !value.eq_ignore_ascii_case("close");
        }
    }
    if length.is_none() && method != "GET" && method != "HEAD" {
        return Err(HttpError { status: 411, msg: "Content-Length is missing" });
    }
    Ok(Head { method: method.to_owned(), path: path.to_owned(), length: length.unwrap_or(0), keep_alive })
}

/// The call inside a body, validated by the same rules as a plugin's own.
pub fn parse_call(body: &[u8]) -> Result<Request> {
    let value = json::parse(body)?;
    let root = Object::root(&value)?;
    let text = |key| -> Result<OsString> { Ok(root.string(key)?.unwrap_or_default().into()) };
    let raw = RawEnv {
        command: text("verb")?,
        container_id: text("containerID")?,
        netns: text("netns")?,
        ifname: text("ifname")?,
        args: text("args")?,
        path: text("path")?,
        netns_override: if root.bool("netnsOverride")? == Some(true) { "1".into() } else { OsString::new() },
    };
    let config = root.get("config").ok_or_else(|| root.missing("config", "the configuration"))?;
    Request::new(&raw, config.value.to_compact().into_bytes(), Version::ALL)
}

/// A request as a body, for the client and for tests.
pub fn encode_request_body(request: &Request) -> Result<String> {
    let env = &request.env;
    let utf8 = |path: &std::path::Path, name: &str| match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Error::env(format!("{name} is not UTF-8"))),
    };
    let netns = env.netns.as_deref().map_or(Ok(String::new()), |path| utf8(path, "CNI_NETNS"))?;
    let path: Vec<String> = env.path.iter().map(|path| utf8(path, "CNI_PATH")).collect::<Result<_>>()?;
    let body = Value::object([
        ("verb", Value::from(env.verb.as_str())),
        ("containerID", Value::from(env.container_id.as_str())),
        ("netns", Value::from(netns)),
        ("ifname", Value::from(env.ifname.as_str())),
        ("args", Value::from(env.args.as_str())),
        ("path", Value::from(path.join(":"))),
        ("netnsOverride", Value::from(env.netns_override)),
        ("config", request.conf.clone()),
    ]);
    Ok(body.to_compact())
}

/// A whole HTTP response for a call of this version: 200 with `{"result":...}` or `{}`, or 422 with
/// `{"error":...}`.
pub fn encode_response(answer: &Result<Option<CniResult>>, version: Version, keep_alive: bool) -> Vec<u8> {
    let value = match answer {
        Ok(None) => Ok(Value::object([])),
        Ok(Some(result)) => result.to_json(version).map(|result| Value::object([("result", result)])),
        Err(error) => Err(error.clone()),
    };
    match value {
        Ok(value) => encode(200, &value, keep_alive),
        Err(error) => encode(422, &Value::object([("error", error.to_json())]), keep_alive),
    }
}

/// A whole HTTP response that refuses a request; the connection must be closed after it.
pub fn encode_error(error: &HttpError) -> Vec<u8> {
    let inner = Error::decode(error.msg).to_json();
    encode(error.status, &Value::object([("error", inner)]), false)
}

fn encode(status: u16, value: &Value, keep_alive: bool) -> Vec<u8> {
    let body = value.to_compact();
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        411 => "Length Required",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    };
    let connection = if keep_alive { "keep-alive" } else { "close" };
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: {connection}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
