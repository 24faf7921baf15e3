//! QEMU's monitor (QMP, one JSON document a line over a unix socket), of which few commands are needed.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::error::{Error, Result};

/// QEMU answers within milliseconds; a busy machine gets a thousand times that.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// An open connection.
#[derive(Debug)]
pub(super) struct Monitor {
    stream: BufReader<UnixStream>,
}

impl Monitor {
    /// Connects and leaves the negotiation behind.
    pub(super) fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).map_err(Error::io("connect to", socket))?;
        stream.set_read_timeout(Some(ANSWER_LIMIT)).map_err(Error::io("set up", socket))?;
        let mut monitor = Self { stream: BufReader::new(stream) };
        monitor.receive()?; // the greeting
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Gives a card its carrier or takes it.
    pub(super) fn set_link(&mut self, name: &str, up: bool) -> Result<()> {
        self.execute("set_link", json!({ "name": name, "up": up })).map(drop)
    }

    /// Writes the machine's memory there; the machine stands still afterwards.
    pub(super) fn migrate(&mut self, uri: &str) -> Result<()> {
        self.execute("migrate", json!({ "uri": uri }))?;
        let started = Instant::now();
        loop {
            let answer = self.execute("query-migrate", json!({}))?;
            match answer.get("status").and_then(Value::as_str) {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => return Err(Error::Monitor { why: answer.to_string() }),
                _ if started.elapsed() > ANSWER_LIMIT => {
                    return Err(Error::Monitor { why: format!("the memory was not saved: {answer}") });
                }
                // QEMU has no event for it that is on by default.
                _ => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    // The arguments are made at each call; a reference would only add an `&` there.
    #[allow(clippy::needless_pass_by_value)]
    fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let line = format!("{}\n", json!({ "execute": command, "arguments": arguments }));
        self.stream.get_mut().write_all(line.as_bytes()).map_err(Error::io("write", "monitor"))?;
        loop {
            let mut answer = self.receive()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                return Err(Error::Monitor { why: format!("{command}: {error}") });
            }
            // Anything else is an event.
        }
    }

    fn receive(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line).map_err(Error::io("read", "monitor"))?;
        serde_json::from_str(&line).map_err(|_| Error::Monitor { why: format!("it said {line:?}") })
    }
}
