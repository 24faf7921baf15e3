//! Calls over a unix socket: the client against our own server side and against bad ones.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use cni::forward::{
    ForwardError, HttpError, RequestParser, encode_error, encode_request_body, encode_response, forward,
    parse_call,
};
use cni::{CniResult, Error, Request, Version};
use tempfile::TempDir;

fn request(verb: &str) -> Request {
    let variables = [
        ("CNI_COMMAND", verb),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", "/run/netns/a"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", "A=1"),
        ("CNI_PATH", "/a:/b"),
        ("CNI_NETNS_OVERRIDE", "1"),
    ];
    let config = r#"{"cniVersion":"1.1.0","name":"lan","x":[1.5,{"y":"é<"}],"x":null}"#;
    Request::from_texts(&variables, config).unwrap()
}

/// Answers one connection with `answer`, once a whole request has come.
fn server(answer: Option<Vec<u8>>) -> (TempDir, PathBuf, JoinHandle<Request>) {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut parser = RequestParser::default();
        let mut buffer = [0; 7];
        let http = loop {
            let count = stream.read(&mut buffer).unwrap();
            if let Some(http) = parser.feed(&buffer[..count]).unwrap() {
                break http;
            }
        };
        assert_eq!((http.method.as_str(), http.path.as_str(), http.keep_alive), ("POST", "/cni/v1", false));
        match answer {
            Some(answer) => stream.write_all(&answer).unwrap(),
            // Say nothing until the client has given up.
            None => assert_eq!(stream.read(&mut buffer).unwrap(), 0),
        }
        parse_call(&http.body).unwrap()
    });
    (directory, socket, thread)
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_call_arrives_whole_and_its_result_comes_back() {
    let result = crate::plugin::dual_stack();
    let (_directory, socket, thread) =
        server(Some(encode_response(&Ok(Some(result.clone())), Version::V110, false)));
    assert_eq!(forward(&socket, &request("ADD"), LONG).unwrap(), Some(result));
    let (came, sent) = (thread.join().unwrap(), request("ADD"));
    assert_eq!((came.env, came.conf, came.name), (sent.env, sent.conf, sent.name));

    let (_directory, socket, thread) = server(Some(encode_response(&Ok(None), Version::V110, false)));
    assert_eq!(forward(&socket, &request("DEL"), LONG).unwrap(), None);
    thread.join().unwrap();
}

#[test]
fn errors_of_the_call_come_back_typed() {
    let error = Error::try_again("pool is busy").with_details("lan");
    let (_directory, socket, thread) =
        server(Some(encode_response(&Err(error.clone()), Version::V110, false)));
    assert_eq!(forward(&socket, &request("ADD"), LONG), Err(ForwardError::Cni(error)));
    thread.join().unwrap();
    let (_directory, socket, thread) =
        server(Some(encode_response(&Ok(Some(CniResult::default())), Version::V020, false)));
    let Err(ForwardError::Cni(error)) = forward(&socket, &request("ADD"), LONG) else { panic!() };
    assert_eq!(error.msg(), "cannot convert: no valid IP addresses");
    thread.join().unwrap();
    let refusal = HttpError { status: 404, msg: "nothing here" };
    let (_directory, socket, thread) = server(Some(encode_error(&refusal)));
    let Err(ForwardError::Cni(error)) = forward(&socket, &request("ADD"), LONG) else { panic!() };
    assert_eq!((error.code(), error.msg().as_str()), (6, "nothing here"));
    thread.join().unwrap();
}

#[test]
fn nobody_there_silence_and_nonsense_are_told_apart() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("s");
    assert!(matches!(forward(&socket, &request("ADD"), LONG), Err(ForwardError::NotRunning { .. })));
    drop(UnixListener::bind(&socket).unwrap());
    let error = forward(&socket, &request("ADD"), LONG).unwrap_err();
    assert!(matches!(error, ForwardError::NotRunning { .. }), "{error}");

    let (_directory, socket, thread) = server(None);
    let error = forward(&socket, &request("ADD"), Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, ForwardError::Timeout { .. }), "{error}");
    assert!(error.to_string().ends_with("within 0.050 s"), "{error}");
    thread.join().unwrap();

    let rows: [(&[u8], &str); 8] = [
        (b"", "cut short"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "cut short"),
        (b"SSH-2.0\r\n\r\n", "this is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "Content-Length is missing"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "too long"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{", "EOF"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "expected an object"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"result\":7}", "invalid result: 7"),
    ];
    for (answer, words) in rows {
        let (_directory, socket, thread) = server(Some(answer.to_vec()));
        let error = forward(&socket, &request("ADD"), LONG).unwrap_err();
        assert!(
            matches!(error, ForwardError::Protocol { .. }) && error.to_string().contains(words),
            "{error}"
        );
        thread.join().unwrap();
    }
}

#[test]
fn requests_that_are_not_taken() {
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9000));
    let endless = "x".repeat(9000);
    let rows: &[(&str, u16)] = &[
        ("GARBAGE\r\n\r\n", 400),
        ("get / HTTP/1.1\r\n\r\n", 400),
        ("GET http://x/ HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1 x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nX: \u{fffd}\r\n\r\n", 0),
        ("GET / HTTP/2\r\n\r\n", 505),
        ("POST / HTTP/1.1\r\n\r\n", 411),
        ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (&long, 431),
        (&endless, 431),
    ];
    for (bytes, status) in rows {
        let answer = RequestParser::default().feed(bytes.as_bytes());
        match answer {
            Err(error) => {
                assert_eq!(error.status, *status, "{bytes:.60}: {error}");
                let text = String::from_utf8(encode_error(&error)).unwrap();
                assert!(
                    text.starts_with(&format!("HTTP/1.1 {status} ")) && text.contains("Connection: close")
                );
            }
            Ok(request) => assert!(*status == 0 && request.is_some(), "{bytes:.60}"),
        }
    }
    assert_eq!(RequestParser::default().feed(b"GET / HTTP/1.1\r\n\xff: x\r\n\r\n").unwrap_err().status, 400);
}

#[test]
fn several_requests_on_one_connection() {
    let one = b"POST /a HTTP/1.1\r\ncontent-length:  2 \r\n\r\nabGET /b HTTP/1.1\r\nConnection: close\r\n\r\nGET /c HTTP/1.0\r\n\r\n";
    let mut parser = RequestParser::with_body_limit(2);
    let first = parser.feed(one).unwrap().unwrap();
    assert_eq!((first.path.as_str(), &first.body[..], first.keep_alive), ("/a", &b"ab"[..], true));
    let second = parser.feed(b"").unwrap().unwrap();
    assert_eq!((second.path.as_str(), second.keep_alive), ("/b", false));
    let third = parser.feed(b"").unwrap().unwrap();
    assert_eq!((third.path.as_str(), third.keep_alive), ("/c", false));
    assert_eq!(parser.feed(b"").unwrap(), None);
}

#[test]
fn a_bad_call_is_refused_by_the_same_rules() {
    let rows: &[(&str, u32, &str)] = &[
        ("", 6, "EOF"),
        ("[]", 6, "expected an object"),
        (r#"{"verb":"ADD"}"#, 7, "invalid config: nothing"),
        (r#"{"verb":7,"config":{}}"#, 7, "invalid verb: 7"),
        (
            r#"{"verb":"ADD","config":{}}"#,
            4,
            "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH]",
        ),
        (r#"{"verb":"STATUS","path":"/","config":{}}"#, 7, "missing network name"),
        (r#"{"verb":"STATUS","path":"/","config":[]}"#, 6, "expected an object"),
        (
            r#"{"verb":"STATUS","path":"/","config":{"name":"a","cniVersion":"9.0.0"}}"#,
            1,
            "plugin version does not allow",
        ),
        (r#"{"verb":"FLY","path":"/","config":{"name":"a"}}"#, 4, "unknown CNI_COMMAND: FLY"),
        (
            r#"{"verb":"DEL","containerID":"../x","path":"/","ifname":"e","config":{"name":"a"}}"#,
            4,
            "invalid characters in containerID",
        ),
        (r#"{"verb":"DEL","netnsOverride":"1","config":{}}"#, 7, "invalid netnsOverride"),
    ];
    for (body, code, words) in rows {
        let error = parse_call(body.as_bytes()).unwrap_err();
        assert!(
            error.code() == *code && error.to_string().contains(words),
            "{body}: {} {error}",
            error.code()
        );
    }
    let sent = request("CHECK");
    let came = parse_call(encode_request_body(&sent).unwrap().as_bytes()).unwrap();
    assert_eq!((came.env, came.conf), (sent.env, sent.conf));
}
