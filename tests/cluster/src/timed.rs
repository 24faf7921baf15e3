//! Plugins called on a node as its runtime would, and how long that takes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use cluster::Cluster;
use serde_json::{Value, json};

use crate::networks::{PARENT, probed};
use crate::on;

/// Where the distribution has the reference plugins.
const REFERENCE: &str = "/usr/lib/cni";
/// Where Llano is installed.
const PLUGINS: &str = "/opt/cni/bin";

/// Times in milliseconds.
#[derive(Debug, Default)]
pub struct Times(Vec<f64>);

impl Times {
    /// One more.
    pub fn push(&mut self, time: f64) {
        self.0.push(time);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Nearest rank.
    pub fn quantile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// Median and 99th percentile.
    pub fn json(&self) -> Value {
        json!({"p50_ms": self.quantile(50), "p99_ms": self.quantile(99)})
    }
}

/// A pod that no kubelet starts; its UID. Its node's kubelet has been stopped.
///
/// # Panics
/// When the API server does not take it.
pub fn unstarted_pod(cluster: &Cluster, name: &str, node: &str, annotations: &[(&str, &str)]) -> String {
    let mut object = probed(name, node, annotations);
    // The node is not ready without its kubelet.
    object["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    cluster.apply(&object.to_string()).unwrap();
    cluster.kubectl_output(["get", "pod", name, "-o", "jsonpath={.metadata.uid}"]).unwrap()
}

/// A network namespace on a node.
///
/// # Panics
/// When there is one of this name.
pub fn namespace(cluster: &Cluster, node: &str, name: &str) -> PathBuf {
    on(cluster, node, &["ip", "netns", "add", name]).unwrap();
    on(cluster, node, &["ip", "-n", name, "link", "set", "lo", "up"]).unwrap();
    Path::new("/run/netns").join(name)
}

/// A pod's sandbox, as a runtime knows it.
#[derive(Debug, Clone, Copy)]
pub struct Sandbox<'a> {
    /// The container ID.
    pub id: &'a str,
    /// The pod's name, in namespace `default`.
    pub pod: &'a str,
    /// The pod's UID.
    pub uid: &'a str,
    /// The network namespace.
    pub netns: &'a Path,
}

/// The call of Llano for a pod whose first network is this definition of namespace `default`; its configuration comes second.
pub fn llano(verb: &str, sandbox: Sandbox<'_>, network: &str) -> (Command, String) {
    let conf = json!({
        "cniVersion": "1.0.0", "name": "llano", "type": "llano", "clusterNetwork": format!("default/{network}"),
        "multusNamespace": "default",
    });
    let Sandbox { id, pod, uid, netns } = sandbox;
    let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={pod};K8S_POD_UID={uid}");
    let mut command = Command::new(Path::new(PLUGINS).join("llano"));
    command
        .env("CNI_COMMAND", verb)
        .env("CNI_CONTAINERID", id)
        .env("CNI_NETNS", netns)
        .env("CNI_IFNAME", "eth0")
        .env("CNI_PATH", PLUGINS)
        .env("CNI_ARGS", args);
    (command, conf.to_string())
}

/// The call of the reference macvlan with host-local and these ranges; the network's name tells host-local's states apart.
pub fn reference(
    verb: &str,
    id: &str,
    netns: &Path,
    (network, ifname): (&str, &str),
    range: &Value,
) -> (Command, String) {
    let conf = json!({
        "cniVersion": "1.0.0", "name": network, "type": "macvlan", "master": PARENT, "mode": "bridge",
        "ipam": {"type": "host-local", "ranges": [[range]]},
    });
    let mut command = Command::new(Path::new(REFERENCE).join("macvlan"));
    command
        .env("CNI_COMMAND", verb)
        .env("CNI_CONTAINERID", id)
        .env("CNI_NETNS", netns)
        .env("CNI_IFNAME", ifname)
        .env("CNI_PATH", REFERENCE);
    (command, conf.to_string())
}

/// Runs a command on a node with this input. Milliseconds from its start to its end.
///
/// # Panics
/// When it fails.
pub fn milliseconds(cluster: &Cluster, node: &str, (mut command, input): (Command, String)) -> f64 {
    let run = move || {
        command.env_remove("LD_LIBRARY_PATH").current_dir("/");
        let started = Instant::now();
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().expect("piped").write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let took = started.elapsed();
        assert!(
            output.status.success(),
            "{command:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        took.as_secs_f64() * 1000.0
    };
    cluster.host(node).unwrap().run_in(run).unwrap()
}
