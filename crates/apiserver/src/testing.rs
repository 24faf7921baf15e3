//! A small API server for tests, in plain HTTP: every kind of object by its path, with versions, conflicts, finalizers, pages, watches
//! and faults on request. It checks nothing that a schema or a policy would.

mod objects;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub use objects::{Objects, Place};

/// How long a test waits for what must come: no machine needs so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET /api/v1/pods?…`.
    pub line: String,
    /// The header `Authorization`.
    pub authorization: String,
    /// The object; null when there is none.
    pub body: Value,
}

/// What the server has and what was asked of it.
#[derive(Debug, Default)]
pub struct State {
    /// All objects, and their history.
    pub objects: Objects,
    /// The requests as they came.
    pub seen: Vec<Seen>,
    /// Watches say nothing.
    pub silent: bool,
    /// If there is one, only it is let in.
    pub token: Option<String>,
    /// How many connections there were.
    pub connections: usize,
    /// PATCHes are answered once so many have come.
    pub hold: usize,
    patches: usize,
    /// Answers given instead, to the first request whose line begins so.
    faults: VecDeque<(String, u16)>,
    /// Watches of another epoch end.
    epoch: u64,
}

/// The server. It serves until the program ends.
#[derive(Debug, Clone)]
pub struct Server {
    port: u16,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Server {
    /// Starts it on a port of its own.
    ///
    /// # Errors
    /// The system gives no port.
    pub fn start() -> std::io::Result<Server> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let server = Server { port: listener.local_addr()?.port(), shared: Arc::default() };
        let each = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                each.state().connections += 1;
                let server = each.clone();
                std::thread::spawn(move || server.serve(&stream));
            }
        });
        Ok(server)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Writes a kubeconfig for it into a directory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn kubeconfig(&self, dir: &Path) -> std::io::Result<PathBuf> {
        let file = dir.join(format!("kubeconfig-{}", self.port));
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": self.url()}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        std::fs::write(&file, text.to_string())?;
        Ok(file)
    }

    /// What it has.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is so.
    ///
    /// # Panics
    /// When it is not so after a time that no machine needs.
    pub fn wait(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut state = self.state();
        while !is_so(&state) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}; it has {:#?}; asked was {:#?}", state.objects, state.seen);
            state = self.shared.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Makes an object, or replaces it whatever its version, at the collection's path: `/api/v1/namespaces/shop/pods`.
    ///
    /// # Panics
    /// When the path is none, or the object has no name.
    pub fn put(&self, path: &str, object: Value) {
        let place = Place::parse(path).unwrap_or_else(|| panic!("{path} is no path"));
        let name =
            object["metadata"]["name"].as_str().unwrap_or_else(|| panic!("no name: {object}")).to_owned();
        self.state().objects.put(&Place { name: Some(name), ..place }, object);
        self.shared.1.notify_all();
    }

    /// Deletes an object by its path, as a user would: finalizers keep it.
    ///
    /// # Panics
    /// When it is not there.
    pub fn delete(&self, path: &str) {
        let place = Place::parse(path).unwrap_or_else(|| panic!("{path} is no path"));
        let (code, answer) = self.state().objects.delete(&place, &Value::Null);
        assert_eq!(code, 200, "{path}: {answer}");
        self.shared.1.notify_all();
    }

    /// The next request that begins so is answered with this code.
    pub fn fault(&self, line: &str, code: u16) {
        self.state().faults.push_back((line.to_owned(), code));
    }

    /// Every open watch ends.
    pub fn end_watches(&self) {
        self.state().epoch += 1;
        self.shared.1.notify_all();
    }

    /// Every version so far is too old to be watched from.
    pub fn forget(&self) {
        self.state().objects.forget();
    }

    /// The requests that begin so.
    pub fn seen(&self, begin: &str) -> Vec<Seen> {
        self.state().seen.iter().filter(|seen| seen.line.starts_with(begin)).cloned().collect()
    }

    /// One connection, request after request.
    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            let (mut length, mut authorization) = (0, String::new());
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).ok()?;
                let Some((key, value)) = header.trim().split_once(": ") else { break };
                match key.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.parse().ok()?,
                    "authorization" => authorization = value.to_owned(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            self.answer(&Seen { line, authorization, body }, stream)?;
        }
    }

    /// `None` when the connection is to end.
    fn answer(&self, seen: &Seen, mut stream: &TcpStream) -> Option<()> {
        let (method, target) = seen.line.split_once(' ')?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let place = Place::parse(path)?;
        let (code, reply) = {
            let mut state = self.state();
            state.seen.push(seen.clone());
            self.shared.1.notify_all();
            if method == "PATCH" {
                state.patches += 1;
                while state.patches < state.hold {
                    state = self.shared.1.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
            let fault = state.faults.iter().position(|(begin, _)| seen.line.starts_with(begin));
            let lets_in = |token: &String| seen.authorization == format!("Bearer {token}");
            match fault.and_then(|at| state.faults.remove(at)) {
                Some((_, code)) => objects::status(code, "", &format!("told to say {code}")),
                None if !state.token.as_ref().is_none_or(lets_in) => objects::refusal(401, ""),
                None if query.contains("watch=") => {
                    drop(state);
                    return self.watch(&place, query, stream);
                }
                None => state.objects.answer(method, &place, query, &seen.body),
            }
        };
        self.shared.1.notify_all();
        let text = reply.to_string();
        let head = format!(
            "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        stream.write_all((head + &text).as_bytes()).ok()
    }

    fn watch(&self, place: &Place, query: &str, mut stream: &TcpStream) -> Option<()> {
        let mut from: u64 = objects::parameter(query, "resourceVersion").parse().ok()?;
        let mut state = self.state();
        let epoch = state.epoch;
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head).ok()?;
        let mut send = |event: &Value| {
            let text = format!("{event}\n");
            stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).ok()
        };
        while state.epoch == epoch {
            if state.objects.is_forgotten(from) {
                send(&json!({"type": "ERROR", "object": objects::refusal(410, "").1}))?;
                break;
            }
            let news = if state.silent { Vec::new() } else { state.objects.since(place, from) };
            for (at, event) in news {
                send(&event)?;
                from = at;
            }
            state = self.shared.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        stream.write_all(b"0\r\n\r\n").ok()
    }
}
