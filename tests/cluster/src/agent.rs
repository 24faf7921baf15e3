//! Llano on the nodes of a cluster: installed, and an agent on each that a test can stop, kill and start.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use cluster::{Cluster, Component};
use netns_tests::bin_dir;
use serde_json::{Value, json};

use crate::process::find;
use crate::{PATIENCE, on, without_kind};

const PROGRAM: &str = "llano";
const SOCKET: &str = "/run/llano/agent.sock";
const NAMESPACE: &str = "llano";
const ACCOUNT: &str = "llano-agent";
/// What a stopped agent may take to end what it has begun.
const ENDING: Duration = Duration::from_secs(30);

/// Installs Llano on every node that is without, and starts the agents that do not run.
///
/// # Panics
/// When one cannot be installed, or does not serve.
pub fn ensure(cluster: &Cluster) {
    // Here the agents are processes of the nodes, so that a test can have one die and stay dead.
    for manifest in [DEFINITIONS, &without_kind(DEPLOYMENT, "DaemonSet")] {
        cluster.apply(manifest).unwrap_or_else(|error| panic!("{error}"));
    }
    for node in cluster.spec().nodes() {
        if !cluster.on_disk(&node, "/etc/llano/kubeconfig").is_file() {
            install(cluster, &node);
        }
        if !is_running(cluster, &node) {
            start(cluster, &node);
        }
    }
}

/// Puts plugin, configuration and credentials on a node: a token of the agents' account that is bound to the node.
///
/// # Panics
/// When it cannot.
pub fn install(cluster: &Cluster, node: &str) {
    let file = cluster.on_disk(node, "/etc/kubernetes/llano.conf");
    std::fs::write(&file, credentials(cluster, node)).unwrap();
    let program = bin_dir().join(PROGRAM).display().to_string();
    let args = [&*program, "install", "--kubeconfig", "/etc/kubernetes/llano.conf"];
    on(cluster, node, &args).unwrap_or_else(|error| panic!("llano install on {node}: {error}"));
}

/// A kubeconfig, for every host of the cluster, with a token of the agents' account that is bound to the node.
///
/// # Panics
/// When the API server gives none.
pub fn credentials(cluster: &Cluster, node: &str) -> String {
    let token = cluster
        .kubectl_output([
            "-n",
            NAMESPACE,
            "create",
            "token",
            ACCOUNT,
            "--duration=24h",
            "--bound-object-kind=Node",
            &format!("--bound-object-name={node}"),
        ])
        .unwrap_or_else(|error| panic!("{error}"));
    kubeconfig(&token)
}

/// A kubeconfig, for every host of the cluster, with this token.
pub(crate) fn kubeconfig(token: &str) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "llano",
        "clusters": [{"name": "llano", "cluster": {
            "server": "https://10.60.0.1:6443", "certificate-authority": "/etc/kubernetes/pki/ca.crt",
        }}],
        "users": [{"name": "llano", "user": {"token": token.trim()}}],
        "contexts": [{"name": "llano", "context": {"cluster": "llano", "user": "llano"}}],
    });
    config.to_string()
}

/// Whether a node's agent runs.
pub fn is_running(cluster: &Cluster, node: &str) -> bool {
    let processes = cluster.host(node).unwrap().processes().unwrap();
    processes.iter().any(|process| process.program == PROGRAM)
}

/// Starts a node's agent and waits until it serves.
///
/// # Panics
/// When it does not.
pub fn start(cluster: &Cluster, node: &str) {
    spawn(cluster, node);
    let serves = || {
        if !is_running(cluster, node) {
            panic!("the agent on {node} ended at its start: {}", tail(cluster, node));
        }
        Ok(page(cluster, node, "readyz").map(drop))
    };
    Cluster::wait(&format!("the agent on {node}"), PATIENCE, serves)
        .unwrap_or_else(|error| panic!("{error}: {}", tail(cluster, node)));
}

/// Starts a node's agent.
pub fn spawn(cluster: &Cluster, node: &str) {
    let file = log(cluster, node);
    let out = OpenOptions::new().create(true).append(true).open(&file).unwrap();
    let mut command = cluster.host(node).unwrap().command(bin_dir().join(PROGRAM)).unwrap();
    let mut child = command
        .args(["agent", "--kubeconfig", "/etc/llano/kubeconfig"])
        .env("NODE_NAME", node)
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .process_group(0)
        .spawn()
        .unwrap();
    // Somebody has to take its exit status.
    std::thread::spawn(move || child.wait());
}

/// A page of a node's agent: `readyz`, `metrics`, `dump`. None when it does not serve it.
pub fn page(cluster: &Cluster, node: &str, name: &str) -> Option<String> {
    on(cluster, node, &["curl", "-sf", "--unix-socket", SOCKET, &format!("http://agent/{name}")]).ok()
}

/// Waits until a node's agent has nothing left to send: its events are behind its answers.
///
/// # Panics
/// When it is not done.
pub fn rest(cluster: &Cluster, node: &str) {
    let rested = || {
        let metrics = page(cluster, node, "metrics").unwrap_or_default();
        Ok((find::<u64>(&metrics, "llano_waiting_events") == Some(0)).then_some(()))
    };
    Cluster::wait("the events", PATIENCE * 5, rested).unwrap_or_else(|error| panic!("{error}"));
}

/// How many attachments to networks of definitions a node's agent has in its store; none when it does not serve.
pub fn attachments(cluster: &Cluster, node: &str) -> Option<usize> {
    let dump: Value = serde_json::from_str(&page(cluster, node, "dump")?).ok()?;
    let all = dump["pods"].as_array()?.iter().filter_map(|pod| pod["attachments"].as_array()).flatten();
    Some(all.filter(|one| one["network"].as_str().is_some_and(|name| name.contains('/'))).count())
}

/// Ends a node's agent with SIGTERM.
///
/// # Panics
/// When it does not run, or does not end.
pub fn stop(cluster: &Cluster, node: &str) {
    let ended =
        cluster.host(node).unwrap().stop(&[PROGRAM], ENDING).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ended, 1, "agents on {node}");
}

/// Kills a node's agent.
///
/// # Panics
/// When it does not run.
pub fn kill(cluster: &Cluster, node: &str) {
    let ended = cluster.host(node).unwrap().kill(&[PROGRAM]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ended, 1, "agents on {node}");
}

/// The file with a node's agent's log.
pub fn log(cluster: &Cluster, node: &str) -> std::path::PathBuf {
    cluster.log(&Component::Kubelet(node.to_owned())).with_file_name(format!("{node}-agent.log"))
}

/// The last lines of that log.
pub fn tail(cluster: &Cluster, node: &str) -> String {
    let text = std::fs::read_to_string(log(cluster, node)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// The definitions' kind.
const DEFINITIONS: &str = include_str!("../../../deploy/network-attachment-definition.yaml");
/// The agents' account, its rights, the policy, and the DaemonSet, each a document.
const DEPLOYMENT: &str = include_str!("../../../deploy/llano.yaml");
