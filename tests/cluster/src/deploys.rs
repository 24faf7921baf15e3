//! Tests of Llano as its users install it, the same for each containerd.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;
use std::sync::OnceLock;

use cluster::Cluster;
use serde_json::{Value, json};

use crate::churn::{Life, under_churn};
use crate::daemon::{self, Entry, IMAGE, NEXT, cni_directories, differences};
use crate::kept::{Kept, NODES, back_to, delete, leased, object};
use crate::networks::{Footprint, NETWORKS, STATUS, interfaces, leases, macvlan_of, pod, with_host_port};
use crate::{PATIENCE, Test, agent, ask_from, on, verbs, wait_for};

/// All of them, in the best order; none needs another to have run. `with` makes their names those of one test program.
pub fn all(with: &str) -> Vec<Test> {
    ALL.iter().map(|(name, test)| (&*Box::leak(format!("{name}{with}").into_boxed_str()), *test)).collect()
}

const ALL: [Test; 8] = [
    ("the_image_is_small_and_every_node_takes_it", image_is_taken),
    ("pods_get_their_networks_through_the_daemon_set", pods_through_it),
    ("plugins_of_others_find_the_nodes_own_programs", host_programs),
    ("the_agents_own_token_is_kept_to_its_node", own_token),
    ("status_and_gc_are_served", status_and_gc),
    ("an_upgrade_disturbs_nobody", upgrade),
    ("a_rebooted_node_comes_back_clean", reboot),
    ("what_is_taken_away_leaves_nothing_and_comes_back", uninstall),
];

/// Each node's network, of its own name, and what its pods ask for.
const ASKED: [(&str, &str); 2] = [("node1", "node1"), ("node2", "node2")];
/// In every message of a sandbox that failed because no agent was there. Nothing else may fail.
const AGENT_AWAY: &str = "llano agent: ";
/// But for one that a runtime began with the list that was just taken away.
const PLUGIN_AWAY: &str = r#"failed to find plugin "llano""#;

type Directories = BTreeMap<&'static str, BTreeMap<PathBuf, Entry>>;

/// The CNI directories as they were before Llano came.
fn before(cluster: &Cluster) -> &'static Directories {
    static BEFORE: OnceLock<Directories> = OnceLock::new();
    BEFORE.get_or_init(|| NODES.into_iter().map(|node| (node, cni_directories(cluster, node))).collect())
}

/// The image on the nodes, the agents running, and the networks.
fn deployed(cluster: &Cluster) {
    before(cluster);
    if !daemon::images(cluster, NODES[0]).iter().any(|name| name == IMAGE) {
        cluster.import(&daemon::archive()).unwrap();
    }
    daemon::apply(cluster, IMAGE);
    for (at, node) in NODES.iter().enumerate() {
        cluster.apply(&macvlan_of(node, &format!("10.7{at}.0.0/16"))).unwrap();
    }
}

fn image_is_taken(cluster: &mut Cluster) {
    before(cluster);
    let archive = daemon::archive();
    println!("the image: {} bytes", std::fs::metadata(&archive).unwrap().len());
    cluster.import(&archive).unwrap();
    for node in NODES {
        let images = daemon::images(cluster, node);
        assert!(images.iter().any(|name| name == IMAGE), "{images:?}");
    }
}

fn pods_through_it(cluster: &mut Cluster) {
    deployed(cluster);
    let before: Vec<Footprint> = NODES.iter().map(|node| Footprint::of(cluster, node)).collect();
    for kept in Kept::all(cluster) {
        let all = interfaces(cluster, &kept.name);
        let names: Vec<_> = all.iter().map(|one| (one.name.as_str(), one.first)).collect();
        assert_eq!(names, [("eth0", true), ("net1", false), ("net2", false)]);
        for interface in &all {
            assert!(kept.interfaces.contains(&format!("{}/", interface.address)), "{kept:?}");
        }
        kept.assert_same(cluster);
    }
    for (node, pod) in daemon::agents(cluster) {
        let container = &pod["status"]["containerStatuses"][0];
        assert_eq!(
            (&container["restartCount"], &container["ready"]),
            (&json!(0), &json!(true)),
            "{node}: {pod:#}"
        );
        // In the container, the node is what the agent sees.
        let name = pod["metadata"]["name"].as_str().unwrap();
        let words = ["-n", "llano", "exec", name, "--", "llano", "status", "--root", "/host"];
        let said = cluster.kubectl_output(words).unwrap_or_else(|error| panic!("{error}"));
        assert!(said.contains("/etc/cni/net.d/00-llano.conflist") && said.contains("listens"), "{said}");
    }
    delete(cluster, &["kept-node1", "kept-node2"]);
    NODES.iter().zip(&before).for_each(|(node, before)| back_to(cluster, node, before));
}

/// The primary network's portmap runs iptables or nft, which no image of ours has.
fn host_programs(cluster: &mut Cluster) {
    deployed(cluster);
    let before = Footprint::of(cluster, "node1");
    let rules = |cluster: &Cluster| on(cluster, "node1", &["nft", "list", "ruleset"]).unwrap();
    assert!(!rules(cluster).contains("18080"));
    cluster.apply(&with_host_port(&pod("mapped", "node1", &[(NETWORKS, "node1")]), 18080)).unwrap();
    wait_for(cluster, &["pod", "mapped"], "condition=Ready", PATIENCE);
    assert!(rules(cluster).contains("18080"), "{}", rules(cluster));
    assert_eq!(ask_from(cluster, "plain", "http://10.60.0.11:18080/")["host"], "mapped");
    delete(cluster, &["mapped"]);
    back_to(cluster, "node1", &before);
    assert!(!rules(cluster).contains("18080"), "{}", rules(cluster));
}

/// What the kubelet has put into the agent's own container.
fn own_token(cluster: &mut Cluster) {
    deployed(cluster);
    Kept::all(cluster);
    let agent = &daemon::agents(cluster)["node1"];
    let uid = agent["metadata"]["uid"].as_str().unwrap();
    let file = format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~projected/token/token");
    let token = on(cluster, "node1", &["cat", &file]).unwrap();
    let own = |text: &str| json!({"metadata": {"annotations": {STATUS: text}}});
    let label = json!({"metadata": {"labels": {"app": "stolen"}}});
    let status =
        object(cluster, "kept-node1")["metadata"]["annotations"][STATUS].as_str().unwrap().to_owned();
    for (pod, patch, refused) in [
        ("kept-node1", own(&status), None),
        ("kept-node1", label.clone(), Some("may not change labels")),
        ("kept-node2", own("[]"), Some("not on the agent's own node")),
        ("kept-node2", label, Some("not on the agent's own node")),
    ] {
        let output = patch_status(cluster, token.trim(), pod, &patch);
        let said = String::from_utf8_lossy(&output.stdout);
        let expected = refused.map_or(r#""kind":"Pod""#, |reason| reason);
        assert!(said.replace(": ", ":").contains(&expected.replace(": ", ":")), "{pod} {patch}: {output:?}");
    }
    delete(cluster, &["kept-node1", "kept-node2"]);
}

/// As the agent does it: kubectl would read the pod first, which the agent has no need to.
fn patch_status(cluster: &Cluster, token: &str, pod: &str, patch: &Value) -> Output {
    let mut command = cluster.host("node1").unwrap().command("curl").unwrap();
    let url = format!("https://10.60.0.1:6443/api/v1/namespaces/default/pods/{pod}/status");
    let args =
        ["-s", "--cacert", "/etc/kubernetes/pki/ca.crt", "-X", "PATCH", "-d", &patch.to_string(), &url];
    let headers =
        [format!("Authorization: Bearer {token}"), "Content-Type: application/merge-patch+json".into()];
    command.args(args).args(headers.iter().flat_map(|header| ["-H", header])).output().unwrap()
}

fn status_and_gc(cluster: &mut Cluster) {
    deployed(cluster);
    verbs::status_and_gc(cluster);
}

/// What came of the pods that came and went: all were ready, and none failed but for an agent that was away.
fn assert_undisturbed(lives: &[Life], away: &[&str]) {
    let failures: Vec<&String> = lives.iter().flat_map(|life| &life.failures).collect();
    let known = |failure: &str| away.iter().any(|reason| failure.contains(reason));
    assert!(failures.iter().all(|failure| known(failure)), "{failures:#?}");
    let slowest = lives.iter().map(|life| life.seconds).max();
    println!(
        "{} pods came and went, {} starts failed, the slowest took {slowest:?} s",
        lives.len(),
        failures.len()
    );
}

fn upgrade(cluster: &mut Cluster) {
    deployed(cluster);
    let (archive, plugin) = daemon::next(cluster);
    cluster.import(&archive).unwrap();
    let before: Vec<Footprint> = NODES.iter().map(|node| Footprint::of(cluster, node)).collect();
    let kept = Kept::all(cluster);
    let (agents, lives) = under_churn(cluster, &ASKED, || {
        let old = daemon::agents(cluster);
        daemon::apply(cluster, NEXT);
        (old, daemon::agents(cluster))
    });
    assert_undisturbed(&lives, &[AGENT_AWAY]);
    for node in NODES {
        let image = |pod: &Value| pod["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
        assert_eq!((image(&agents.0[node]), image(&agents.1[node])), (IMAGE.to_owned(), NEXT.to_owned()));
        let installed = std::fs::read(cluster.on_disk(node, "/opt/cni/bin/llano-cni")).unwrap();
        assert!(installed == plugin, "the plugin on {node} is the new image's");
    }
    assert!(lives.iter().any(|life| life.attached), "some had a network beside the first");
    kept.iter().for_each(|kept| kept.assert_same(cluster));

    // Between two agents: the plugin waits, and no sandbox fails.
    daemon::end(cluster);
    cluster.apply(&pod("between", "node1", &[(NETWORKS, "node1")])).unwrap();
    let waits = || {
        let processes = cluster.host("node1")?.processes()?;
        Ok(processes.iter().any(|process| process.program == "llano-cni").then_some(()))
    };
    Cluster::wait("the plugin to wait for an agent", PATIENCE, waits).unwrap();
    assert!(object(cluster, "between")["status"]["podIP"].is_null());
    daemon::apply(cluster, IMAGE);
    wait_for(cluster, &["pod", "between"], "condition=Ready", PATIENCE);
    assert_eq!(interfaces(cluster, "between").len(), 2);
    kept.iter().for_each(|kept| kept.assert_same(cluster));
    delete(cluster, &["between", "kept-node1", "kept-node2"]);
    NODES.iter().zip(&before).for_each(|(node, before)| back_to(cluster, node, before));
}

/// Power cut and boot: names of sandboxes are others then, so it is numbers that are compared.
fn reboot(cluster: &mut Cluster) {
    deployed(cluster);
    let count = |cluster: &Cluster| {
        let now = Footprint::of(cluster, "node2");
        [now.links.len(), now.namespaces.len(), now.leases.len(), now.routes.len()]
    };
    let empty = count(cluster);
    let kept = Kept::all(cluster).pop().unwrap();
    assert_eq!(kept.name, "kept-node2");
    let full = count(cluster);
    let old = daemon::agents(cluster)["node2"]["status"]["containerStatuses"][0]["containerID"].clone();
    cluster.reboot("node2").unwrap();
    let fresh = || {
        let now = object(cluster, &kept.name);
        let container = &now["status"]["containerStatuses"][0];
        let agent = &daemon::agents(cluster)["node2"]["status"]["containerStatuses"][0];
        let new = container["containerID"] != kept.containers[0][0] && container["ready"] == true;
        let new_agent = agent["containerID"] != old && agent["ready"] == true;
        Ok((new && new_agent && cluster.ready_nodes()?.len() == 2).then_some(()))
    };
    Cluster::wait("the node's pods anew", PATIENCE, fresh)
        .unwrap_or_else(|error| panic!("{error}\n{}", daemon::logs(cluster)));
    assert_eq!(interfaces(cluster, &kept.name).len(), 3);
    let same = |wanted: [usize; 4]| {
        let what = "links, namespaces, leases and routes on node2";
        Cluster::wait(what, PATIENCE, || Ok((count(cluster) == wanted).then_some(()))).unwrap_or_else(
            |error| panic!("{error}: {:#?}, expected {wanted:?}", Footprint::of(cluster, "node2")),
        );
    };
    same(full);
    assert_eq!(leased(cluster, "node2"), 2);
    let records = |wanted: usize| {
        let look = || Ok((agent::attachments(cluster, "node2") == Some(wanted)).then_some(()));
        Cluster::wait("the agent's record", PATIENCE, look)
            .unwrap_or_else(|error| panic!("{error}: {:?}", agent::page(cluster, "node2", "dump")));
    };
    records(2);
    delete(cluster, &["kept-node1", "kept-node2"]);
    same(empty);
    records(0);
}

fn uninstall(cluster: &mut Cluster) {
    deployed(cluster);
    let clean: Vec<Footprint> = NODES.iter().map(|node| Footprint::of(cluster, node)).collect();
    let kept = Kept::all(cluster);
    let as_before = |cluster: &Cluster| {
        for node in NODES {
            let changed = differences(&before(cluster)[node], &cni_directories(cluster, node));
            assert!(changed.is_empty(), "{node}: {changed:#?}");
        }
    };
    let ((), lives) = under_churn(cluster, &ASKED, || {
        let said = daemon::uninstall(cluster, IMAGE);
        as_before(cluster);
        kept.iter().for_each(|kept| kept.assert_same(cluster));
        for kept in &kept {
            let listed = said.lines().find(|line| line.contains(&format!("default/{}", kept.name)));
            assert!(listed.is_some_and(|line| line.contains("net1") && line.contains("net2")), "{said}");
        }
        // One ends while nothing of Llano is there; what it had outside of its namespace waits for who comes.
        delete(cluster, &["kept-node1"]);
        daemon::apply(cluster, IMAGE);
    });
    assert_undisturbed(&lives, &[AGENT_AWAY, PLUGIN_AWAY]);
    let look = || Ok((leased(cluster, "node1") == 0).then_some(()));
    Cluster::wait("the leases of a pod that ended meanwhile", PATIENCE, look)
        .unwrap_or_else(|error| panic!("{error}: {:?}", leases(cluster, "node1")));
    kept[1].assert_same(cluster);

    daemon::uninstall(cluster, IMAGE);
    as_before(cluster);
    delete(cluster, &["kept-node2"]);
    assert_eq!(leased(cluster, "node2"), 2, "nobody has given them back");
    for (node, clean) in NODES.iter().zip(&clean) {
        let llano = netns_tests::bin_dir().join("llano").display().to_string();
        let finish = || {
            Ok(on(cluster, node, &[&llano, "uninstall", "--finish"])
                .map(|said| (!said.contains("keep interfaces")).then_some(said))
                .unwrap_or(None))
        };
        Cluster::wait("what outlived the pods collected", PATIENCE, finish)
            .unwrap_or_else(|error| panic!("{error}"));
        back_to(cluster, node, clean);
        assert!(!cluster.on_disk(node, "/var/lib/llano/agent").exists(), "the store of {node} is gone");
    }
    as_before(cluster);
}
