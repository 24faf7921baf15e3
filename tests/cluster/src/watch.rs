//! Waiting for what the API server tells, not for time to pass.

use std::io::BufReader;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use cluster::Cluster;
use serde_json::Value;

/// Watches objects (`&["pods", "-l", "app=web"]`) and gives what `look` finds first in one of them, as it is or as it comes to be.
///
/// # Panics
/// When it finds nothing within `patience`; then with the last object seen.
pub fn watch<T>(
    cluster: &Cluster,
    objects: &[&str],
    patience: Duration,
    mut look: impl FnMut(&Value) -> Option<T>,
) -> T {
    let mut command = cluster.kubectl().unwrap();
    command.arg("get").args(objects).args(["--watch", "--output-watch-events", "-o", "json"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (enough, waited) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        // The bound: kubectl ends, and with it the stream.
        scope.spawn(move || {
            let _ = waited.recv_timeout(patience);
            let _ = child.kill();
            let _ = child.wait();
        });
        let mut last = Value::Null;
        let events = serde_json::Deserializer::from_reader(stdout).into_iter::<Value>();
        for event in events.map_while(Result::ok) {
            let found = if event["type"] == "DELETED" { None } else { look(&event["object"]) };
            if let Some(found) = found {
                drop(enough);
                return found;
            }
            last = event;
        }
        panic!("{objects:?}: not within {} s; last: {last:#}", patience.as_secs());
    })
}

/// Waits for an event of that reason on an object of that name, and gives its message.
///
/// # Panics
/// When none comes within `patience`.
pub fn event(cluster: &Cluster, name: &str, reason: &str, patience: Duration) -> String {
    let selector = format!("involvedObject.name={name},reason={reason}");
    watch(cluster, &["events", "--field-selector", &selector], patience, |event| {
        Some(event["message"].as_str()?.to_owned())
    })
}

/// Waits, by `kubectl wait`, for a condition: `condition=Ready`, `delete`, `jsonpath=…`.
///
/// # Panics
/// When it does not come within `patience`.
pub fn wait_for(cluster: &Cluster, objects: &[&str], condition: &str, patience: Duration) {
    let (condition, timeout) = (format!("--for={condition}"), format!("--timeout={}s", patience.as_secs()));
    let words = ["wait"].into_iter().chain(objects.iter().copied()).chain([&*condition, &*timeout]);
    cluster.kubectl_output(words).unwrap_or_else(|error| panic!("{error}"));
}
