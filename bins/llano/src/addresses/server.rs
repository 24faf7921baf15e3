//! For tests: an API server that gives prepared answers, one after the other, in plain HTTP.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::reach::Reach;

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// `GET /apis/…?…`.
    pub(super) line: String,
    pub(super) body: Value,
}

pub(super) struct Server {
    shared: Arc<Mutex<Shared>>,
    kubeconfig: PathBuf,
}

#[derive(Default)]
struct Shared {
    answers: VecDeque<(u16, Value)>,
    asked: Vec<Asked>,
}

impl Server {
    pub(super) fn answering(answers: impl IntoIterator<Item = (u16, Value)>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared =
            Arc::new(Mutex::new(Shared { answers: answers.into_iter().collect(), ..Shared::default() }));
        let each = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = each.clone();
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        let name = format!("llano-addresses-{}-{port}.yaml", std::process::id());
        let kubeconfig = std::env::temp_dir().join(name);
        let content = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "a",
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "clusters": [{"name": "a", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
            "users": [{"name": "a", "user": {}}],
        });
        std::fs::write(&kubeconfig, content.to_string()).unwrap();
        Server { shared, kubeconfig }
    }

    pub(super) fn reach(&self) -> Reach {
        Reach::by(self.kubeconfig.clone())
    }

    pub(super) fn kubeconfig(&self) -> &PathBuf {
        &self.kubeconfig
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.shared.lock().unwrap().asked.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}

fn serve(mut stream: &TcpStream, shared: &Mutex<Shared>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let Some((key, value)) = header.trim().split_once(": ") else { break };
            if key.eq_ignore_ascii_case("content-length") {
                length = value.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
        let (code, answer) = {
            let mut shared = shared.lock().unwrap();
            shared.asked.push(Asked { line, body: serde_json::from_slice(&body).unwrap_or(Value::Null) });
            shared.answers.pop_front().unwrap_or((500, json!({"message": "no answer was prepared"})))
        };
        let answer = answer.to_string();
        let length = answer.len();
        let head = format!(
            "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        if stream.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}
