//! A call handed on over a unix socket, in HTTP/1.1 with JSON, so that any HTTP client can look at it.
//!
//! The request is `POST /cni/v1` with
//! `{"verb","containerID","netns","ifname","args","path","netnsOverride","config"}`; the answer is
//! `{"result":...}` (absent for verbs without one) with status 200, or `{"error":{code,msg,details}}`.

mod client;
mod server;

pub use client::{ForwardError, call, forward, parse_answer, response_body};
pub use server::{
    HttpError, HttpRequest, RequestParser, encode_error, encode_request_body, encode_response, parse_call,
};

/// The path every CNI call is posted to.
pub const CNI_PATH: &str = "/cni/v1";
/// Most bytes of a request line with all headers.
pub const HEAD_LIMIT: usize = 8 << 10;
/// Most bytes of a body: GC's list of attachments is the longest.
pub const BODY_LIMIT: usize = 33 << 20;
