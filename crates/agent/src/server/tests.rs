//! The plugin and the server, and clients that are neither.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use attach::agent::AgentPlugin;
use attach::paths::Paths;
use cni::{Plugin, Request, code};

use super::{Hooks, Observed, Page, Server, Stop};
use crate::engine::tests::{Node, request};
use crate::spool;

#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl Hooks for Seen {
    fn page(&self, path: &str) -> Option<Page> {
        let body = "ok".to_owned();
        (path == "/healthz").then_some(Page { status: 200, content_type: "text/plain", body })
    }

    fn observed(&self, call: &Observed<'_>) {
        let outcome = if call.answer.is_ok() { "ok" } else { "failed" };
        self.0.lock().unwrap().push(format!("{} {outcome}", call.verb.as_str()));
    }
}

/// A node whose server runs.
struct Site {
    node: Node,
    seen: Arc<Seen>,
    stop: Stop,
    thread: JoinHandle<bool>,
}

fn socket(node: &Node) -> PathBuf {
    node.dir.path().join("run/agent.sock")
}

impl Site {
    fn start(node: Node) -> Site {
        let server = Server::open(&socket(&node)).unwrap();
        let (stop, engine, seen) = (server.stopper(), Arc::clone(&node.engine), Arc::new(Seen::default()));
        let hooks: Arc<dyn Hooks> = Arc::clone(&seen) as _;
        let thread =
            std::thread::spawn(move || server.run(&engine, &hooks, Duration::from_secs(60)).unwrap());
        Site { node, seen, stop, thread }
    }

    fn end(self) -> (Node, Vec<String>) {
        self.stop.stop();
        assert!(self.thread.join().unwrap(), "a call is not done");
        assert!(!socket(&self.node).exists());
        let seen = std::mem::take(&mut *self.seen.0.lock().unwrap());
        (self.node, seen)
    }

    /// What the server says to these bytes.
    fn say(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(socket(&self.node)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // It may refuse before it has read everything.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }
}

fn plugin(node: &Node) -> AgentPlugin {
    AgentPlugin { paths: Paths { run: node.dir.path().join("run") }, file: PathBuf::new() }
}

fn call(node: &Node, verb: &str) -> Request {
    request(verb, "web", &node.bin(), r#","agentTimeout":0"#)
}

#[test]
fn the_plugin_is_served_every_verb() {
    let site = Site::start(Node::new(&["a"]));
    let (node, plugin) = (&site.node, plugin(&site.node));
    node.pod("web", Some("a"));
    let mode = std::fs::metadata(socket(node)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let result = plugin.add(&call(node, "ADD")).unwrap();
    assert_eq!((result.interfaces[0].name.as_str(), result.ips.len()), ("eth0", 1));
    plugin.check(&call(node, "CHECK")).unwrap();
    plugin.status(&call(node, "STATUS")).unwrap();
    assert_eq!(plugin.gc(&call(node, "GC")).unwrap_err().code(), code::INVALID_CONFIG);
    let dump = site.say(b"GET /dump HTTP/1.1\r\n\r\n");
    assert!(dump.contains("\"network\": \"shop/a\""), "{dump}");
    assert!(site.say(b"GET /healthz HTTP/1.1\r\n\r\n").ends_with("\r\n\r\nok"));
    plugin.del(&call(node, "DEL")).unwrap();
    let (node, mut seen) = site.end();
    // Told after the answer, each by its own thread.
    seen.sort();
    assert_eq!(seen, ["ADD ok", "CHECK ok", "DEL ok", "GC failed", "STATUS ok"]);
    assert_eq!(node.stored("web"), None);
    assert_eq!(node.events().len(), 2, "after the reply");
}

#[test]
fn without_an_agent_add_says_try_again_and_del_is_kept() {
    let node = Node::new(&[]);
    let plugin = plugin(&node);
    let error = plugin.add(&call(&node, "ADD")).unwrap_err();
    assert_eq!(error.code(), code::TRY_AGAIN);
    assert!(error.to_string().contains("llano status"), "{error}");
    assert_eq!(plugin.status(&call(&node, "STATUS")).unwrap_err().code(), code::NOT_AVAILABLE);
    assert_eq!(plugin.check(&call(&node, "CHECK")).unwrap_err().code(), code::TRY_AGAIN);
    for _ in 0..2 {
        plugin.del(&call(&node, "DEL")).unwrap();
    }
    let kept = spool::read(&node.dir.path().join("run/agent-spool")).unwrap();
    assert_eq!(kept.len(), 1, "one file for an attachment");
    assert_eq!(kept[0].request.env.container_id, "c-web");
}

#[test]
fn an_add_waits_for_the_agent() {
    let node = Node::new(&[]);
    node.pod("web", None);
    let plugin = plugin(&node);
    let waiting = request("ADD", "web", &node.bin(), "");
    let add = std::thread::spawn(move || plugin.add(&waiting));
    let site = Site::start(node);
    assert_eq!(add.join().unwrap().unwrap().interfaces.len(), 1);
    site.end();
}

#[test]
fn an_add_does_not_wait_for_an_agent_that_was_uninstalled() {
    let node = Node::new(&[]);
    let mut plugin = plugin(&node);
    plugin.file = node.dir.path().join("gone");
    let error = plugin.add(&request("ADD", "web", &node.bin(), "")).unwrap_err();
    assert_eq!(error.code(), code::TRY_AGAIN);
    assert_eq!(error.msg(), "llano agent: it was uninstalled meanwhile");
}

#[test]
fn a_stop_lets_running_calls_end() {
    let node = Node::new(&[]);
    node.pod("web", None);
    node.hang("ADD-eth0");
    let (plugin, waiting) = (plugin(&node), call(&node, "ADD"));
    let site = Site::start(node);
    let add = std::thread::spawn(move || plugin.add(&waiting));
    let hanging = site.node.hanging("ADD-eth0");
    site.stop.stop();
    // It takes no call any more, and one runs.
    while socket(&site.node).exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(hanging);
    assert!(add.join().unwrap().is_ok());
    site.end();
}

#[test]
fn hostile_requests_are_refused_and_the_next_is_served() {
    let site = Site::start(Node::new(&[]));
    let post = |body: &str| {
        let head = format!("POST /cni/v1 HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
        site.say((head + body).as_bytes())
    };
    for (bytes, status) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..], "400"),
        (b"GET / HTTP/9.9\r\n\r\n", "505"),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", "404"),
        (b"DELETE /cni/v1 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "404"),
        (b"POST /cni/v1 HTTP/1.1\r\n\r\n", "411"),
        (b"POST /cni/v1 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", "400"),
        (b"POST /cni/v1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "501"),
        (b"POST /cni/v1 HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", "413"),
    ] {
        let answer = site.say(bytes);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
    }
    let long = [b"GET /", "x".repeat(9000).as_bytes()].concat();
    assert!(site.say(&long).starts_with("HTTP/1.1 431 "));
    assert_eq!(site.say(b"POST /cni/v1 HTTP/1.1\r\nContent-Length: 10\r\n\r\n{"), "", "cut short");
    for body in [
        "{}",
        "[]",
        "{\"verb\":\"ADD\"}",
        r#"{"verb":"DEL","containerID":"../../etc","ifname":"eth0","path":"/x","config":{"cniVersion":"1.0.0","name":"n","type":"llano"}}"#,
        r#"{"verb":"DEL","containerID":"a","ifname":"../eth0","path":"/x","config":{"cniVersion":"1.0.0","name":"n","type":"llano"}}"#,
        r#"{"verb":"DEL","containerID":"a","ifname":"eth0","path":"/x","config":{"cniVersion":"1.0.0","name":"../n","type":"llano"}}"#,
        &"[".repeat(100_000),
    ] {
        let answer = post(body);
        assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
    }
    site.node.pod("web", None);
    plugin(&site.node).add(&call(&site.node, "ADD")).unwrap();
    site.end();
}
