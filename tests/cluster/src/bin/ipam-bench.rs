//! Addresses of the cluster against leases in a node's files: `ipam-bench ROUNDS [--json] [--check]`, called by `cargo xtask bench ipam`.
//!
//! Kubelets are stopped once the nodes are there, so that every call is ours. A controller runs, as it does in a cluster. Llano's ADDs
//! claim through the API server and write the pod's status; those of the reference, macvlan with host-local, write a file. Both make
//! one macvlan, without probes and without host access, which the reference does not have.

// It ends where it cannot go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cluster::{Cluster, ClusterSpec, Component};
use cluster_tests::networks::{PARENT, definition};
use cluster_tests::process::{Memory, Process, find};
use cluster_tests::timed::{self, Sandbox, Times};
use cluster_tests::{addresses, agent, controller};
use serde_json::{Value, json};

const NODES: [&str; 2] = ["node1", "node2"];
/// The network and the definition that leads to it.
const NETWORK: &str = "bench";
/// The subnets that are measured one call after the other, and what is special about them.
const SUBNETS: [(&str, &str); 3] = [
    ("empty", "1,000 addresses, all free"),
    ("nearly", "1,000 addresses, 940 taken"),
    ("resting", "1,000 addresses, held after DEL"),
];
/// So many are started in one go, so many of them at the same time, on a subnet with as many addresses.
const BURST: usize = 64;
const AT_ONCE: usize = 16;
/// What Spiderpool took for that, and the reference beside it, in seconds: measured once on this cluster and this kind of machine, by
/// one agent; over two agents it took 2.94.
const SPIDERPOOL: f64 = 2.28;
const SPIDERPOOLS_REFERENCE: f64 = 0.52;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [rounds, rest @ ..] = args.as_slice() else { panic!("ipam-bench ROUNDS [--json] [--check]") };
    let rounds: usize = rounds.parse().expect("ROUNDS");
    let has = |flag: &str| rest.iter().any(|arg| arg == flag);
    let name = format!("t{}", std::process::id());
    let cluster = Cluster::up(ClusterSpec::default(), &name, &mut |what| eprintln!("cluster: {what}"))
        .unwrap_or_else(|error| panic!("{error}"));
    let measured = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| measure(&cluster, rounds)));
    drop(cluster);
    Cluster::down(&name).unwrap_or_else(|error| panic!("{error}"));
    let Ok(figures) = measured else { std::process::exit(1) };
    let goals = figures.goals();
    if has("--json") {
        println!("{:#}", figures.json(rounds, &goals));
    } else {
        figures.print();
        goals.iter().for_each(Goal::print);
    }
    if has("--check") && !goals.iter().all(Goal::holds) {
        std::process::exit(1);
    }
}

/// ADDs and DELs of one subnet.
struct Row {
    subnet: &'static str,
    add: Times,
    del: Times,
    /// Requests about claims in all of them, as the API server counts.
    requests: Requests,
    /// Status annotations written, as the agent counts.
    patches: u64,
}

/// All that was measured.
struct Figures {
    rows: Vec<Row>,
    reference_add: Times,
    reference_del: Times,
    /// Seconds for a burst.
    burst: f64,
    reference_burst: f64,
    controller: Memory,
    agent: Memory,
}

/// Requests about claims: what the API server says it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Requests {
    creates: u64,
    updates: u64,
    deletes: u64,
    reads: u64,
}

impl Requests {
    fn now(cluster: &Cluster) -> Requests {
        let text = cluster.kubectl_output(["get", "--raw", "/metrics"]).unwrap();
        let of = |line: &&str| {
            line.starts_with("apiserver_request_total{") && line.contains("resource=\"macvlanips\"")
        };
        let lines: Vec<&str> = text.lines().filter(of).collect();
        let count = |verb: &str| -> u64 {
            let verb = format!("verb=\"{verb}\"");
            let named = lines.iter().filter(|line| line.contains(&verb));
            named.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
        };
        let updates = count("PUT") + count("PATCH") + count("APPLY");
        Requests { creates: count("POST"), updates, deletes: count("DELETE"), reads: count("GET") }
    }

    fn since(self, before: Requests) -> Requests {
        Requests {
            creates: self.creates - before.creates,
            updates: self.updates - before.updates,
            deletes: self.deletes - before.deletes,
            reads: self.reads - before.reads,
        }
    }
}

/// What is wanted of a figure.
struct Goal {
    what: String,
    value: f64,
    at_most: f64,
}

impl Goal {
    /// What was not measured holds nothing.
    fn holds(&self) -> bool {
        self.value <= self.at_most
    }

    fn print(&self) {
        let verdict = if self.holds() { "pass" } else { "MISS" };
        println!("  {verdict}  {:<62}{:>8.2}   ≤ {}", self.what, self.value, self.at_most);
    }
}

impl Figures {
    fn row(&self, subnet: &str) -> &Row {
        self.rows.iter().find(|row| row.subnet == subnet).expect("a row")
    }

    fn goals(&self) -> Vec<Goal> {
        let goal = |what: &str, value: f64, at_most: f64| Goal { what: what.to_owned(), value, at_most };
        let (empty, nearly, resting) = (self.row("empty"), self.row("nearly"), self.row("resting"));
        let each = |row: &Row, requests: u64| requests as f64 / row.add.count() as f64;
        let spiderpool = SPIDERPOOL * self.reference_burst / SPIDERPOOLS_REFERENCE;
        vec![
            goal("ADD, of the reference's", empty.add.quantile(50) / self.reference_add.quantile(50), 1.0),
            goal(
                "ADD with 940 of 1,000 taken, of that",
                nearly.add.quantile(50) / empty.add.quantile(50),
                1.2,
            ),
            goal("creates an ADD", each(empty, empty.requests.creates), 1.0),
            goal("status patches an ADD", each(empty, empty.patches), 1.0),
            goal("reads of claims", empty.requests.reads as f64, 0.0),
            goal(
                "updates and deletes a DEL",
                each(empty, empty.requests.updates + empty.requests.deletes),
                1.0,
            ),
            goal(
                "the same where addresses rest",
                each(resting, resting.requests.updates + resting.requests.deletes),
                1.0,
            ),
            goal(
                "64 ADDs 16 at once, of Spiderpool's scaled by the reference",
                self.burst / spiderpool,
                0.25,
            ),
            goal("the controller's memory, MB", self.controller.settled, 30.0),
            goal("an agent's memory, MB", self.agent.settled, 15.0),
        ]
    }

    fn times(&self) -> Vec<(String, &Times)> {
        let ours = self.rows.iter().flat_map(|row| {
            let what = SUBNETS.iter().find(|(name, _)| *name == row.subnet).map_or("", |(_, what)| what);
            [(format!("ADD, {what}"), &row.add), (format!("DEL, {what}"), &row.del)]
        });
        let reference = [("ADD", &self.reference_add), ("DEL", &self.reference_del)];
        let reference =
            reference.map(|(verb, times)| (format!("{verb}, reference macvlan and host-local"), times));
        ours.chain(reference).collect()
    }

    fn print(&self) {
        println!("\naddresses of the cluster{:>34}{:>12}{:>12}", "runs", "p50", "p99");
        for (what, times) in self.times() {
            let [p50, p99] = [50, 99].map(|percent| times.quantile(percent));
            println!("  {what:<52}{:>4}{p50:>9.2} ms{p99:>9.2} ms", times.count());
        }
        println!("  {BURST} ADDs, {AT_ONCE} at once, {BURST} addresses, two agents: {:.2} s", self.burst);
        println!("  the reference on one node: {:.2} s", self.reference_burst);
        for row in &self.rows {
            println!("  {}: {:?}, {} status patches", row.subnet, row.requests, row.patches);
        }
        println!("  controller {}", self.controller);
        println!("  agent {}\n", self.agent);
    }

    fn json(&self, rounds: usize, goals: &[Goal]) -> Value {
        let times: Vec<Value> = self
            .times()
            .iter()
            .map(|(what, times)| json!({"what": what, "runs": times.count(), "times": times.json()}))
            .collect();
        let requests = self.rows.iter().map(|row| {
            let Requests { creates, updates, deletes, reads } = row.requests;
            json!({"subnet": row.subnet, "creates": creates, "updates": updates, "deletes": deletes, "reads": reads,
                   "patches": row.patches})
        });
        let goals = goals.iter().map(
            |goal| json!({"what": goal.what, "value": goal.value, "at_most": goal.at_most, "holds": goal.holds()}),
        );
        let memory = |memory: Memory| json!({"settled_mb": memory.settled, "peak_mb": memory.peak});
        json!({
            "bench": "ipam", "runs": rounds, "times": times, "requests": requests.collect::<Vec<_>>(),
            "burst_s": {"llano": self.burst, "reference": self.reference_burst,
                        "spiderpool_once": SPIDERPOOL, "reference_then": SPIDERPOOLS_REFERENCE},
            "controller": memory(self.controller), "agent": memory(self.agent), "goals": goals.collect::<Vec<_>>(),
        })
    }
}

fn measure(cluster: &Cluster, rounds: usize) -> Figures {
    controller::kinds(cluster);
    agent::ensure(cluster);
    for node in NODES {
        cluster.kill(&Component::Kubelet(node.to_owned())).unwrap();
    }
    let controller = Process::controller(cluster);
    networks(cluster);
    controller.wait("llano_controller_claims{state=\"reservation\"}", 940);
    // Others' interfaces on the same parent, as on every node that has pods.
    for node in NODES {
        let standing = Stage::new(cluster, node, &format!("standing-{node}"), "empty");
        standing.llano("ADD", "standing");
    }
    let rows = alternate(cluster, rounds);
    let (burst, reference_burst) = (burst(cluster), reference_burst(cluster));
    let processes = cluster.host(NODES[0]).unwrap().processes().unwrap();
    let agent = processes.iter().find(|process| process.program == "llano").expect("an agent");
    let (rows, [reference_add, reference_del]) = rows;
    Figures {
        rows,
        reference_add,
        reference_del,
        burst,
        reference_burst,
        controller: controller.memory(),
        agent: Memory::of(agent.pid),
    }
}

/// The network with its subnets. Of one subnet the controller takes 940 addresses, three are free behind each 47.
fn networks(cluster: &Cluster) {
    let config = json!({
        "cniVersion": "1.0.0", "name": NETWORK, "type": "macvlan", "master": PARENT, "mode": "bridge", "probe": false,
        "ipam": {"type": "llano", "network": NETWORK},
    });
    cluster.apply(&definition("default", NETWORK, None, Some(&config))).unwrap();
    cluster.apply(&addresses::network(NETWORK, PARENT, &[])).unwrap();
    for (second, (name, _)) in (120..).zip(SUBNETS) {
        let mut more = json!({"ranges": [format!("10.{second}.1.0-10.{second}.4.231")]});
        if name == "resting" {
            more["reuseDelay"] = json!("1h");
        }
        cluster
            .apply(&addresses::subnet(name, NETWORK, &format!("10.{second}.0.0/16"), &more))
            .unwrap_or_else(|error| panic!("{error}"));
    }
    let tight = json!({"ranges": ["10.123.0.1-10.123.0.64"]});
    cluster.apply(&addresses::subnet("tight", NETWORK, "10.123.0.0/24", &tight)).unwrap();
    let at = |number: u32| format!("10.121.{}.{}", 1 + number / 256, number % 256);
    let ranges: Vec<String> =
        (0..20).map(|block| format!("{}-{}", at(block * 50), at(block * 50 + 46))).collect();
    let reservation = json!({
        "apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanReservation",
        "metadata": {"name": "taken", "namespace": "default"}, "spec": {"subnet": "nearly", "ranges": ranges},
    });
    cluster.apply(&reservation.to_string()).unwrap();
}

/// A pod with an address of a subnet, and its network namespace.
struct Stage<'a> {
    cluster: &'a Cluster,
    node: &'static str,
    pod: String,
    uid: String,
    netns: PathBuf,
}

impl<'a> Stage<'a> {
    fn new(cluster: &'a Cluster, node: &'static str, pod: &str, subnet: &str) -> Stage<'a> {
        let asked = json!([{"interface": "eth0", "subnet": subnet}]).to_string();
        let uid = timed::unstarted_pod(cluster, pod, node, &[(api::addresses::ADDRESSES, &asked)]);
        let netns = timed::namespace(cluster, node, pod);
        Stage { cluster, node, pod: pod.to_owned(), uid, netns }
    }

    fn llano(&self, verb: &str, id: &str) -> f64 {
        let sandbox = Sandbox { id, pod: &self.pod, uid: &self.uid, netns: &self.netns };
        timed::milliseconds(self.cluster, self.node, timed::llano(verb, sandbox, NETWORK))
    }
}

/// Each subnet and the reference in turn, on one node.
fn alternate(cluster: &Cluster, rounds: usize) -> (Vec<Row>, [Times; 2]) {
    let node = NODES[0];
    let mut stages: Vec<(Stage<'_>, Row)> = SUBNETS
        .iter()
        .map(|(subnet, _)| {
            let nothing = Requests { creates: 0, updates: 0, deletes: 0, reads: 0 };
            let (add, del) = (Times::default(), Times::default());
            let row = Row { subnet, add, del, requests: nothing, patches: 0 };
            (Stage::new(cluster, node, &format!("pod-{subnet}"), subnet), row)
        })
        .collect();
    let netns = timed::namespace(cluster, node, "reference");
    let range = json!({"subnet": "10.130.0.0/16", "rangeStart": "10.130.1.0", "rangeEnd": "10.130.4.231"});
    let mut reference = [Times::default(), Times::default()];
    for round in 0..rounds {
        for (stage, row) in &mut stages {
            let id = format!("{}-{round}", row.subnet);
            let before = Requests::now(cluster);
            let patches = patches(cluster, node);
            agent::rest(cluster, node);
            row.add.push(stage.llano("ADD", &id));
            agent::rest(cluster, node);
            row.del.push(stage.llano("DEL", &id));
            let sent = Requests::now(cluster).since(before);
            row.requests = Requests {
                creates: row.requests.creates + sent.creates,
                updates: row.requests.updates + sent.updates,
                deletes: row.requests.deletes + sent.deletes,
                reads: row.requests.reads + sent.reads,
            };
            row.patches += self::patches(cluster, node) - patches;
        }
        for (verb, times) in ["ADD", "DEL"].into_iter().zip(&mut reference) {
            let call = timed::reference(verb, &format!("r{round}"), &netns, ("reference", "eth0"), &range);
            times.push(timed::milliseconds(cluster, node, call));
        }
    }
    (stages.into_iter().map(|(_, row)| row).collect(), reference)
}

fn patches(cluster: &Cluster, node: &str) -> u64 {
    let metrics = agent::page(cluster, node, "metrics").expect("an agent that serves");
    find(&metrics, "llano_status_writes_total").expect("the counter")
}

/// Seconds until all have their addresses, half of them on each node. Then they give them back.
fn burst(cluster: &Cluster) -> f64 {
    let stage = |at: usize| Stage::new(cluster, NODES[at % NODES.len()], &format!("burst{at}"), "tight");
    let stages: Vec<Stage<'_>> = (0..BURST).map(stage).collect();
    NODES.iter().for_each(|node| agent::rest(cluster, node));
    let took = all(|at| {
        stages[at].llano("ADD", &stages[at].pod);
    });
    let taken: Vec<_> = addresses::active(cluster).into_iter().filter(|one| one.subnet == "tight").collect();
    assert_eq!(taken.len(), BURST, "claims of the full subnet");
    all(|at| {
        stages[at].llano("DEL", &stages[at].pod);
    });
    took.as_secs_f64()
}

/// The same by the reference plugins, whose leases are one node's.
fn reference_burst(cluster: &Cluster) -> f64 {
    let node = NODES[0];
    let netns: Vec<PathBuf> =
        (0..BURST).map(|at| timed::namespace(cluster, node, &format!("reference{at}"))).collect();
    let range = json!({"subnet": "10.131.0.0/24", "rangeStart": "10.131.0.1", "rangeEnd": "10.131.0.64",
                       "gateway": "10.131.0.254"});
    let call = |verb: &str, at: usize| {
        let (id, names) = (format!("burst{at}"), ("reference-burst", "eth0"));
        timed::milliseconds(cluster, node, timed::reference(verb, &id, &netns[at], names, &range));
    };
    let took = all(|at| call("ADD", at));
    all(|at| call("DEL", at));
    took.as_secs_f64()
}

/// Does something for each of a burst, as many at a time as there may be.
fn all(work: impl Fn(usize) + Sync) -> Duration {
    let (next, started) = (AtomicUsize::new(0), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    match next.fetch_add(1, Ordering::Relaxed) {
                        at if at < BURST => work(at),
                        _ => break,
                    }
                }
            });
        }
    });
    started.elapsed()
}
