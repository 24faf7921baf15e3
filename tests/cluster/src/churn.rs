//! Pods that come and go all the time, on every node, with and without networks of definitions.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use cluster::Cluster;
use serde_json::{Value, json};

use crate::networks::{NETWORKS, STATUS, probed};
use crate::{PATIENCE, wait_for};

/// So many are there at a time: when the oldest is ready, it ends and another begins.
const ALIVE: usize = 6;
/// So many there are in all, however soon the work is done.
const LEAST: usize = 8;

/// What became of a pod.
#[derive(Debug)]
pub struct Life {
    /// Its name.
    pub name: String,
    /// How long it took to be ready, in seconds, by the API server's clock.
    pub seconds: u64,
    /// Whether its status tells of a network beside the first.
    pub attached: bool,
    /// Messages of `FailedCreatePodSandBox`.
    pub failures: Vec<String>,
}

/// Does `work` while pods come and go, and gives what became of them. Each of them has become ready: the test fails otherwise.
///
/// # Panics
/// When a pod does not become ready.
pub fn under_churn<T>(
    cluster: &Cluster,
    annotations: &[(&str, &str)],
    work: impl FnOnce() -> T,
) -> (T, Vec<Life>) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let churn = scope.spawn(|| come_and_go(cluster, annotations, &over));
        // However the work ends, so do the pods.
        let _end = End(&over);
        let result = work();
        over.store(true, Ordering::Relaxed);
        (result, churn.join().expect("every pod becomes ready"))
    })
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// `annotations` are pairs of a node and a network: its pods ask for it by turns.
fn come_and_go(cluster: &Cluster, annotations: &[(&str, &str)], over: &AtomicBool) -> Vec<Life> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut alive = VecDeque::new();
    let mut lives = Vec::new();
    let mut made = 0;
    while made < LEAST || !over.load(Ordering::Relaxed) {
        made += annotations.len();
        for (node, network) in annotations {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("churn-{number}");
            let asked = [(NETWORKS, *network)];
            let asked = if (number / 2).is_multiple_of(2) { &asked[..] } else { &[] };
            let mut pod = probed(&name, node, asked);
            pod["metadata"]["labels"]["test"] = json!("churn");
            cluster.apply(&pod.to_string()).unwrap();
            alive.push_back(name);
        }
        while alive.len() > ALIVE {
            lives.extend(alive.pop_front().map(|name| end(cluster, name)));
        }
    }
    lives.extend(alive.into_iter().map(|name| end(cluster, name)));
    let words = ["wait", "pod", "-l", "test=churn", "--for=delete", "--timeout=120s"];
    cluster.kubectl_output(words).unwrap_or_else(|error| panic!("{error}"));
    lives
}

fn end(cluster: &Cluster, name: String) -> Life {
    wait_for(cluster, &["pod", &name], "condition=Ready", PATIENCE);
    let get =
        |words: &[&str]| -> Value { serde_json::from_str(&cluster.kubectl_output(words).unwrap()).unwrap() };
    let pod = get(&["get", "pod", &name, "-o", "json"]);
    let selector = format!("involvedObject.name={name},reason=FailedCreatePodSandBox");
    let events = get(&["get", "events", "--field-selector", &selector, "-o", "json"]);
    let messages = events["items"].as_array().into_iter().flatten();
    let failures = messages.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect();
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let ready =
        conditions.filter(|one| one["type"] == "Ready").find_map(|one| one["lastTransitionTime"].as_str());
    let created = pod["metadata"]["creationTimestamp"].as_str();
    let seconds = match (created, ready) {
        (Some(created), Some(ready)) => second_of_day(ready) + 86_400 - second_of_day(created),
        _ => 0,
    } % 86_400;
    let status = pod["metadata"]["annotations"][STATUS].as_str().unwrap_or_default();
    let life = Life { attached: status.contains("net1"), name, seconds, failures };
    cluster.kubectl_output(["delete", "pod", &life.name, "--wait=false"]).unwrap();
    life
}

/// Of a time such as 2026-11-21T20:30:01Z.
fn second_of_day(time: &str) -> u64 {
    let clock = time.split('T').nth(1).unwrap_or_default().trim_end_matches('Z');
    clock.split(':').filter_map(|part| part.parse::<u64>().ok()).fold(0, |sum, part| sum * 60 + part)
}
