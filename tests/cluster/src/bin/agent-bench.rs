//! Pods by way of the plugin, the agent and a real API server: `agent-bench FLOOR ROUNDS [--json]`, called by `cargo xtask bench agent`.
//!
//! Kubelet is stopped once the node is there, so that the pods are only what the API server has of them, and every call is ours.
//! Another pod stands on all networks meanwhile, as on every node that has pods. Before each time is taken, the events are gone.

// It ends where it cannot go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cluster::{Cluster, ClusterSpec, Component, Containerd};
use cluster_tests::agent;
use cluster_tests::networks::{NETWORKS, PARENT, macvlan_of};
use cluster_tests::process::{Memory, find};
use cluster_tests::timed::{self, Sandbox, Times};
use serde_json::{Value, json};

const NODE: &str = "node1";
/// Of a pod: the cluster network's and the extra ones.
const MACVLANS: [usize; 4] = [1, 2, 3, 4];
/// What Multus needs for the cluster network and one or three extra ones, in ms: thin v4.3 with the reference plugins, on this
/// cluster and this kind of machine, measured once; the module is not served, so that it cannot take part. The reference plugins
/// do: it runs them one after another, and cannot be faster than they are.
const MULTUS: [(usize, f64, f64); 2] = [(2, 56.8, 71.9), (4, 92.5, 118.3)];
/// Pods of a full node, and each one's macvlans.
const FULL: usize = 110;
const FULL_MACVLANS: usize = 3;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [floor, rounds, rest @ ..] = args.as_slice() else { panic!("agent-bench FLOOR ROUNDS [--json]") };
    let rounds: usize = rounds.parse().expect("ROUNDS");
    let name = format!("t{}", std::process::id());
    let spec = ClusterSpec::new(1, Containerd::default()).expect("a cluster of one node");
    let cluster = Cluster::up(spec, &name, &mut |what| eprintln!("cluster: {what}"))
        .unwrap_or_else(|error| panic!("{error}"));
    let measured = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Bench::new(&cluster, PathBuf::from(floor)).measure(rounds)
    }));
    drop(cluster);
    Cluster::down(&name).unwrap_or_else(|error| panic!("{error}"));
    let Ok((shapes, full)) = measured else { std::process::exit(1) };
    if rest.iter().any(|arg| arg == "--json") {
        let shapes: Vec<Value> = shapes.iter().map(Shape::json).collect();
        println!(
            "{:#}",
            json!({"bench": "agent-cluster", "runs": rounds, "shapes": shapes, "full": full.json()})
        );
    } else {
        shapes.iter().for_each(Shape::print);
        full.print();
    }
}

/// What pods of so many macvlans took.
struct Shape {
    macvlans: usize,
    /// Plugin, agent and API server.
    add: Times,
    /// Without what the ADD waited for the API server.
    without_api: Times,
    del: Times,
    floor_add: Times,
    floor_del: Times,
    /// The reference plugins one after another, without anybody who calls them.
    reference_add: Times,
    reference_del: Times,
    /// Requests to the API server in all ADDs and DELs: patches, and reads.
    patches: u64,
    reads: u64,
}

impl Shape {
    fn rows(&self) -> [(&'static str, &Times); 7] {
        [
            ("ADD", &self.add),
            ("ADD without the API server", &self.without_api),
            ("ADD, floor", &self.floor_add),
            ("ADD, reference plugins alone", &self.reference_add),
            ("DEL", &self.del),
            ("DEL, floor", &self.floor_del),
            ("DEL, reference plugins alone", &self.reference_del),
        ]
    }

    fn multus(&self) -> Option<(f64, f64)> {
        MULTUS.iter().find(|(macvlans, ..)| *macvlans == self.macvlans).map(|(_, add, del)| (*add, *del))
    }

    fn print(&self) {
        let number = self.add.count();
        println!("\npods with {} macvlans, {number} of each{:>15}{:>10}", self.macvlans, "p50", "p99");
        for (name, times) in self.rows() {
            println!("  {name:<36}{:>8.2} ms{:>7.2} ms", times.quantile(50), times.quantile(99));
        }
        if let Some((add, del)) = self.multus() {
            println!("  Multus, measured once                ADD {add} ms, DEL {del} ms");
            let times = [(add, &self.add), (del, &self.del)].map(|(multus, ours)| multus / ours.quantile(50));
            println!("  times as fast as that                ADD {:.1}, DEL {:.1}", times[0], times[1]);
        }
        let [add, del] = [(&self.reference_add, &self.add), (&self.reference_del, &self.del)]
            .map(|(reference, ours)| reference.quantile(50) / ours.quantile(50));
        println!("  times as fast as the reference plugins ADD {add:.1}, DEL {del:.1}");
        println!("  requests: {} patches, {} reads in {number} ADDs and DELs", self.patches, self.reads);
    }

    fn json(&self) -> Value {
        let mut rows: serde_json::Map<String, Value> =
            self.rows().iter().map(|(name, times)| ((*name).to_owned(), times.json())).collect();
        rows.insert("macvlans".to_owned(), json!(self.macvlans));
        rows.insert("patches".to_owned(), json!(self.patches));
        rows.insert("reads".to_owned(), json!(self.reads));
        if let Some((add, del)) = self.multus() {
            rows.insert("multus_ms".to_owned(), json!({"ADD": add, "DEL": del}));
        }
        Value::Object(rows)
    }
}

/// The agent of a node that is full.
struct Full(Memory);

impl Full {
    fn print(&self) {
        println!("\nthe agent with {FULL} pods of {FULL_MACVLANS} macvlans");
        println!("  {}", self.0);
    }

    fn json(&self) -> Value {
        let [settled, peak] = [self.0.settled, self.0.peak].map(|mb| (mb * 1024.0).round());
        json!({"pods": FULL, "macvlans": FULL_MACVLANS, "rss_kb": settled, "peak_kb": peak})
    }
}

struct Bench<'a> {
    cluster: &'a Cluster,
    floor: PathBuf,
}

impl Bench<'_> {
    fn new(cluster: &Cluster, floor: PathBuf) -> Bench<'_> {
        agent::ensure(cluster);
        cluster.kill(&Component::Kubelet(NODE.to_owned())).unwrap();
        for (at, name) in networks().iter().enumerate() {
            cluster.apply(&macvlan_of(name, &format!("10.{}.0.0/16", 80 + at))).unwrap();
        }
        Bench { cluster, floor }
    }

    fn measure(&self, rounds: usize) -> (Vec<Shape>, Full) {
        let (uid, netns) = (self.pod("standing", networks().len()), self.namespace("standing"));
        self.plugin("ADD", "standing", "standing", &uid, &netns);
        let shapes = MACVLANS.iter().map(|macvlans| self.shape(*macvlans, rounds)).collect();
        (shapes, self.full())
    }

    fn shape(&self, macvlans: usize, rounds: usize) -> Shape {
        let name = format!("pod{macvlans}");
        let uid = self.pod(&name, macvlans);
        let ours = self.namespace(&name);
        let [floor, reference] = ["floor", "reference"].map(|who| self.namespace(&format!("{name}-{who}")));
        let mut shape = Shape {
            macvlans,
            add: Times::default(),
            without_api: Times::default(),
            del: Times::default(),
            floor_add: Times::default(),
            floor_del: Times::default(),
            reference_add: Times::default(),
            reference_del: Times::default(),
            patches: 0,
            reads: 0,
        };
        let before = self.counters();
        for round in 0..rounds {
            let id = format!("{name}-{round}");
            self.rest();
            let waited = self.counters().status_seconds;
            let whole = self.plugin("ADD", &id, &name, &uid, &ours);
            let waited = (self.counters().status_seconds - waited) * 1000.0;
            shape.add.push(whole);
            shape.without_api.push(whole - waited);
            self.rest();
            shape.del.push(self.plugin("DEL", &id, &name, &uid, &ours));
            shape.floor_add.push(self.floor("add", round, macvlans, &floor));
            shape.floor_del.push(self.floor("del", round, macvlans, &floor));
            shape.reference_add.push(self.reference("ADD", &id, macvlans, &reference));
            shape.reference_del.push(self.reference("DEL", &id, macvlans, &reference));
        }
        let after = self.counters();
        shape.patches = after.patches - before.patches;
        shape.reads = after.reads - before.reads;
        shape
    }

    /// A pod with so many macvlans; its UID.
    fn pod(&self, name: &str, macvlans: usize) -> String {
        let extra = networks()[1..macvlans].join(",");
        timed::unstarted_pod(self.cluster, name, NODE, &[(NETWORKS, &extra)])
    }

    fn namespace(&self, name: &str) -> PathBuf {
        timed::namespace(self.cluster, NODE, name)
    }

    /// Milliseconds from the start of the plugin to its end.
    fn plugin(&self, verb: &str, id: &str, pod: &str, uid: &str, netns: &Path) -> f64 {
        let call = timed::llano(verb, Sandbox { id, pod, uid, netns }, "lan");
        timed::milliseconds(self.cluster, NODE, call)
    }

    /// The same interfaces by nothing but kernel calls, all in one process.
    fn floor(&self, verb: &str, round: usize, macvlans: usize, netns: &Path) -> f64 {
        let mut command = Command::new(&self.floor);
        command.arg(verb);
        for at in 0..macvlans {
            if at > 0 {
                command.arg(",");
            }
            command.arg(netns).arg(format!("floor{at}")).arg(format!("floor-{round}"));
            command.arg(format!("/var/lib/cni/floor{at}")).arg(PARENT);
            command.arg(format!("10.{}.1.{}", 90 + at, round % 200 + 10));
        }
        for at in 0..macvlans {
            std::fs::create_dir_all(self.cluster.on_disk(NODE, &format!("/var/lib/cni/floor{at}"))).unwrap();
        }
        timed::milliseconds(self.cluster, NODE, (command, String::new()))
    }

    /// The reference plugins, one interface after another, on networks of their own.
    fn reference(&self, verb: &str, id: &str, macvlans: usize, netns: &Path) -> f64 {
        let one = |at: usize| {
            let (network, ifname) = (format!("reference{at}"), format!("net{at}"));
            let range = json!({"subnet": format!("10.{}.0.0/16", 100 + at)});
            let call = timed::reference(verb, id, netns, (&network, &ifname), &range);
            timed::milliseconds(self.cluster, NODE, call)
        };
        (0..macvlans).map(one).sum()
    }

    fn rest(&self) {
        agent::rest(self.cluster, NODE);
    }

    /// As many pods as a node may have, and the agent's memory when it has made all their interfaces and rests.
    fn full(&self) -> Full {
        agent::kill(self.cluster, NODE);
        agent::start(self.cluster, NODE);
        let pods: Vec<(String, String, PathBuf)> = (0..FULL)
            .map(|at| {
                let name = format!("full{at}");
                (name.clone(), self.pod(&name, FULL_MACVLANS), self.namespace(&name))
            })
            .collect();
        for (name, uid, netns) in &pods {
            self.plugin("ADD", name, name, uid, netns);
        }
        self.rest();
        std::thread::sleep(Duration::from_secs(5));
        let processes = self.cluster.host(NODE).unwrap().processes().unwrap();
        let agent = processes.iter().find(|process| process.program == "llano").expect("an agent");
        let full = Full(Memory::of(agent.pid));
        for (name, uid, netns) in &pods {
            self.plugin("DEL", name, name, uid, netns);
        }
        full
    }

    fn metrics(&self) -> String {
        agent::page(self.cluster, NODE, "metrics").expect("an agent that serves")
    }

    fn counters(&self) -> Counters {
        let text = self.metrics();
        let count =
            |verb: &str| metric::<u64>(&text, &format!("llano_api_requests_total{{verb=\"{verb}\"}}"));
        Counters {
            status_seconds: metric(&text, "llano_status_write_seconds_total"),
            patches: metric(&text, "llano_status_writes_total"),
            reads: count("get") + count("list"),
        }
    }
}

struct Counters {
    status_seconds: f64,
    patches: u64,
    reads: u64,
}

fn metric<T: std::str::FromStr>(text: &str, name: &str) -> T {
    find(text, name).unwrap_or_else(|| panic!("no {name} in {text}"))
}

fn networks() -> [&'static str; 4] {
    ["lan", "extra1", "extra2", "extra3"]
}
