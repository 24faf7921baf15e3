//! What the agent's socket is sent: any bytes are a request or are refused, and of a request nothing reaches a path, a log or the
//! API server that is not a name.
#![no_main]

use api::Caller;
use api::settings::Config;
use cni::forward::{CNI_PATH, RequestParser, encode_error, encode_request_body, encode_response, parse_call};
use cni::{Verb, Version};
use libfuzzer_sys::fuzz_target;

/// As the agent's server has it.
const BODY: usize = 4 << 20;

fn is_name(text: &str) -> bool {
    text.len() <= 255
        && text != ".."
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

fuzz_target!(|bytes: &[u8]| {
    // The whole at once, and with a cut in the middle: the same request.
    let whole = RequestParser::with_body_limit(BODY).feed(bytes);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut parser = RequestParser::with_body_limit(BODY);
    if let Ok(None) = parser.feed(first)
        && let (Ok(Some(a)), Ok(Some(b))) = (&whole, parser.feed(second))
    {
        assert_eq!((&a.method, &a.path, &a.body), (&b.method, &b.path, &b.body));
    }
    let body = match whole {
        Err(error) => {
            assert!(encode_error(&error).starts_with(b"HTTP/1.1 "));
            return;
        }
        Ok(Some(request)) if request.method == "POST" && request.path == CNI_PATH => request.body,
        // Most inputs are no HTTP: the body alone is tried as well.
        _ => bytes.to_vec(),
    };
    let request = match parse_call(&body) {
        Ok(request) => request,
        Err(error) => {
            let answer = encode_response(&Err(error), Version::CURRENT, false);
            assert!(answer.starts_with(b"HTTP/1.1 422 "));
            return;
        }
    };
    let env = &request.env;
    if matches!(env.verb, Verb::Add | Verb::Del | Verb::Check) {
        assert!(is_name(&env.container_id) && !env.container_id.is_empty());
        assert!(!env.ifname.contains('/') && !env.ifname.is_empty());
    }
    assert!(is_name(&request.name));
    if let Ok(Some(caller)) = Caller::from_args(&env.args) {
        assert!([&caller.namespace, &caller.name, &caller.uid].into_iter().all(|text| is_name(text)));
        assert!(!caller.namespace.is_empty() && !caller.name.is_empty());
    }
    if let Ok(config) = Config::parse(&request.root()) {
        assert!(config.conf_dir().is_absolute() && config.bin_dir().is_absolute());
        assert_eq!(config.clone().or(Config::default()), config);
    }
    // What is spooled is read again as the same call.
    if let Ok(text) = encode_request_body(&request) {
        let again = parse_call(text.as_bytes()).expect("a spooled call is read");
        assert_eq!((again.env, again.name, again.conf), (request.env, request.name, request.conf));
    }
});
