//! Hundreds of pods, and everything that can die dies meanwhile: nothing is leaked, nothing is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster::{Cluster, ClusterSpec, Component};
use cluster_tests::networks::{Footprint, NETWORKS, interfaces_of, leases, macvlan_of, replicas};
use cluster_tests::{agent, on, run, size};

/// A pod's start or end on two cores, times the number of pods.
const PATIENCE: Duration = Duration::from_secs(900);
/// Between two looks: hundreds of pods share the machine with whoever looks.
const GRAIN: Duration = Duration::from_secs(1);
const NODES: [&str; 2] = ["node1", "node2"];

fn main() -> ExitCode {
    run(
        ClusterSpec::default(),
        &[
            ("pods_with_one_macvlan_while_containerd_kubelet_and_the_api_server_die", others_killed),
            ("pods_with_three_macvlans_while_agents_are_killed_again_and_again", agents_killed),
        ],
    )
}

/// Pods of each node.
fn pods() -> usize {
    size(20, 100)
}

/// Agents killed in a storm.
fn kills_of_agents() -> usize {
    size(12, 50)
}

/// How long the API server is away, each time.
fn outage() -> Duration {
    Duration::from_secs(size(20, 60))
}

/// Looks again and again; also when looking fails, as it does while the API server is away.
fn wait<T>(what: &str, mut look: impl FnMut() -> cluster::Result<Option<T>>) -> cluster::Result<T> {
    Cluster::wait(what, PATIENCE, || {
        assert!(
            !BROKEN.load(Ordering::Relaxed),
            "waits for {what} no longer: who kills has failed, see above"
        );
        let found = look();
        if !matches!(found, Ok(Some(_))) {
            std::thread::sleep(GRAIN);
        }
        found
    })
}

fn until<T>(what: &str, look: impl FnMut() -> cluster::Result<Option<T>>) -> T {
    wait(what, look).unwrap_or_else(|error| panic!("{error}"))
}

fn kubectl(cluster: &Cluster, args: &[&str]) -> String {
    until(&format!("kubectl {}", args.join(" ")), || cluster.kubectl_output(args).map(Some))
}

fn ready(cluster: &Cluster) -> Vec<Footprint> {
    BROKEN.store(false, Ordering::Relaxed);
    agent::ensure(cluster);
    for (at, node) in NODES.iter().enumerate() {
        cluster.apply(&macvlan_of(node, &format!("10.7{at}.0.0/16"))).unwrap();
    }
    NODES.iter().map(|node| Footprint::of(cluster, node)).collect()
}

/// Somebody who kills has failed, and what was killed stays dead: nothing becomes ready any more.
static BROKEN: AtomicBool = AtomicBool::new(false);

/// Does what a thread beside the pods' doings has to do.
fn kills(work: impl FnOnce()) {
    struct Watch;
    impl Drop for Watch {
        fn drop(&mut self) {
            BROKEN.store(std::thread::panicking(), Ordering::Relaxed);
        }
    }
    let _watch = Watch;
    work();
}

/// The addresses that are given out on a node for the storm's pods.
fn given(cluster: &Cluster, node: &str) -> Vec<String> {
    let all = leases(cluster, node);
    let of_node = all.iter().filter_map(|lease| lease.strip_prefix(node)?.strip_prefix('/'));
    of_node.map(str::to_owned).collect()
}

/// Waits until so many addresses are given out, or as few, on both nodes together. False when `over` comes first.
fn given_out(cluster: &Cluster, enough: impl Fn(usize) -> bool, over: &AtomicBool) -> bool {
    let all = || NODES.iter().map(|node| given(cluster, node).len()).sum();
    until("the number of addresses", || {
        if over.load(Ordering::Relaxed) {
            return Ok(Some(false));
        }
        Ok(enough(all()).then_some(true))
    })
}

fn create(cluster: &Cluster, networks: usize) {
    let started = Instant::now();
    for node in NODES {
        let annotation = vec![node; networks].join(",");
        let deployment = replicas(node, node, u32::try_from(pods()).unwrap(), &[(NETWORKS, &annotation)]);
        until("the deployment", || cluster.apply(&deployment).map(Some));
    }
    for node in NODES {
        kubectl(cluster, &["rollout", "status", &format!("deployment/{node}"), "--timeout=20s"]);
        // What a failed attempt had is given back a moment after the pod is ready at last.
        let (mut promised, mut given_out) = (Vec::new(), Vec::new());
        let settled = || {
            given_out = given(cluster, node);
            if given_out.len() != pods() * networks {
                return Ok(None);
            }
            promised = promises(cluster, node)?;
            Ok((given_out == promised).then_some(()))
        };
        wait(&format!("the pods of {node} to have what is given out"), settled)
            .unwrap_or_else(|error| panic!("{error}: they have {promised:?}, given out are {given_out:?}"));
    }
    println!(
        "{} pods on each node with {networks} macvlans: ready in {:.0} s",
        pods(),
        started.elapsed().as_secs_f64()
    );
}

/// The addresses that the pods of a node have on its network by their status annotation.
fn promises(cluster: &Cluster, node: &str) -> cluster::Result<Vec<String>> {
    let mut all: Vec<String> = interfaces_of(cluster, node)?
        .into_iter()
        .filter(|interface| interface.network.ends_with(node))
        .map(|interface| interface.address)
        .collect();
    all.sort();
    Ok(all)
}

/// Deletes all, until kernel, lease directories and the agents' stores are as they were by `look`.
fn delete(cluster: &Cluster, before: &[Footprint], look: impl Fn(&str) -> Footprint) {
    let started = Instant::now();
    let deployments = [NODES[0], NODES[1], "--cascade=foreground", "--ignore-not-found", "--timeout=20s"];
    kubectl(cluster, &[&["delete", "deployment"], &deployments[..]].concat());
    for (node, before) in NODES.iter().zip(before) {
        let mut now = None;
        let clean = || {
            now = Some(look(node));
            Ok((now.as_ref() == Some(before)).then_some(()))
        };
        wait(&format!("{node} as before"), clean)
            .unwrap_or_else(|error| panic!("{error}: {now:#?} instead of {before:#?}"));
        let empty = || Ok(agent::attachments(cluster, node).filter(|count| *count == 0));
        until(&format!("the store of {node} empty"), empty);
    }
    println!("gone in {:.0} s", started.elapsed().as_secs_f64());
}

/// A thread that kills agents at random moments until it has killed enough, while pods come and go in waves.
fn agents_killed(cluster: &mut Cluster) {
    let cluster = &*cluster;
    let before = ready(cluster);
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            kills(|| {
                let mut random = Random(0x5eed);
                for _ in 0..kills_of_agents() {
                    // The moment is what is varied here; nothing waits for it.
                    std::thread::sleep(Duration::from_millis(100 + random.below(2000)));
                    let node = if random.below(2) == 0 { NODES[0] } else { NODES[1] };
                    agent::kill(cluster, node);
                    agent::spawn(cluster, node);
                }
            });
        });
        let mut waves = 0;
        while waves == 0 || !killer.is_finished() {
            create(cluster, 3);
            delete(cluster, &before, |node| Footprint::of(cluster, node));
            waves += 1;
        }
        killer.join().expect("every agent that is killed was there");
        println!("agents killed {} times in {waves} waves of pods", kills_of_agents());
    });
}

/// Tells whoever waits for the pods' doings that these are over, also when they failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn others_killed(cluster: &mut Cluster) {
    let cluster = &*cluster;
    ready(cluster);
    let look = |node: &str| Footprint::of(cluster, node).without_empty_namespaces(cluster, node);
    let before = NODES.map(look);
    let (all, made) = (2 * pods(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            kills(|| {
                for (node, part) in NODES.iter().zip([8, 4]) {
                    assert!(given_out(cluster, |count| count >= all / part, &made), "{node} died too late");
                    runtime_dies(cluster, node);
                }
                assert!(
                    given_out(cluster, |count| count >= all / 2, &made),
                    "the API server was away too late"
                );
                api_server_away(cluster);
            });
        });
        let _over = Over(&made);
        create(cluster, 1);
    });
    let gone = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            kills(|| {
                let enough = given_out(cluster, |count| count <= all - all / 8, &gone);
                assert!(enough, "the API server was away too late");
                api_server_away(cluster);
                for node in NODES {
                    runtime_dies(cluster, node);
                }
            });
        });
        let _over = Over(&gone);
        delete(cluster, &before, look);
    });
}

/// A node's containerd and kubelet are killed and start again.
fn runtime_dies(cluster: &Cluster, node: &str) {
    let containerd = Component::Containerd(node.to_owned());
    let kubelet = Component::Kubelet(node.to_owned());
    cluster.kill(&containerd).unwrap();
    cluster.kill(&kubelet).unwrap();
    cluster.start(&containerd).unwrap();
    // It ends when containerd is not ready yet; on a machine systemd starts it again, here this does.
    until(&format!("the kubelet of {node}"), || {
        let _ = cluster.start(&kubelet);
        Ok(on(cluster, node, &["curl", "-sf", "http://127.0.0.1:10248/healthz"]).ok())
    });
    println!("containerd and kubelet of {node} died");
}

fn api_server_away(cluster: &Cluster) {
    cluster.kill(&Component::ApiServer).unwrap();
    std::thread::sleep(outage());
    cluster.start(&Component::ApiServer).unwrap();
    println!("the API server was away for {} s", outage().as_secs());
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
