//! What is in the cluster from the start: the nodes' objects, flannel's rights, DNS.

use serde_json::{Value, json};

use crate::image::COREDNS_IMAGE;
use crate::spec::{ClusterSpec, DNS, node_name, node_pods};

const COREFILE: &str = "\
.:53 {
    errors
    health {
        lameduck 0s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        ttl 5
    }
    template ANY ANY . {
        rcode NXDOMAIN
    }
    cache 5
    loadbalance
}
";

/// Every object, as one list.
pub(crate) fn all(spec: &ClusterSpec) -> Value {
    let mut items: Vec<Value> = spec.numbers().map(node).collect();
    items.extend(flannel());
    items.extend(dns());
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// A node with its range of the primary network, which its kubelet then takes as its own.
fn node(number: u8) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        // Flannel breaks off at a node without any annotation; this is the one that the controller manager gives to every node.
        "metadata": {"name": node_name(number), "annotations": {"node.alpha.kubernetes.io/ttl": "0"}},
        "spec": {"podCIDR": node_pods(number), "podCIDRs": [node_pods(number)]},
    })
}

fn flannel() -> [Value; 2] {
    [
        role(
            "flannel",
            &json!([
                {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": [""], "resources": ["nodes", "nodes/status"], "verbs": ["patch"]},
            ]),
        ),
        binding(
            "flannel",
            &json!({"kind": "User", "name": "system:flannel", "apiGroup": "rbac.authorization.k8s.io"}),
        ),
    ]
}

fn dns() -> [Value; 6] {
    let labels = json!({"k8s-app": "kube-dns"});
    let named = |name: &str| json!({"name": name, "namespace": "kube-system", "labels": labels});
    let port = |name: &str, protocol: &str| json!({"name": name, "port": 53, "protocol": protocol});
    let probe = |path: &str, port: u16| json!({"httpGet": {"path": path, "port": port}, "periodSeconds": 1});
    let pod = json!({
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "terminationGracePeriodSeconds": 1,
        "tolerations": [{"operator": "Exists"}],
        "containers": [{
            "name": "coredns", "image": COREDNS_IMAGE, "imagePullPolicy": "Never",
            "args": ["-conf", "/etc/coredns/Corefile"],
            "ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}],
            "readinessProbe": probe("/ready", 8181),
            "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
        }],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    });
    [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named("coredns")}),
        role(
            "coredns",
            &json!([
                {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
            ]),
        ),
        binding("coredns", &json!({"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"})),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named("coredns"), "data": {"Corefile": COREFILE}}),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": named("coredns"),
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": named("kube-dns"),
            "spec": {
                "clusterIP": DNS.to_string(), "selector": labels,
                "ports": [port("dns", "UDP"), port("dns-tcp", "TCP")],
            },
        }),
    ]
}

fn role(name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": name}, "rules": rules,
    })
}

fn binding(name: &str, subject: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [subject],
    })
}
