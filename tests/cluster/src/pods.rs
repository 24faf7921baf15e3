//! Pods, and what they say.

use cluster::{Cluster, ECHO_IMAGE};
use serde_json::{Value, json};

use crate::PATIENCE;

/// A pod as the API server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// The node it is on.
    pub node: String,
    /// Its first address.
    pub address: String,
    /// Whether its readiness probes succeed.
    pub ready: bool,
}

/// A Deployment `name` of so many pods of the test image, with an HTTP readiness probe, spread over the nodes, and a Service of its
/// name (HTTP on 80, the echo on 9000).
pub fn deployment(name: &str, replicas: u32) -> String {
    let labels = json!({"app": name});
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    let container = json!({
        "name": "echo", "image": ECHO_IMAGE, "imagePullPolicy": "Never",
        "env": [
            {"name": "POD", "valueFrom": field("metadata.name")},
            {"name": "NODE", "valueFrom": field("spec.nodeName")},
        ],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
    });
    let spread = json!([{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
    }]);
    let pod = json!({
        "terminationGracePeriodSeconds": 1, "topologySpreadConstraints": spread, "containers": [container],
    });
    let port = |name: &str, port: u16, to: u16| json!({"name": name, "port": port, "targetPort": to});
    let items = json!([
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [port("http", 80, 8080), port("echo", 9000, 9000)]},
        },
    ]);
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// A pod of the test image in which nothing else is said, for whichever node.
pub fn pod(name: &str, app: &str, annotations: &[(&str, &str)]) -> Value {
    let mut pod = template(app, annotations);
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(name);
    pod
}

/// The same as a workload's template.
pub(crate) fn template(app: &str, annotations: &[(&str, &str)]) -> Value {
    let annotations: serde_json::Map<String, Value> =
        annotations.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    json!({
        "metadata": {"labels": {"app": app}, "annotations": annotations},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "echo", "image": ECHO_IMAGE, "imagePullPolicy": "Never"}],
        },
    })
}

/// The pods with the label `app=name`, sorted by name.
pub fn pods_of(cluster: &Cluster, app: &str) -> Vec<Pod> {
    let text = cluster.kubectl_output(["get", "pods", "-l", &format!("app={app}"), "-o", "json"]).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let of = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Pod {
            name: text(&pod["metadata"]["name"]),
            node: text(&pod["spec"]["nodeName"]),
            address: text(&pod["status"]["podIP"]),
            ready: ready && pod["metadata"]["deletionTimestamp"].is_null(),
        }
    };
    let mut pods: Vec<Pod> = list["items"].as_array().unwrap().iter().map(of).collect();
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    pods
}

/// Waits until there are exactly so many pods of that label, all ready.
pub fn ready_pods(cluster: &Cluster, app: &str, count: usize) -> Vec<Pod> {
    let ready = || {
        let pods = pods_of(cluster, app);
        Ok((pods.len() == count && pods.iter().all(|pod| pod.ready)).then_some(pods))
    };
    Cluster::wait(&format!("{count} pods of {app} ready"), PATIENCE, ready)
        .unwrap_or_else(|error| panic!("{error}: {:#?}", pods_of(cluster, app)))
}

/// Runs a command in a pod and gives what it printed.
pub fn exec(cluster: &Cluster, pod: &str, command: &[&str]) -> cluster::Result<String> {
    cluster.kubectl_output([&["exec", pod, "--"], command].concat())
}

/// What the test server at this URL says to that pod.
pub fn ask(cluster: &Cluster, pod: &str, url: &str) -> Value {
    let text = exec(cluster, pod, &["/echo", "get", url])
        .unwrap_or_else(|error| panic!("{pod} asks {url}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url} says {text:?}: {error}"))
}
