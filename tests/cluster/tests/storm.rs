//! Hundreds of pods, and everything that can die dies meanwhile: nothing is leaked, nothing is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster::{Cluster, ClusterSpec, Component};
use cluster_tests::networks::{Footprint, NETWORKS, leases, macvlan_of, replicas};
use cluster_tests::{agent, on, run};

/// Pods of each node, unless the environment says another number: a busy machine takes its time for each.
const PODS: u32 = 100;
const PODS_VARIABLE: &str = "LLANO_STORM_PODS";
/// A pod's start or end on two cores, times the number of pods.
const PATIENCE: Duration = Duration::from_secs(900);
const NODES: [&str; 2] = ["node1", "node2"];
/// Agents killed in a storm.
const KILLS: usize = 50;
/// How long the API server is away.
const OUTAGE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    run(
        ClusterSpec::default(),
        &[
            ("a_hundred_pods_on_each_node_with_one_macvlan", one),
            ("a_hundred_pods_on_each_node_with_three_macvlans", three),
            ("agents_are_killed_while_pods_come_and_go", agents_killed),
            ("containerd_kubelet_and_api_server_die_while_pods_come_and_go", others_killed),
        ],
    )
}

fn pods() -> u32 {
    let set = std::env::var(PODS_VARIABLE).ok();
    set.map_or(PODS, |text| text.parse().unwrap_or_else(|error| panic!("{PODS_VARIABLE}: {text}: {error}")))
}

fn ready(cluster: &Cluster) -> Vec<Footprint> {
    agent::ensure(cluster);
    for (at, node) in NODES.iter().enumerate() {
        cluster.apply(&macvlan_of(node, &format!("10.7{at}.0.0/16"))).unwrap();
    }
    NODES.iter().map(|node| Footprint::of(cluster, node)).collect()
}

fn create(cluster: &Cluster, networks: usize) {
    for node in NODES {
        let annotation = vec![node; networks].join(",");
        cluster.apply(&replicas(node, node, pods(), &[(NETWORKS, &annotation)])).unwrap();
    }
}

fn all_ready(cluster: &Cluster, networks: usize) {
    for node in NODES {
        let (name, timeout) = (format!("deployment/{node}"), format!("--timeout={}s", PATIENCE.as_secs()));
        cluster
            .kubectl_output(["rollout", "status", &name, &timeout])
            .unwrap_or_else(|error| panic!("{error}"));
        let expected = pods() as usize * networks;
        // What a failed attempt had is given back a moment after the pod is ready at last.
        let settled = || {
            let of_node = leases(cluster, node).iter().filter(|lease| lease.starts_with(node)).count();
            Ok((of_node == expected).then_some(()))
        };
        Cluster::wait(&format!("{expected} addresses on {node}"), PATIENCE, settled)
            .unwrap_or_else(|error| panic!("{error}: {}", leases(cluster, node).len()));
    }
}

fn delete(cluster: &Cluster) {
    let timeout = format!("--timeout={}s", PATIENCE.as_secs());
    let args = ["delete", "deployment", NODES[0], NODES[1], "--cascade=foreground", &timeout];
    cluster.kubectl_output(args).unwrap_or_else(|error| panic!("{error}"));
}

/// Kernel, lease directories and the agents' stores are as they were.
fn nothing_left(cluster: &Cluster, before: &[Footprint]) {
    for (node, before) in NODES.iter().zip(before) {
        let clean = || Ok((Footprint::of(cluster, node) == *before).then_some(()));
        Cluster::wait(&format!("{node} as before"), PATIENCE, clean).unwrap_or_else(|error| {
            panic!("{error}: {:#?} instead of {before:#?}", Footprint::of(cluster, node))
        });
        let empty = || Ok(agent::attachments(cluster, node).filter(|count| *count == 0));
        Cluster::wait(&format!("the store of {node} empty"), PATIENCE, empty)
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

fn round(cluster: &Cluster, networks: usize) {
    let before = ready(cluster);
    let started = Instant::now();
    create(cluster, networks);
    all_ready(cluster, networks);
    println!(
        "{} pods on each node with {networks} macvlans: ready in {:.0} s",
        pods(),
        started.elapsed().as_secs_f64()
    );
    let started = Instant::now();
    delete(cluster);
    nothing_left(cluster, &before);
    println!("gone in {:.0} s", started.elapsed().as_secs_f64());
}

fn one(cluster: &mut Cluster) {
    round(cluster, 1);
}

fn three(cluster: &mut Cluster) {
    round(cluster, 3);
}

/// Does `chaos` on a thread of its own while pods are made and deleted.
fn while_pods_come_and_go(cluster: &Cluster, chaos: impl Fn(&AtomicBool) + Send + Sync) {
    let before = ready(cluster);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let chaos = scope.spawn(|| chaos(&over));
        create(cluster, 3);
        all_ready(cluster, 3);
        delete(cluster);
        over.store(true, Ordering::Relaxed);
        chaos.join().expect("the chaos has an end");
    });
    agent::ensure(cluster);
    nothing_left(cluster, &before);
}

fn agents_killed(cluster: &mut Cluster) {
    let cluster = &*cluster;
    while_pods_come_and_go(cluster, |over| {
        let mut random = Random(0x5eed);
        let mut kills = 0;
        while kills < KILLS && !over.load(Ordering::Relaxed) {
            // The moment is what is varied here; nothing waits for it.
            std::thread::sleep(Duration::from_millis(100 + random.below(2000)));
            let node = if random.below(2) == 0 { NODES[0] } else { NODES[1] };
            agent::kill(cluster, node);
            agent::spawn(cluster, node);
            kills += 1;
        }
        println!("agents killed {kills} times");
    });
}

fn others_killed(cluster: &mut Cluster) {
    let cluster = &*cluster;
    while_pods_come_and_go(cluster, |_| {
        let again = |component: &Component| {
            cluster.kill(component).unwrap();
            cluster.start(component).unwrap();
        };
        for node in NODES {
            std::thread::sleep(Duration::from_secs(3));
            again(&Component::Containerd(node.to_owned()));
            let kubelet = Component::Kubelet(node.to_owned());
            cluster.kill(&kubelet).unwrap();
            // It ends when containerd is not ready yet; on a machine systemd starts it again, here this does.
            let healthy = || {
                let _ = cluster.start(&kubelet);
                Ok(on(cluster, node, &["curl", "-sf", "http://127.0.0.1:10248/healthz"]).ok())
            };
            Cluster::wait(&format!("the kubelet of {node}"), PATIENCE, healthy).unwrap();
        }
        cluster.kill(&Component::ApiServer).unwrap();
        std::thread::sleep(OUTAGE);
        cluster.start(&Component::ApiServer).unwrap();
    });
}

/// A small generator of numbers that are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
