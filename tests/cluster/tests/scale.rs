//! Addresses of a large cluster: ten agents without a kernel before a real API server, and what 20,000 claims cost a real agent and
//! a real controller. Their nodes have no machines, so that the API server has this one for itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cluster::{Cluster, ClusterSpec};
use cluster_tests::process::{Process, is_shipped};
use cluster_tests::simulated::{Has, SimAgent, SimPod, claimed, requests, staggered};
use cluster_tests::{PATIENCE, addresses, agent, controller, run};
use serde_json::{Value, json};

const AGENTS: usize = 10;
/// Pods of one agent.
const PODS: usize = 100;
/// Pods that one agent starts at the same time, as its kubelet does.
const AT_ONCE: usize = 4;
/// Between two agents' starts.
const STAGGER: Duration = Duration::from_millis(200);
/// The large cluster's: each of as many addresses as there are pods.
const SUBNETS: u8 = 20;
/// Creates and updates of one claim, at most.
const WRITES: f64 = 1.2;
/// Resident when settled, at most.
const AGENT_MB: f64 = 15.0;
const CONTROLLER_MB: f64 = 30.0;
/// One create a time to the same API server, and 16 at once, by a client that does nothing else: see docs/benchmarks.md.
const API_SERVER: &str = "the API server alone: 387 creates/s one after the other, 970 with 16 at once";

fn main() -> ExitCode {
    run(
        ClusterSpec::control_plane(),
        &[
            ("an_agent_claims_for_its_own_node_alone", own_node_alone),
            ("a_thousand_pods_share_a_thousand_addresses_three_times", thousand),
            ("twenty_thousand_claims_fit_into_agent_and_controller", twenty_thousand),
        ],
    )
}

/// The kinds, the agents' rights and policies, and nodes for them.
fn prepare(cluster: &Cluster) {
    controller::kinds(cluster);
    agent::ensure(cluster);
    let nodes: Vec<Value> = (1..=AGENTS + 1)
        .map(|number| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node(number)}}))
        .collect();
    cluster.apply(&json!({"apiVersion": "v1", "kind": "List", "items": nodes}).to_string()).unwrap();
}

fn node(number: usize) -> String {
    format!("sim{number}")
}

/// A network with subnets of 1,000 addresses each: x.1.0 to x.4.231 of 10.x.0.0/16. The subnets' names.
fn networks(cluster: &Cluster, network: &str, second: impl Iterator<Item = u8>) -> Vec<String> {
    cluster.apply(&addresses::network(network, "eth0", &[])).unwrap();
    let subnet = |second: u8| {
        let name = format!("{network}{second}");
        let ranges = json!({"ranges": [format!("10.{second}.1.0-10.{second}.4.231")]});
        cluster.apply(&addresses::subnet(&name, network, &format!("10.{second}.0.0/16"), &ranges)).unwrap();
        name
    };
    second.map(subnet).collect()
}

/// The agents, each with the first lists.
fn start(cluster: &Cluster) -> Vec<SimAgent> {
    let names: Vec<String> = (1..=AGENTS).map(node).collect();
    let agents: Vec<SimAgent> = names.iter().map(|name| SimAgent::start(cluster, name, name)).collect();
    agents.iter().for_each(SimAgent::wait_until_listed);
    agents
}

/// Everything below means something only while the policy looks at each write.
fn own_node_alone(cluster: &mut Cluster) {
    prepare(cluster);
    let subnets = networks(cluster, "own", 80..=80);
    let pod = [SimPod::new("stranger", "u1", "own", &subnets)];
    let stranger = SimAgent::start(cluster, "sim2", "sim1");
    stranger.wait_until_listed();
    let refused = || {
        let tried = stranger.add(&pod, 1, 0);
        Ok(matches!(&tried[..], [Err(error)] if error.to_string().contains("must be the agent's own node"))
            .then_some(())
            .or_else(|| {
                // A policy counts a moment after it is made.
                stranger.del(&pod, 1, 0, &[]);
                None
            }))
    };
    Cluster::wait("the policy in force", PATIENCE, refused).unwrap();
    let own = SimAgent::start(cluster, "sim1", "sim1");
    own.wait_until_listed();
    let had: Vec<Has> = own.add(&pod, 1, 1).into_iter().collect::<Result<_, _>>().unwrap();
    assert!(own.del(&pod, 1, 1, &had).is_empty());
    let left: Vec<Has> =
        claimed(cluster).into_iter().filter(|has| has.container_id.ends_with("-1")).collect();
    assert_eq!(left, [], "the own claim is gone");
    cluster.kubectl_output(["delete", "mip", "--all"]).unwrap();
}

/// Adds for all agents at once. Everything is given, to one pod each, and the objects say the same.
fn add(
    cluster: &Cluster,
    agents: &[SimAgent],
    pods: &[Vec<SimPod>],
    life: usize,
) -> (Vec<Vec<Has>>, Duration) {
    let started = Instant::now();
    let given = staggered(agents, STAGGER, |at, agent| agent.add(&pods[at], AT_ONCE, life));
    let took = started.elapsed();
    let (mut all, mut by_agent) = (BTreeMap::<IpAddr, Has>::new(), Vec::new());
    for one in given {
        let one: Vec<Has> =
            one.into_iter().map(|given| given.unwrap_or_else(|error| panic!("{error}"))).collect();
        for has in &one {
            let before = all.insert(has.address, has.clone());
            assert_eq!(before, None, "two have {}", has.address);
        }
        by_agent.push(one);
    }
    let given: BTreeSet<Has> = all.into_values().collect();
    assert!(given == claimed(cluster), "what the agents were given is not what the objects say");
    (by_agent, took)
}

fn del(agents: &[SimAgent], pods: &[Vec<SimPod>], life: usize, had: &[Vec<Has>]) -> Duration {
    let started = Instant::now();
    let failed = staggered(agents, STAGGER, |at, agent| agent.del(&pods[at], AT_ONCE, life, &had[at]));
    let took = started.elapsed();
    assert_eq!(failed.concat(), []);
    took
}

/// Prints what claims cost, and checks it.
fn assert_cost(
    what: &str,
    claims: usize,
    took: Duration,
    before: &BTreeMap<&str, u64>,
    after: &BTreeMap<&str, u64>,
) {
    let sent = |verb: &str| after[verb] - before[verb];
    let (creates, updates) = (sent("create"), sent("update"));
    let writes = (creates + updates) as f64 / claims as f64;
    let rate = claims as f64 / took.as_secs_f64();
    println!(
        "{what}: {claims} claims in {:.1} s, {rate:.0}/s; {writes:.3} writes a claim, {} creates refused; {API_SERVER}",
        took.as_secs_f64(),
        creates - claims as u64,
    );
    assert!(writes <= WRITES, "{writes} writes a claim, allowed are {WRITES}");
    assert_eq!(sent("get"), 0, "reads of single objects");
}

fn thousand(cluster: &mut Cluster) {
    prepare(cluster);
    let subnets = networks(cluster, "full", 90..=90);
    let agents = start(cluster);
    for life in 0..3 {
        let name = |agent: usize, pod: usize| format!("pod-{life}-{agent}-{pod}");
        let pod = |agent, pod| {
            let name = name(agent, pod);
            SimPod::new(&name, &format!("uid-{name}"), "full", &subnets)
        };
        let pods: Vec<Vec<SimPod>> =
            (0..AGENTS).map(|agent| (0..PODS).map(|number| pod(agent, number)).collect()).collect();
        let before = requests(&agents);
        let (had, took) = add(cluster, &agents, &pods, life);
        let after = requests(&agents);
        assert_eq!(had.iter().map(Vec::len).sum::<usize>(), AGENTS * PODS);
        assert_cost(&format!("round {}", life + 1), AGENTS * PODS, took, &before, &after);
        let took = del(&agents, &pods, life, &had);
        assert_eq!(claimed(cluster), BTreeSet::new(), "claims are left");
        let deletes = requests(&agents)["delete"] - after["delete"];
        println!("  deleted in {:.1} s with {deletes} deletes", took.as_secs_f64());
        assert_eq!(deletes, (AGENTS * PODS) as u64);
    }
}

/// Pods that nobody starts, so that a controller finds the UIDs: by agent, the names with their UIDs.
fn pod_objects(cluster: &Cluster) -> Vec<Vec<(String, String)>> {
    let account = || {
        let found = cluster.kubectl_output(["get", "serviceaccount", "default"]);
        Ok(found.is_ok().then_some(()))
    };
    Cluster::wait("the account of pods", PATIENCE, account).unwrap();
    let pod = |agent: usize, number: usize| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("large-{agent}-{number}")},
            "spec": {
                "nodeName": node(agent + 1), "tolerations": [{"operator": "Exists"}],
                "containers": [{"name": "none", "image": "none"}],
            },
        })
    };
    // kubectl by itself sends no more than 50 in a second.
    std::thread::scope(|scope| {
        for agent in 0..AGENTS {
            let items: Vec<Value> = (0..PODS).map(|number| pod(agent, number)).collect();
            let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
            scope.spawn(move || cluster.apply(&list).unwrap());
        }
    });
    const LINES: &str = "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{\"\\n\"}{end}";
    let text = cluster.kubectl_output(["get", "pods", "-o", LINES]).unwrap();
    let uids: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let one = |agent, number| {
        let name = format!("large-{agent}-{number}");
        let uid = uids[name.as_str()].to_owned();
        (name, uid)
    };
    (0..AGENTS).map(|agent| (0..PODS).map(|number| one(agent, number)).collect()).collect()
}

fn twenty_thousand(cluster: &mut Cluster) {
    prepare(cluster);
    let subnets = networks(cluster, "large", 100..100 + SUBNETS);
    let pods: Vec<Vec<SimPod>> = pod_objects(cluster)
        .iter()
        .map(|pods| pods.iter().map(|(name, uid)| SimPod::new(name, uid, "large", &subnets)).collect())
        .collect();
    let agents = start(cluster);
    let before = requests(&agents);
    let (had, took) = add(cluster, &agents, &pods, 0);
    let claims: usize = had.iter().map(Vec::len).sum();
    assert_eq!(claims, AGENTS * PODS * usize::from(SUBNETS));
    assert_cost("20 full subnets", claims, took, &before, &requests(&agents));
    drop(agents);
    let agent = measure_agent(cluster);
    let controller = measure_controller(cluster, &subnets);
    assert_eq!(claimed(cluster).len(), claims, "nobody has collected a claim of a pod that is there");
    if is_shipped() {
        assert!(agent <= AGENT_MB, "the agent has {agent:.1} MB, allowed are {AGENT_MB}");
        assert!(
            controller <= CONTROLLER_MB,
            "the controller has {controller:.1} MB, allowed are {CONTROLLER_MB}"
        );
    } else {
        println!("not the programs that are shipped: their memory is only told");
    }
}

/// The agent of one more node, which has no pods. Resident megabytes.
fn measure_agent(cluster: &Cluster) -> f64 {
    let name = node(AGENTS + 1);
    let credentials = agent::credentials(cluster, &name);
    std::fs::write(cluster.on_disk("control", "/etc/kubernetes/agent.conf"), credentials).unwrap();
    let args = ["agent", "--node", &name, "--kubeconfig", "/etc/kubernetes/agent.conf"];
    let process = Process::start(cluster, &args, "127.0.0.1:9464");
    // Every watch is begun when its list has ended: pods, definitions, networks, subnets, claims, reservations, namespaces, and
    // the node.
    process.wait("llano_api_requests_total{verb=\"watch\"}", 8);
    tell("agent of a node without pods, all watches begun", &process)
}

fn measure_controller(cluster: &Cluster, subnets: &[String]) -> f64 {
    let process = Process::controller(cluster);
    let claims = AGENTS * PODS * usize::from(SUBNETS);
    process.wait("llano_controller_claims{state=\"active\"}", claims);
    println!("controller: all claims known {:.1} s after its start", process.age().as_secs_f64());
    let full = || {
        const FREE: &str =
            "jsonpath={range .items[?(@.status.used==1000)]}{.metadata.name} {.status.free}{\"\\n\"}{end}";
        let text = cluster.kubectl_output(["get", "msubnet", "-o", FREE])?;
        let full: Vec<&str> = text.lines().filter_map(|line| line.strip_suffix(" 0")).collect();
        Ok(subnets.iter().all(|name| full.contains(&name.as_str())).then_some(()))
    };
    Cluster::wait("the subnets' status", PATIENCE, full).unwrap_or_else(|error| panic!("{error}"));
    tell("controller, every subnet's status written", &process)
}

/// Prints how old a process is and the memory at which it settles, in megabytes, which it returns.
fn tell(what: &str, process: &Process<'_>) -> f64 {
    let age = process.age();
    let memory = process.memory();
    println!("{what}: {:.1} s after its start; {memory}", age.as_secs_f64());
    memory.settled
}
