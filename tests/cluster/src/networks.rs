//! Networks of macvlan pods, and what pods have on a node.

use cluster::Cluster;
use serde_json::{Value, json};

use crate::on;

/// The networks' parent on every node: the second uplink, so that pods share no interface with the nodes' own traffic.
pub const PARENT: &str = "eth1";
/// The annotation with the extra networks.
pub const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
/// The annotation with the first network.
pub const DEFAULT_NETWORK: &str = "v1.multus-cni.io/default-network";
/// The annotation with what a pod has got.
pub const STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

/// A NetworkAttachmentDefinition of a macvlan on [`PARENT`], with addresses `first` to `last` of 10.61.0.0/24. Every node gives
/// out the same range, and each probes: nobody else tells them apart.
pub fn macvlan(namespace: &str, name: &str, role: Option<&str>, first: u8, last: u8) -> String {
    let routes = if role == Some("overlay") { json!([]) } else { json!([{"dst": "0.0.0.0/0"}]) };
    let range = json!({
        "subnet": "10.61.0.0/24", "rangeStart": format!("10.61.0.{first}"), "rangeEnd": format!("10.61.0.{last}"),
        "gateway": "10.61.0.254",
    });
    on_parent(
        namespace,
        name,
        role,
        true,
        &json!({"type": "host-local", "ranges": [[range]], "routes": routes}),
    )
}

/// A NetworkAttachmentDefinition of a macvlan on [`PARENT`] with a subnet that is one node's alone, so that nobody need probe.
pub fn macvlan_of(name: &str, subnet: &str) -> String {
    on_parent("default", name, None, false, &json!({"type": "host-local", "ranges": [[{"subnet": subnet}]]}))
}

/// A NetworkAttachmentDefinition; without a configuration the nodes have it on disk, by its name.
pub fn definition(namespace: &str, name: &str, role: Option<&str>, config: Option<&Value>) -> String {
    let labels = role.map(|role| json!({"llano.dev/role": role}));
    json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": config.map_or(json!({}), |config| json!({"config": config.to_string()})),
    })
    .to_string()
}

fn on_parent(namespace: &str, name: &str, role: Option<&str>, probe: bool, ipam: &Value) -> String {
    let config = json!({
        "cniVersion": "1.0.0", "name": name, "type": "macvlan", "master": PARENT, "mode": "bridge", "probe": probe,
        "ipam": ipam,
    });
    definition(namespace, name, role, Some(&config))
}

/// A pod of the test image on that node, with these annotations and an HTTP readiness probe.
pub fn pod(name: &str, node: &str, annotations: &[(&str, &str)]) -> String {
    probed(name, node, annotations).to_string()
}

/// The same, to be changed.
pub fn probed(name: &str, node: &str, annotations: &[(&str, &str)]) -> Value {
    let mut pod = crate::pod(name, name, annotations);
    pod["spec"]["nodeName"] = json!(node);
    pod["spec"]["containers"][0]["readinessProbe"] =
        json!({"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1});
    pod
}

/// That pod, reached by the node's port as well.
pub fn with_host_port(pod: &str, port: u16) -> String {
    let mut pod: Value = serde_json::from_str(pod).unwrap();
    pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 8080, "hostPort": port}]);
    pod.to_string()
}

/// A Deployment of so many pods as [`pod`] makes, all on one node. Their probes are rare: hundreds share the machine.
pub fn replicas(name: &str, node: &str, count: u32, annotations: &[(&str, &str)]) -> String {
    let mut pod = probed(name, node, annotations);
    pod["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] = json!(5);
    // Nobody reads it: a volume and a token less for each pod, which a kubelet that just started waits for.
    pod["spec"]["automountServiceAccountToken"] = json!(false);
    let template = json!({"metadata": pod["metadata"], "spec": pod["spec"]});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": count, "progressDeadlineSeconds": 1200, "template": template,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxUnavailable": "100%"}},
        },
    })
    .to_string()
}

/// An interface of a pod, by its status annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// `NAMESPACE/NAME` of its network.
    pub network: String,
    /// Its name.
    pub name: String,
    /// Its first address.
    pub address: String,
    /// Whether it is the pod's first one.
    pub first: bool,
}

/// The interfaces of a pod, as its status annotation has them.
///
/// # Panics
/// When there is no such pod, or no such annotation.
pub fn interfaces(cluster: &Cluster, pod: &str) -> Vec<Interface> {
    let text =
        cluster.kubectl_output(["get", "pod", pod, "-o", "json"]).unwrap_or_else(|error| panic!("{error}"));
    let pod: Value = serde_json::from_str(&text).unwrap();
    status_of(&pod).unwrap_or_else(|| panic!("no status: {pod:#}"))
}

/// The interfaces of all pods with the label `app=APP`, as their status annotations have them.
///
/// # Errors
/// When the API server does not answer.
pub fn interfaces_of(cluster: &Cluster, app: &str) -> cluster::Result<Vec<Interface>> {
    let text = cluster.kubectl_output(["get", "pods", "-l", &format!("app={app}"), "-o", "json"])?;
    let list: Value = serde_json::from_str(&text).unwrap();
    Ok(list["items"].as_array().unwrap().iter().filter_map(status_of).flatten().collect())
}

fn status_of(pod: &Value) -> Option<Vec<Interface>> {
    let status = pod["metadata"]["annotations"][STATUS].as_str()?;
    let status: Vec<Value> = serde_json::from_str(status).unwrap_or_else(|error| panic!("{status}: {error}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |one: &Value| Interface {
        network: text(&one["name"]),
        name: text(&one["interface"]),
        address: text(&one["ips"][0]),
        first: one["default"] == true,
    };
    Some(status.iter().map(of).collect())
}

/// The addresses that host-local has given out on a node for these networks: `NETWORK/ADDRESS`.
pub fn leases(cluster: &Cluster, node: &str) -> Vec<String> {
    let base = cluster.on_disk(node, "/var/lib/cni/networks");
    let mut found = Vec::new();
    for network in std::fs::read_dir(&base).into_iter().flatten().flatten() {
        for file in std::fs::read_dir(network.path()).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            // Beside them are a lock and what was given out last.
            if name.starts_with(|first: char| first.is_ascii_digit()) {
                found.push(format!("{}/{name}", network.file_name().to_string_lossy()));
            }
        }
    }
    found.sort();
    found
}

/// What pods have on a node, in the kernel and on disk; the same before and after, or something is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footprint {
    /// Names of its links. Of a pod's pair on the primary network the bridge's end is one.
    pub links: Vec<String>,
    /// Its network namespaces that have a name, as containerd gives them.
    pub namespaces: Vec<String>,
    /// Addresses that are given out.
    pub leases: Vec<String>,
    /// Its routes to single hosts: a node reaches its macvlan pods by such.
    pub routes: Vec<String>,
}

impl Footprint {
    /// Looks at a node now.
    pub fn of(cluster: &Cluster, node: &str) -> Footprint {
        let lines = |command: &[&str]| -> Vec<String> {
            let text = on(cluster, node, command).unwrap_or_else(|error| panic!("{error}"));
            let mut lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
            lines.sort();
            lines
        };
        let mut routes = lines(&["ip", "-4", "route", "show", "type", "unicast"]);
        routes.retain(|route| {
            !route.split(' ').next().unwrap_or_default().contains('/') && !route.starts_with("default")
        });
        let mut links = crate::links(cluster, node);
        // The primary network's plugin makes its bridge for the first pod, and leaves it there.
        links.retain(|link| link != "cni0");
        Footprint { links, namespaces: lines(&["ls", "/run/netns"]), leases: leases(cluster, node), routes }
    }

    /// Without namespaces that hold nothing. A containerd that was killed while it made a sandbox, or ended one, knows nothing
    /// of it when it is back: containerd 1.6 leaves the namespace, or its file, for ever. What was in it must be gone.
    #[must_use]
    pub fn without_empty_namespaces(mut self, cluster: &Cluster, node: &str) -> Footprint {
        // A file that is no namespace any more is refused, and holds nothing either.
        const HOLDS: &str = "nsenter --net=/run/netns/$0 ip -br link show 2>/dev/null | grep -v '^lo '";
        self.namespaces.retain(|name| on(cluster, node, &["sh", "-c", HOLDS, name]).is_ok());
        self
    }
}
