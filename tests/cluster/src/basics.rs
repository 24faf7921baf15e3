//! Tests of the cluster itself, the same for each containerd: what they find is what all other tests build upon.

use std::collections::BTreeSet;

use cluster::{Cluster, Component};

use crate::{PATIENCE, Pod, Test, ask, deployment, exec, on, pings, pods_of, ready_pods};

/// All of them, in the best order; none needs another to have run. `with` makes their names those of one test program.
pub fn all(with: &str) -> Vec<Test> {
    ALL.iter().map(|(name, test)| (&*Box::leak(format!("{name}{with}").into_boxed_str()), *test)).collect()
}

const ALL: [Test; 9] = [
    ("everything_runs_and_both_nodes_are_ready", everything_runs),
    ("pods_with_http_probes_are_ready_on_both_nodes", pods_are_ready),
    ("dns_answers_in_a_pod", dns_answers),
    ("a_service_reaches_pods_on_the_other_node", service_across_nodes),
    ("exec_and_logs_work", exec_and_logs),
    ("nodes_reach_gateway_and_plain_machine_on_both_lans", two_lans),
    ("a_nodes_token_may_change_its_own_node_only", node_authorizer),
    ("what_was_killed_comes_back", kill_and_start),
    ("a_rebooted_node_runs_its_pods_again", reboot),
];

/// Four pods over both nodes, ready, and a service: what the other tests ask.
fn web(cluster: &Cluster) -> Vec<Pod> {
    cluster.apply(&deployment("web", 4)).unwrap();
    ready_pods(cluster, "web", 4)
}

/// Twelve processes, two nodes that are ready, each with its own host name.
fn everything_runs(cluster: &mut Cluster) {
    let status = cluster.status().unwrap();
    assert!(status.ready, "{status:#?}");
    assert_eq!(status.ready_nodes, ["node1", "node2"]);
    assert_eq!(status.components.len(), 12);
    let name = cluster.host("node1").unwrap().command("hostname").unwrap().output().unwrap();
    assert_eq!(String::from_utf8_lossy(&name.stdout).trim(), "node1");
}

/// Four pods become ready by HTTP, two on each node, with addresses of their node's range.
fn pods_are_ready(cluster: &mut Cluster) {
    let pods = web(cluster);
    let nodes: BTreeSet<_> = pods.iter().map(|pod| pod.node.as_str()).collect();
    assert_eq!(nodes, BTreeSet::from(["node1", "node2"]));
    for pod in &pods {
        let range = format!("10.244.{}.", pod.node.trim_start_matches("node"));
        assert!(pod.address.starts_with(&range), "{pod:?}");
    }
}

/// Names of services, whole and by the search list; no answer for what is not there.
fn dns_answers(cluster: &mut Cluster) {
    let pod = &web(cluster)[0];
    let addresses =
        exec(cluster, &pod.name, &["/echo", "lookup", "kubernetes.default.svc.cluster.local"]).unwrap();
    assert_eq!(addresses.trim(), "10.96.0.1");
    let service =
        cluster.kubectl_output(["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"]).unwrap();
    let looked = exec(cluster, &pod.name, &["/echo", "lookup", "web"]).unwrap();
    assert_eq!(looked.trim(), service, "by the search list");
    assert!(exec(cluster, &pod.name, &["/echo", "lookup", "nobody.default.svc.cluster.local"]).is_err());
}

/// A ClusterIP leads to both nodes, and pods reach each other with their own addresses.
fn service_across_nodes(cluster: &mut Cluster) {
    let pods = web(cluster);
    let pod = pods.iter().find(|pod| pod.node == "node1").unwrap();
    let mut nodes = BTreeSet::new();
    // The choice is random: 30 answers of one node alone are one case in 2^29.
    for _ in 0..30 {
        let answer = ask(cluster, &pod.name, "http://web/");
        nodes.insert(answer["node"].as_str().unwrap().to_owned());
        if nodes.len() == 2 {
            break;
        }
    }
    assert_eq!(nodes.len(), 2, "both nodes answer for the service: {nodes:?}");
    let said = exec(cluster, &pod.name, &["/echo", "tcp", "web:9000", "across"]).unwrap();
    assert_eq!(said.trim(), "across");
    // Pod to pod on the other node by address: the asker's own address arrives.
    let other = pods.iter().find(|pod| pod.node == "node2").unwrap();
    let answer = ask(cluster, &pod.name, &format!("http://{}:8080/path", other.address));
    assert_eq!(answer["pod"], other.name.as_str());
    assert!(answer["remote"].as_str().unwrap().starts_with(&format!("{}:", pod.address)), "{answer}");
}

/// Through the API server to the kubelet and back.
fn exec_and_logs(cluster: &mut Cluster) {
    for pod in web(cluster) {
        assert_eq!(exec(cluster, &pod.name, &["hostname"]).unwrap().trim(), pod.name);
        let log = cluster.kubectl_output(["logs", &pod.name]).unwrap();
        assert!(log.contains("serving HTTP on :8080"), "{log}");
    }
    assert!(exec(cluster, &pods_of(cluster, "web")[0].name, &["false"]).is_err(), "the exit code arrives");
}

/// Every node reaches gateway and plain machine on both networks.
fn two_lans(cluster: &mut Cluster) {
    for node in cluster.spec().nodes() {
        for address in ["10.60.0.254", "10.60.0.200", "10.61.0.254", "10.61.0.200", "fd60::254", "fd61::200"]
        {
            assert!(pings(cluster, &node, address), "{node} pings {address}");
        }
    }
}

/// The real node authorizer decides on a kubelet's certificate.
fn node_authorizer(cluster: &mut Cluster) {
    // A node's kubeconfig is what a kubelet has: the real Node authorizer and NodeRestriction decide.
    let config = cluster.on_disk("node1", "/etc/kubernetes/kubelet.conf");
    let label = |node: &str| {
        let mut command = cluster.kubectl().unwrap();
        let args = ["annotate", "--overwrite", "node", node, "llano.dev/test=1"];
        command.env("KUBECONFIG", &config).args(args).output().unwrap()
    };
    assert!(label("node1").status.success(), "{:?}", label("node1"));
    let refused = label("node2");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("is forbidden") && said.contains("node 'node1' cannot"), "{said}");
}

/// Killed and started again, the cluster is as it was, and the pods are the same.
fn kill_and_start(cluster: &mut Cluster) {
    let before = web(cluster);
    let victims = [
        Component::Containerd("node1".into()),
        Component::Kubelet("node1".into()),
        Component::Flannel("node2".into()),
        Component::Proxy("node2".into()),
        Component::ApiServer,
        Component::Etcd,
    ];
    for component in &victims {
        cluster.kill(component).unwrap();
        let status = cluster.status().unwrap();
        let of = |one: &&cluster::ComponentStatus| one.component == component.to_string();
        assert!(!status.components.iter().find(of).unwrap().running, "{component} is dead");
        assert!(cluster.kill(component).is_err(), "{component} cannot be killed twice");
        cluster.start(component).unwrap();
    }
    let ready = || Ok(cluster.status()?.ready.then_some(()));
    Cluster::wait("the cluster ready again", PATIENCE, ready).unwrap();
    // The same pods: a dead containerd or kubelet ends no container.
    assert_eq!(web(cluster), before);
    cluster.apply(&deployment("later", 2)).unwrap();
    ready_pods(cluster, "later", 2);
}

/// After a power cut a node's pods come back, and its disk is as it was.
fn reboot(cluster: &mut Cluster) {
    let before = web(cluster);
    // Of its network nothing is left. The number of a namespace would not tell: the kernel gives it out again.
    const OLD: &str = "192.0.2.1";
    let addresses_of_lo =
        |cluster: &Cluster| on(cluster, "node2", &["ip", "address", "show", "dev", "lo"]).unwrap();
    on(cluster, "node2", &["ip", "address", "add", OLD, "dev", "lo"]).unwrap();
    assert!(addresses_of_lo(cluster).contains(OLD));
    let pids = cluster.host("node2").unwrap().processes().unwrap();
    std::fs::write(cluster.on_disk("node2", "/var/lib/cni/kept"), "on disk").unwrap();
    cluster.reboot("node2").unwrap();
    assert!(!addresses_of_lo(cluster).contains(OLD));
    let still: Vec<_> = cluster.host("node2").unwrap().processes().unwrap();
    assert!(!still.iter().any(|process| pids.contains(process)), "every process was killed");
    let kept =
        cluster.host("node2").unwrap().command("cat").unwrap().arg("/var/lib/cni/kept").output().unwrap();
    assert_eq!(kept.stdout, b"on disk");
    // Every sandbox of the node is made anew: its addresses are others.
    let addresses = |pods: &[Pod]| -> BTreeSet<String> {
        pods.iter().filter(|pod| pod.node == "node2").map(|pod| pod.address.clone()).collect()
    };
    let again = Cluster::wait("the pods of node2 anew", PATIENCE, || {
        let pods = pods_of(cluster, "web");
        let fresh = addresses(&pods).is_disjoint(&addresses(&before));
        Ok((pods.len() == 4 && fresh && pods.iter().all(|pod| pod.ready)).then_some(pods))
    })
    .unwrap_or_else(|error| panic!("{error}: {:#?}", pods_of(cluster, "web")));
    let pod = again.iter().find(|pod| pod.node == "node1").unwrap();
    let other = again.iter().find(|pod| pod.node == "node2").unwrap();
    let answer = ask(cluster, &pod.name, &format!("http://{}:8080/", other.address));
    assert_eq!(answer["pod"], other.name.as_str(), "through flannel's new VTEP");
}
