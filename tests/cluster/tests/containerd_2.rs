//! The cluster itself, with containerd 2.

#![allow(clippy::unwrap_used)]

use std::process::ExitCode;

use cluster::{Cluster, ClusterSpec, Containerd};
use cluster_tests::{Test, basics, on, run};

fn main() -> ExitCode {
    let first: [Test; 1] = [("both_nodes_run_containerd_2", version)];
    run(
        ClusterSpec::new(2, Containerd::V2).unwrap(),
        &[first.as_slice(), &basics::all("_with_containerd_2")].concat(),
    )
}

fn version(cluster: &mut Cluster) {
    for node in cluster.spec().nodes() {
        let path = format!(
            "jsonpath={{.items[?(@.metadata.name==\"{node}\")].status.nodeInfo.containerRuntimeVersion}}"
        );
        let said = cluster.kubectl_output(["get", "nodes", "-o", &path]).unwrap();
        assert!(said.starts_with("containerd://2."), "{node}: {said}");
        let ctr = cluster.program("ctr").display().to_string();
        let images = on(cluster, &node, &[&ctr, "-n", "k8s.io", "images", "ls", "-q"]).unwrap();
        assert!(images.contains("lab.llano.dev/echo:1"), "{images}");
    }
}
