//! Pods with addresses come and go while everything around them dies, is cut off, or has a wrong clock. Afterwards the claims are
//! what pods really have.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cluster::{Cluster, ClusterSpec, Component};
use cluster_tests::addresses_keeping::{
    ADDRESSES, ALONE, BESIDE, LONG, NETWORK, PREFIX, apply, bare, delete, kubectl, ready, rolled_out,
    running, subnet, until_claims, workload,
};
use cluster_tests::interfaces::{Has, agreed};
use cluster_tests::wire::{UPLINKS, plug};
use cluster_tests::{PATIENCE, addresses, controller, on, pods_of, run, size};
use serde_json::{Value, json};
use vm_tests::random::{Random, seed};

const NODES: [&str; 2] = ["node1", "node2"];
/// Most pods of the Deployment, of the StatefulSet, and bare ones.
const MOST: u64 = 8;
/// So many of each workload are there at the end.
const LEFT: usize = 4;
/// More addresses than pods can come, also when each rests for an hour because of a wrong clock.
const CIDR: &str = "10.62.128.0/22";
const ASKED: (&str, &str) = (ADDRESSES, r#"{"subnet": "chaos"}"#);
/// What agents and controllers read at their start.
const OFFSET: &str = "LLANO_CLOCK_OFFSET";

fn main() -> ExitCode {
    let name = "claims_are_what_pods_have_after_minutes_in_which_everything_dies";
    run(ClusterSpec::default(), &[(name, chaos)])
}

/// So long it goes on.
fn time() -> Duration {
    Duration::from_secs(size(60, 600))
}

fn chaos(cluster: &mut Cluster) {
    let cluster = &*cluster;
    ready(cluster);
    subnet(cluster, "chaos", CIDR, &json!({"reuseDelay": "5s"}));
    apply(cluster, &workload("Deployment", "web", LEFT, &[ALONE, ASKED]));
    apply(cluster, &workload("StatefulSet", "db", LEFT, &[BESIDE, ASKED]));
    let (seed, end) = (seed("chaos"), Instant::now() + time());
    std::thread::scope(|scope| {
        let breaker = scope.spawn(move || break_things(cluster, Random::new(seed), end));
        use_pods(cluster, Random::new(!seed), end);
        breaker.join().expect("what was broken is mended");
    });
    quiet_down(cluster);

    let has = agreed(cluster, NETWORK, PREFIX, &every_address(), LONG);
    assert_eq!(whose(&has), asking(cluster), "each pod has an address, and nobody else");
    // What is held rests, or is in quarantine: it ends by itself. Nothing is kept for pods that have another address.
    until_claims(cluster, "chaos", 0, |spec| !spec["hold"].is_null() && spec["hold"]["until"].is_null());

    for (object, app) in [("deployment/web", "web"), ("statefulset/db", "db")] {
        delete(cluster, object, app);
    }
    kubectl(cluster, &["delete", "pod", "-l", "app=bare", "--timeout=300s"]);
    let left = agreed(cluster, NETWORK, PREFIX, &every_address(), LONG);
    assert!(left.is_empty(), "{left:#?}");
    println!("held at the end: {:?}", addresses::held(cluster));
}

fn every_address() -> Vec<Ipv4Addr> {
    let first = u32::from(Ipv4Addr::new(10, 62, 128, 0));
    (1..1023).map(|number| Ipv4Addr::from(first + number)).collect()
}

/// `NAMESPACE/NAME`, UID and node of the pods that have an interface.
fn whose(has: &BTreeSet<Has>) -> Vec<[String; 3]> {
    let mut all: Vec<_> = has.iter().map(|one| [&one.pod, &one.uid, &one.node].map(Clone::clone)).collect();
    all.sort();
    all
}

/// The same of the pods that ask for one.
fn asking(cluster: &Cluster) -> Vec<[String; 3]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |pod: &Value| {
        let meta = &pod["metadata"];
        let name = format!("{}/{}", text(&meta["namespace"]), text(&meta["name"]));
        [name, text(&meta["uid"]), text(&pod["spec"]["nodeName"])]
    };
    let pods = addresses::objects(cluster, "pods");
    let mut all: Vec<_> =
        pods.iter().filter(|pod| !pod["metadata"]["annotations"][ADDRESSES].is_null()).map(of).collect();
    all.sort();
    all
}

/// `kubectl` while the API server may be away. What it printed.
fn attempt(cluster: &Cluster, args: &[&str]) -> Option<String> {
    cluster.kubectl_output(["--request-timeout=10s"].iter().chain(args)).ok()
}

/// What people do, at most once a second: more pods, fewer pods, other pods.
fn use_pods(cluster: &Cluster, mut random: Random, end: Instant) {
    let (mut made, mut bare_pods) = (0, Vec::new());
    while Instant::now() < end {
        sleep(Duration::from_millis(1000 + random.below(3000)));
        let workload = if random.below(2) == 0 { "deployment/web" } else { "statefulset/db" };
        match random.below(8) {
            0 => {
                let replicas = format!("--replicas={}", 1 + random.below(MOST));
                attempt(cluster, &["scale", workload, &replicas]);
            }
            1 => drop(attempt(cluster, &["rollout", "restart", workload])),
            2 => delete_one(cluster, workload, &mut random, &[]),
            3 => delete_one(cluster, workload, &mut random, &["--force", "--grace-period=0"]),
            4 | 5 if !bare_pods.is_empty() => {
                let at = usize::try_from(random.below(bare_pods.len() as u64)).unwrap();
                let name: String = bare_pods.swap_remove(at);
                if attempt(cluster, &["delete", "pod", &name, "--wait=false"]).is_none() {
                    bare_pods.push(name);
                }
            }
            _ if (bare_pods.len() as u64) < MOST => {
                let name = format!("bare-{made}");
                made += 1;
                // One of which the answer was lost may be there all the same, and stays to the end.
                if cluster.apply(&bare(&name, "bare", &[BESIDE, ASKED]).to_string()).is_ok() {
                    bare_pods.push(name);
                }
            }
            _ => {}
        }
    }
    println!("{made} bare pods were made");
}

/// Deletes one of a workload's pods.
fn delete_one(cluster: &Cluster, workload: &str, random: &mut Random, how: &[&str]) {
    let app = workload.rsplit('/').next().unwrap_or_default();
    let names = attempt(cluster, &["get", "pods", "-l", &format!("app={app}"), "-o", "name"]);
    let names: Vec<String> = names.unwrap_or_default().lines().map(str::to_owned).collect();
    if !names.is_empty() {
        let name = &names[usize::try_from(random.below(names.len() as u64)).unwrap()];
        attempt(cluster, &[&["delete", name, "--wait=false"], how].concat());
    }
}

/// What is broken, one after the other; each mends it before it ends.
type Break = fn(&Cluster, &mut Random);
const BREAKS: [(&str, Break); 6] = [
    ("all of Llano on a node is killed", llano_dies),
    ("the controller that leads is deleted", leader_dies),
    ("the API server is away", api_server_away),
    ("a kubelet is away", kubelet_away),
    ("a node is cut off", node_cut_off),
    ("clocks are wrong", wrong_clocks),
];

/// In random order, but none a second time before each had its turn.
fn break_things(cluster: &Cluster, mut random: Random, end: Instant) {
    let (started, mut left) = (Instant::now(), Vec::new());
    while Instant::now() < end {
        sleep(Duration::from_secs(2 + random.below(10)));
        if left.is_empty() {
            left = BREAKS.to_vec();
        }
        let (what, work) = left.swap_remove(usize::try_from(random.below(left.len() as u64)).unwrap());
        println!("{:>4} s: {what}", started.elapsed().as_secs());
        work(cluster, &mut random);
    }
}

fn node(random: &mut Random) -> &'static str {
    NODES[usize::from(random.below(2) == 1)]
}

/// The agent, and the controller if one is there. Their pods are made anew: one whose program dies often is started ever later.
fn llano_dies(cluster: &Cluster, random: &mut Random) {
    let node = node(random);
    let ended = cluster.host(node).unwrap().kill(&["llano"]).unwrap_or_else(|error| panic!("{error}"));
    println!("        {ended} on {node}");
    let selector = format!("--field-selector=spec.nodeName={node}");
    let words = ["-n", "llano", "delete", "pods", &selector, "--force", "--grace-period=0", "--wait=false"];
    attempt(cluster, &words);
}

fn leader_dies(cluster: &Cluster, _: &mut Random) {
    if let Some(name) = controller::leader(cluster) {
        let words = ["-n", "llano", "delete", "pod", &name, "--force", "--grace-period=0", "--wait=false"];
        attempt(cluster, &words);
    }
}

fn api_server_away(cluster: &Cluster, random: &mut Random) {
    cluster.kill(&Component::ApiServer).unwrap_or_else(|error| panic!("{error}"));
    sleep(Duration::from_secs(5 + random.below(25)));
    cluster.start(&Component::ApiServer).unwrap_or_else(|error| panic!("{error}"));
    let serves = || cluster.kubectl_output(["get", "--raw", "/readyz"]).map(Some);
    Cluster::wait("the API server", PATIENCE, serves).unwrap_or_else(|error| panic!("{error}"));
}

fn kubelet_away(cluster: &Cluster, random: &mut Random) {
    let node = node(random);
    let kubelet = Component::Kubelet(node.to_owned());
    cluster.kill(&kubelet).unwrap_or_else(|error| panic!("{error}"));
    sleep(Duration::from_secs(5 + random.below(25)));
    let serves = || {
        // It runs already from the second look on.
        let _ = cluster.start(&kubelet);
        Ok(on(cluster, node, &["curl", "-sf", "http://127.0.0.1:10248/healthz"]).ok())
    };
    Cluster::wait(&format!("the kubelet of {node}"), PATIENCE, serves)
        .unwrap_or_else(|error| panic!("{error}"));
}

/// From everything, or from the control plane alone while its pods still answer on their LAN.
fn node_cut_off(cluster: &Cluster, random: &mut Random) {
    let node = node(random);
    let cables = if random.below(2) == 0 { &UPLINKS[..] } else { &UPLINKS[..1] };
    println!("        {node} from {cables:?}");
    cables.iter().for_each(|cable| plug(cluster, node, *cable, false));
    sleep(Duration::from_secs(20 + random.below(41)));
    cables.iter().for_each(|cable| plug(cluster, node, *cable, true));
}

/// An hour before, an hour behind, or right: agents and controllers apart. What is running goes on with its old one until it is
/// exchanged.
fn wrong_clocks(cluster: &Cluster, random: &mut Random) {
    for workload in ["daemonset/llano-agent", "deployment/llano-controller"] {
        let offset = ["-3600", "0", "3600"][usize::try_from(random.below(3)).unwrap()];
        println!("        {workload} {offset}");
        attempt(cluster, &["-n", "llano", "set", "env", workload, &format!("{OFFSET}={offset}")]);
    }
}

/// Right clocks, and everything there that should be.
fn quiet_down(cluster: &Cluster) {
    let ready_nodes = || Ok((cluster.ready_nodes()? == NODES).then_some(()));
    Cluster::wait("the nodes", LONG, ready_nodes).unwrap_or_else(|error| panic!("{error}"));
    for workload in ["daemonset/llano-agent", "deployment/llano-controller"] {
        kubectl(cluster, &["-n", "llano", "set", "env", workload, &format!("{OFFSET}-")]);
        let timeout = format!("--timeout={}s", LONG.as_secs());
        kubectl(cluster, &["-n", "llano", "rollout", "status", workload, &timeout]);
    }
    for (workload, app) in [("deployment/web", "web"), ("statefulset/db", "db")] {
        kubectl(cluster, &["scale", workload, &format!("--replicas={LEFT}")]);
        rolled_out(cluster, workload);
        running(cluster, app, LEFT, None);
    }
    let bare = || {
        let pods = pods_of(cluster, "bare");
        Ok(pods.iter().all(|pod| pod.ready).then_some(()))
    };
    Cluster::wait("the bare pods", LONG, bare)
        .unwrap_or_else(|error| panic!("{error}: {:#?}", pods_of(cluster, "bare")));
}
