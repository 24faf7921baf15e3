//! A small API server: two kinds with versions, history and watches, in plain HTTP, with faults on request.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `GET /api/v1/pods?…`.
    pub(crate) line: String,
    pub(crate) authorization: String,
    pub(crate) body: Value,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<(&'static str, String), Value>,
    version: u64,
    history: Vec<(u64, &'static str, &'static str, Value)>,
    /// What happened before this version is forgotten.
    oldest: u64,
    pub(crate) seen: Vec<Seen>,
    /// Answers given instead, to the first request whose line begins so.
    faults: VecDeque<(String, u16)>,
    /// Watches of another epoch end.
    epoch: u64,
    /// Watches say nothing.
    pub(crate) silent: bool,
    /// Only this token is let in.
    pub(crate) token: Option<String>,
    /// How many connections there were.
    pub(crate) connections: usize,
    /// PATCHes are answered once so many have come.
    pub(crate) hold: usize,
    patches: usize,
    /// The kinds that do not exist.
    pub(crate) absent: Vec<&'static str>,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) port: u16,
    shared: Arc<(Mutex<State>, Condvar)>,
}

pub(crate) const PODS: &str = "pods";
pub(crate) const DEFINITIONS: &str = "network-attachment-definitions";
pub(crate) const CLAIMS: &str = "macvlanips";
pub(crate) const SUBNETS: &str = "macvlansubnets";
pub(crate) const NETWORKS: &str = "macvlannetworks";
pub(crate) const NAMESPACES: &str = "namespaces";
pub(crate) const NODES: &str = "nodes";

impl Server {
    pub(crate) fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server { port: listener.local_addr().unwrap().port(), shared: Arc::default() };
        let each = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                each.state().connections += 1;
                let server = each.clone();
                std::thread::spawn(move || server.serve(&stream));
            }
        });
        server
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }

    /// Waits until it is so; fails after a time that no machine needs.
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        let mut state = self.state();
        while !is_so(&state) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}; seen: {:#?}", state.seen);
            state = self.shared.1.wait_timeout(state, left).unwrap().0;
        }
    }

    pub(crate) fn put(&self, kind: &'static str, object: Value) {
        self.state().put(kind, object);
        self.shared.1.notify_all();
    }

    pub(crate) fn delete(&self, kind: &'static str, name: &str) {
        self.state().delete(kind, name);
        self.shared.1.notify_all();
    }

    /// The next request that begins so is answered with this code.
    pub(crate) fn fault(&self, line: &str, code: u16) {
        self.state().faults.push_back((line.to_owned(), code));
    }

    /// Every open watch ends.
    pub(crate) fn end_watches(&self) {
        self.state().epoch += 1;
        self.shared.1.notify_all();
    }

    /// Every version so far is too old.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.version += 1;
        state.oldest = state.version;
        state.history.clear();
    }

    /// The requests that begin so.
    pub(crate) fn seen(&self, line: &str) -> Vec<Seen> {
        self.state().seen.iter().filter(|seen| seen.line.starts_with(line)).cloned().collect()
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let (mut length, mut authorization) = (0, String::new());
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).unwrap();
                let Some((key, value)) = header.trim().split_once(": ") else { break };
                match key.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.parse().unwrap(),
                    "authorization" => authorization = value.to_owned(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            if self.answer(&Seen { line, authorization, body }, stream).is_none() {
                return;
            }
        }
    }

    /// `None` when the connection is to end.
    fn answer(&self, seen: &Seen, mut stream: &TcpStream) -> Option<()> {
        let (method, target) = seen.line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (code, reply) = {
            let mut state = self.state();
            state.seen.push(seen.clone());
            self.shared.1.notify_all();
            if method == "PATCH" {
                state.patches += 1;
                while state.patches < state.hold {
                    state = self.shared.1.wait(state).unwrap();
                }
            }
            let fault = state.faults.iter().position(|(line, _)| seen.line.starts_with(line));
            let fault = fault.and_then(|at| state.faults.remove(at));
            let let_in =
                state.token.as_ref().is_none_or(|token| seen.authorization == format!("Bearer {token}"));
            match fault {
                Some((_, code)) => (code, status(code)),
                None if !let_in => (401, status(401)),
                None if query.contains("watch=") => {
                    drop(state);
                    return self.watch(path, query, stream);
                }
                None => state.reply(method, path, query, &seen.body),
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

    fn watch(&self, path: &str, query: &str, mut stream: &TcpStream) -> Option<()> {
        let kind = kind_of(path);
        let mut from: u64 = parameter(query, "resourceVersion").parse().unwrap();
        let mut state = self.state();
        let epoch = state.epoch;
        stream
            .write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
            )
            .ok()?;
        let mut send = |value: Value| {
            let text = format!("{value}\n");
            stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).ok()
        };
        loop {
            if from < state.oldest {
                send(json!({"type": "ERROR", "object": status(410)}))?;
                break;
            }
            let news = state.history.iter().filter(|(at, of, ..)| *at > from && *of == kind && !state.silent);
            let news: Vec<_> =
                news.map(|(at, _, event, object)| (*at, json!({"type": event, "object": object}))).collect();
            for (at, event) in news {
                send(event)?;
                from = at;
            }
            if state.epoch != epoch {
                break;
            }
            state = self.shared.1.wait(state).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").ok()
    }
}

impl State {
    fn put(&mut self, kind: &'static str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let before = self.objects.insert((kind, name_of(&object)), object.clone());
        let event = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.history.push((self.version, kind, event, object.clone()));
        object
    }

    fn delete(&mut self, kind: &'static str, name: &str) {
        self.version += 1;
        let mut object = self.objects.remove(&(kind, name.to_owned())).unwrap();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history.push((self.version, kind, "DELETED", object));
    }

    /// A claim that is made, read, replaced or deleted by its name.
    fn claim(&mut self, method: &str, name: &str, body: &Value) -> (u16, Value) {
        let name =
            format!("/{}", if method == "POST" { body["metadata"]["name"].as_str().unwrap() } else { name });
        let found = self.objects.get(&(CLAIMS, name.clone())).cloned();
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        match (method, found) {
            ("POST", Some(_)) => (409, status(409)),
            ("POST", None) => (201, self.put(CLAIMS, body.clone())),
            (_, None) => (404, status(404)),
            ("GET", Some(found)) => (200, found),
            ("PUT", Some(found)) if version(&found) == version(body) => (200, self.put(CLAIMS, body.clone())),
            ("DELETE", Some(found)) if version(&found) == body["preconditions"]["resourceVersion"] => {
                self.delete(CLAIMS, &name);
                (200, json!({"kind": "Status", "status": "Success"}))
            }
            _ => (409, status(409)),
        }
    }

    fn reply(&mut self, method: &str, path: &str, query: &str, body: &Value) -> (u16, Value) {
        let kind = kind_of(path);
        if self.absent.contains(&kind) {
            return (404, status(404));
        }
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        if kind == CLAIMS && (method != "GET" || parts.len() > 4) {
            return self.claim(method, parts.last().unwrap(), body);
        }
        let at = parts.iter().position(|part| *part == "namespaces");
        let named = at.and_then(|at| Some(format!("{}/{}", parts.get(at + 1)?, parts.get(at + 3)?)));
        match (method, named) {
            ("GET", None) => {
                let all: Vec<Value> = self
                    .objects
                    .iter()
                    .filter(|((of, _), _)| *of == kind)
                    .map(|(_, object)| object.clone())
                    .collect();
                let start: usize = parameter(query, "continue").parse().unwrap_or(0);
                let limit: usize = parameter(query, "limit").parse().unwrap_or(usize::MAX);
                let end = all.len().min(start.saturating_add(limit));
                let next = if end < all.len() { end.to_string() } else { String::new() };
                let metadata = json!({"resourceVersion": self.version.to_string(), "continue": next});
                (200, json!({"kind": "List", "metadata": metadata, "items": all[start..end]}))
            }
            ("GET", Some(name)) => match self.objects.get(&(kind, name)) {
                Some(object) => (200, object.clone()),
                None => (404, status(404)),
            },
            ("PATCH", Some(name)) if kind == PODS => match self.objects.get_mut(&(kind, name)) {
                None => (404, status(404)),
                Some(pod) if pod["metadata"]["uid"] != body["metadata"]["uid"] => (422, status(422)),
                Some(pod) => {
                    for (key, value) in body["metadata"]["annotations"].as_object().unwrap() {
                        pod["metadata"]["annotations"][key] = value.clone();
                    }
                    (200, pod.clone())
                }
            },
            // Events.
            ("POST" | "PATCH", _) => (201, body.clone()),
            _ => (405, status(405)),
        }
    }
}

fn kind_of(path: &str) -> &'static str {
    match path {
        path if path.contains("/network-attachment-definitions") => DEFINITIONS,
        path if path.contains("/events") => "events",
        path if path.contains("/macvlanips") => CLAIMS,
        path if path.contains("/macvlansubnets") => SUBNETS,
        path if path.contains("/macvlannetworks") => NETWORKS,
        path if path.contains("/macvlanreservations") => "macvlanreservations",
        "/api/v1/namespaces" => NAMESPACES,
        "/api/v1/nodes" => NODES,
        _ => PODS,
    }
}

fn name_of(object: &Value) -> String {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    format!("{}/{}", text("namespace"), text("name"))
}

fn parameter<'a>(query: &'a str, key: &str) -> &'a str {
    query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default()
}

fn status(code: u16) -> Value {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        _ => "InternalError",
    };
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": format!("told to say {code}")})
}
