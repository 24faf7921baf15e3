//! Both ends of the socket: requests in one piece and in many are the same, answers are never believed.
#![no_main]

use cni::Version;
use cni::forward::{
    HttpError, HttpRequest, RequestParser, encode_request_body, parse_answer, parse_call, response_body,
};
use libfuzzer_sys::fuzz_target;

/// Feeds the bytes in pieces of this size, as a server does.
fn requests(bytes: &[u8], size: usize) -> Result<Vec<HttpRequest>, HttpError> {
    let mut parser = RequestParser::with_body_limit(1 << 16);
    let mut found = Vec::new();
    for piece in bytes.chunks(size) {
        let mut next = parser.feed(piece)?;
        while let Some(request) = next {
            found.push(request);
            next = parser.feed(b"")?;
        }
    }
    Ok(found)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = requests(bytes, bytes.len().max(1));
    let pieces = requests(bytes, 7);
    // Bytes beyond the limit of the headers are refused at different points; the requests before are the same.
    if let (Ok(whole), Ok(pieces)) = (&whole, &pieces) {
        assert_eq!(whole, pieces);
    }
    for request in whole.iter().flatten() {
        call(&request.body);
    }
    call(bytes);
    if let Some(body) = response_body(bytes) {
        let _ = parse_answer(body, Version::CURRENT);
    }
    let _ = parse_answer(bytes, Version::CURRENT);
});

/// A call that is taken is taken again when sent on.
fn call(body: &[u8]) {
    let Ok(request) = parse_call(body) else { return };
    let again = encode_request_body(&request).expect("it came as text");
    let again = parse_call(again.as_bytes()).expect("it was taken before");
    assert_eq!((again.env, again.name, again.version), (request.env, request.name, request.version));
}
