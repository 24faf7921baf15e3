//! Addresses of the cluster, as the handbook's tour has them, and who may do what with them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::ExitCode;

use cluster::{Cluster, ClusterSpec, ECHO_IMAGE};
use cluster_tests::addresses::{active, address_of, claims, held, kubectl, network, objects, subnet};
use cluster_tests::addresses_keeping::ADDRESSES;
use cluster_tests::networks::{DEFAULT_NETWORK, NETWORKS};
use cluster_tests::{PATIENCE, controller, on, pod, run, wait_for, watch};
use serde_json::{Value, json};

fn main() -> ExitCode {
    run(
        ClusterSpec::default(),
        &[
            ("everything_is_installed", installed),
            ("the_tour_gives_addresses_as_the_handbook_says", tour),
            ("pods_of_two_namespaces_on_one_subnet_reach_each_other", one_subnet),
            ("a_team_does_its_part_and_no_more", team),
            ("status_and_columns_tell_the_story", story),
            ("namespaces_on_two_vlans_meet_at_the_router_only", two_vlans),
            ("a_namespace_cannot_take_anothers_addresses", isolation),
            ("pools_named_by_annotation_of_others", others_annotations),
            ("a_full_subnet_says_so", full),
            ("what_is_deleted_leaves_no_claim", nothing_left),
        ],
    )
}

fn installed(cluster: &mut Cluster) {
    controller::apply(cluster);
    assert_eq!(controller::pods(cluster).len(), 2);
}

/// A manifest of the handbook, with an image that the nodes have.
fn example(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/addresses").join(name);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(!text.contains("image:") || text.contains("busybox:1.36"), "{name}");
    text.replace("busybox:1.36", &format!("{ECHO_IMAGE}\n          imagePullPolicy: Never"))
}

fn apply(cluster: &Cluster, manifest: &str) {
    cluster.apply(manifest).unwrap_or_else(|error| panic!("{error}\n{manifest}"));
}

/// Names of the running pods of a workload.
fn pods(cluster: &Cluster, namespace: &str, app: &str, count: usize) -> Vec<String> {
    let ready = || {
        let words = ["-n", namespace, "get", "pods", "-l", &format!("app={app}"), "-o", "json"];
        let list: Value = serde_json::from_str(&cluster.kubectl_output(words)?).unwrap();
        let pods = list["items"].as_array().unwrap();
        let is_ready = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            pod["metadata"]["deletionTimestamp"].is_null()
                && conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
        };
        let names = pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect();
        Ok((pods.len() == count && pods.iter().all(is_ready)).then_some(names))
    };
    Cluster::wait(&format!("{count} pods of {namespace}/{app}"), PATIENCE, ready).unwrap_or_else(|error| {
        let words = ["-n", namespace, "describe", "pods", "-l", &format!("app={app}")];
        panic!(
            "{error}\n{}\n{}",
            cluster.kubectl_output(words).unwrap(),
            cluster_tests::daemon::logs(cluster)
        )
    })
}

fn exec(cluster: &Cluster, namespace: &str, pod: &str, command: &[&str]) -> cluster::Result<String> {
    cluster.kubectl_output([&["-n", namespace, "exec", pod, "--"], command].concat())
}

/// What the pod itself says about an interface: MAC and addresses.
fn on_the_wire(cluster: &Cluster, namespace: &str, pod: &str, interface: &str) -> String {
    exec(cluster, namespace, pod, &["ip", "address", "show", "dev", interface]).unwrap()
}

fn tour(cluster: &mut Cluster) {
    for name in ["10-network.yaml", "20-subnets.yaml"] {
        apply(cluster, &example(name));
    }
    for namespace in ["shop", "bank"] {
        wait_for_definition(cluster, namespace, "lan");
    }
    let names = ["30-automatic.yaml", "40-ips.yaml", "50-ips-and-macs.yaml", "60-statefulset.yaml"];
    names.iter().for_each(|name| apply(cluster, &example(name)));
    let mut seen = BTreeSet::new();
    for (app, count) in [("web", 3), ("printers", 2), ("licensed", 2), ("db", 3)] {
        for pod in pods(cluster, "shop", app, count) {
            let claim = address_of(cluster, &format!("shop/{pod}"), "net1", false);
            let last: u8 = claim.address.strip_prefix("10.20.0.").unwrap().parse().unwrap();
            let allowed = match app {
                "printers" => 50..=51,
                "licensed" => 60..=61,
                _ => 100..=199,
            };
            assert!(allowed.contains(&last), "{app}: {claim:?}");
            if app == "licensed" {
                assert_eq!(claim.mac, format!("02:00:5e:10:00:{last}"), "the pair of the address");
            }
            let wire = on_the_wire(cluster, "shop", &pod, "net1");
            assert!(wire.contains(&format!("inet {}/24", claim.address)), "{claim:?}: {wire}");
            assert!(wire.contains(&claim.mac), "{claim:?}: {wire}");
            assert!(seen.insert(claim.address.clone()), "{claim:?} is given twice");
        }
    }
    assert_eq!(seen.len(), 10);
}

fn wait_for_definition(cluster: &Cluster, namespace: &str, name: &str) {
    let made = || {
        let words = ["-n", namespace, "get", "network-attachment-definition", name, "-o", "name"];
        Ok(cluster.kubectl_output(words).ok())
    };
    Cluster::wait(&format!("{namespace}/{name}"), PATIENCE, made)
        .unwrap_or_else(|error| panic!("{error}\n{}", cluster_tests::daemon::logs(cluster)));
}

/// Seed 003: the same subnet, two namespaces: no address twice, and they connect.
fn one_subnet(cluster: &mut Cluster) {
    let asker = one_pod("asker", "bank", "node1", &[(NETWORKS, "lan")]);
    apply(cluster, &asker);
    wait_for(cluster, &["-n", "bank", "pod/asker"], "condition=Ready", PATIENCE);
    let own = address_of(cluster, "bank/asker", "net1", false);
    let shop: Vec<_> = active(cluster).into_iter().filter(|one| one.pod.starts_with("shop/")).collect();
    assert!(shop.iter().all(|one| one.address != own.address) && !shop.is_empty());
    let nodes: BTreeSet<&str> = shop.iter().map(|one| one.node.as_str()).collect();
    assert_eq!(nodes.len(), 2, "on both nodes: {shop:?}");
    for one in &shop {
        let ping = ["ping", "-c1", "-W5", "-I", "net1", one.address.as_str()];
        exec(cluster, "bank", "asker", &ping).unwrap_or_else(|error| panic!("{one:?}: {error}"));
    }
    cluster.kubectl_output(["-n", "bank", "delete", "pod", "asker"]).unwrap();
}

/// A pod of the test image on a node.
fn one_pod(name: &str, namespace: &str, node: &str, annotations: &[(&str, &str)]) -> String {
    let mut pod = pod(name, name, annotations);
    pod["metadata"]["namespace"] = json!(namespace);
    pod["spec"]["nodeName"] = json!(node);
    pod.to_string()
}

/// The message of an event of that reason on a pod.
fn told(cluster: &Cluster, namespace: &str, pod: &str, reason: &str) -> String {
    let selector = format!("involvedObject.name={pod},reason={reason}");
    watch(cluster, &["events", "-n", namespace, "--field-selector", &selector], PATIENCE, |event| {
        Some(event["message"].as_str()?.to_owned())
    })
}

/// Who has llano-use in one namespace, and who has nothing.
fn team(cluster: &mut Cluster) {
    apply(cluster, &example("70-team.yaml"));
    let reservation = example("80-reservation.yaml");
    let create = |user: &str, text: &str| kubectl(cluster, &["--as", user, "create", "-f", "-"], text);
    let refused = create("stranger", &reservation).unwrap_err();
    assert!(refused.contains("forbidden") && refused.contains("macvlanreservations"), "{refused}");
    create("teller", &reservation).unwrap();
    let elsewhere = create("teller", &reservation.replace("namespace: bank", "namespace: shop")).unwrap_err();
    assert!(elsewhere.contains("forbidden"), "{elsewhere}");
    for object in [subnet("own", "lan", "10.99.0.0/24", &json!({})), network("own", "eth1", &[])] {
        let refused = create("teller", &object).unwrap_err();
        assert!(refused.contains("forbidden"), "{refused}");
    }
    let hidden = cluster.kubectl_output(["--as", "teller", "get", "mip"]).unwrap_err().to_string();
    assert!(hidden.contains("forbidden"), "{hidden}");
    apply(cluster, &example("90-reserved.yaml"));
    let tellers = pods(cluster, "bank", "tellers", 3);
    // What they have, by the status, which the team may read.
    let status = || {
        let words = ["--as", "teller", "-n", "bank", "get", "mres", "tellers", "-o", "json"];
        let object: Value = serde_json::from_str(&cluster.kubectl_output(words)?).unwrap();
        let addresses = object["status"]["addresses"].as_array().cloned().unwrap_or_default();
        let of: BTreeSet<String> =
            addresses.iter().filter_map(|one| one["pod"].as_str().map(str::to_owned)).collect();
        Ok((addresses.len() == 4 && of == tellers.iter().cloned().collect()).then_some(addresses))
    };
    let addresses = Cluster::wait("the reservation's status", PATIENCE, status)
        .unwrap_or_else(|error| panic!("{error}: {:#?}", objects(cluster, "mres")));
    for pod in &tellers {
        let claim = address_of(cluster, &format!("bank/{pod}"), "net1", false);
        let last: u8 = claim.address.strip_prefix("10.20.0.").unwrap().parse().unwrap();
        assert!((70..=73).contains(&last), "{claim:?}");
        let says =
            addresses.iter().any(|one| one["pod"] == pod.as_str() && one["ip"] == claim.address.as_str());
        assert!(says, "{pod}: {addresses:?}");
    }
    assert_eq!(held(cluster).get("Reservation"), Some(&1), "the fourth address is kept");
    // Nobody else gets it, also by name.
    let thief = one_pod(
        "thief",
        "shop",
        "node2",
        &[(NETWORKS, "lan"), (ADDRESSES, r#"{"ips": ["10.20.0.70-10.20.0.73"]}"#)],
    );
    apply(cluster, &thief);
    let said = told(cluster, "shop", "thief", "WaitingForAddress");
    assert!(said.contains("10.20.0.7"), "{said}");
    cluster.kubectl_output(["-n", "shop", "delete", "pod", "thief", "--grace-period=0", "--force"]).unwrap();
}

/// `kubectl get` of the four kinds, and the status of subnets.
fn story(cluster: &mut Cluster) {
    let status = || {
        let all = objects(cluster, "msubnet");
        let lan = all.iter().find(|one| one["metadata"]["name"] == "lan").unwrap();
        let status = &lan["status"];
        let numbers = ["total", "used", "free", "held", "quarantined"].map(|key| status[key].as_i64());
        Ok((numbers == [Some(100), Some(6), Some(94), Some(0), Some(0)]).then_some(()))
    };
    Cluster::wait("the subnet's numbers", PATIENCE, status)
        .unwrap_or_else(|error| panic!("{error}: {:#?}", objects(cluster, "msubnet")));
    let table = cluster.kubectl_output(["get", "mvn,msubnet,mip", "-A"]).unwrap();
    println!("{table}");
    for word in ["macvlannetwork.llano.dev/lan", "macvlansubnet.llano.dev/lan-fixed", "10.20.0.60", "db-0"] {
        assert!(table.contains(word), "{word}: {table}");
    }
    let llano = |args: &[&str]| {
        let program = netns_tests::bin_dir().join("llano").display().to_string();
        let words: Vec<&str> =
            [&[program.as_str()], args, &["--kubeconfig", "/etc/kubernetes/admin.conf"]].concat();
        on(cluster, "control", &words).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    };
    let db = address_of(cluster, "shop/db-0", "net1", false);
    let who = llano(&["ip", "who", &db.address]);
    assert!(who.contains("shop/db-0") && who.contains(&db.node), "{who}");
    let list = llano(&["ip", "list"]);
    assert!(list.contains(&db.address) && list.lines().count() > 13, "{list}");
    let map = llano(&["subnet", "show", "lan"]);
    println!("{map}");
    assert!(map.contains("10.20.0.0/24"), "{map}");
    assert!(llano(&["subnet", "list"]).contains("lan-fixed"));
    let free = llano(&["ip", "free", "lan"]);
    assert!(!free.contains(&db.address), "{free}");
}

/// Seed 003: the two uplinks stand for two VLANs.
fn two_vlans(cluster: &mut Cluster) {
    let gateway = |lan: u8| {
        json!({
            "gateway": format!("10.6{lan}.0.254"), "ranges": [format!("10.6{lan}.0.100-10.6{lan}.0.119")], "default": true,
            "namespaceSelector": {"matchLabels": {"vlan": lan.to_string()}},
        })
    };
    for (namespace, lan) in [("red", 0_u8), ("blue", 1)] {
        let labels = json!({"vlan": lan.to_string()});
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}});
        apply(cluster, &object.to_string());
        apply(cluster, &network(namespace, &format!("eth{lan}"), &[(namespace, "standalone")]));
        apply(cluster, &subnet(namespace, namespace, &format!("10.6{lan}.0.0/24"), &gateway(lan)));
        wait_for_definition(cluster, namespace, namespace);
        for node in ["node1", "node2"] {
            let first = format!("{namespace}/{namespace}");
            let pod = one_pod(&format!("{namespace}-{node}"), namespace, node, &[(DEFAULT_NETWORK, &first)]);
            apply(cluster, &pod);
        }
    }
    let mut addresses = Vec::new();
    for namespace in ["red", "blue"] {
        for node in ["node1", "node2"] {
            let pod = format!("{namespace}-{node}");
            wait_for(cluster, &["-n", namespace, &format!("pod/{pod}")], "condition=Ready", PATIENCE);
            addresses.push((
                namespace,
                pod.clone(),
                address_of(cluster, &format!("{namespace}/{pod}"), "eth0", false).address,
            ));
        }
    }
    let reaches = |from: &(&str, String, String), to: &str| {
        exec(cluster, from.0, &from.1, &["ping", "-c1", "-W2", to]).is_ok()
    };
    let forwarding = |on_or_off: &str| {
        let setting = format!("net.ipv4.ip_forward={on_or_off}");
        on(cluster, "gateway", &["sysctl", "-w", &setting]).unwrap();
    };
    for routed in [true, false] {
        forwarding(if routed { "1" } else { "0" });
        for from in &addresses {
            for to in &addresses {
                let expected = from.0 == to.0 || routed;
                assert_eq!(reaches(from, &to.2), expected, "{} to {} with a router: {routed}", from.1, to.1);
            }
        }
    }
    forwarding("1");
}

/// What a namespace's pods may have is enforced by the API server, and at ADD while nobody answers the webhook.
fn isolation(cluster: &mut Cluster) {
    let thief = |name: &str, asked: &str| {
        one_pod(name, "red", "node1", &[(DEFAULT_NETWORK, "red/red"), (ADDRESSES, asked)])
    };
    let cases =
        [("names", r#"{"subnet": "blue"}"#, "blue"), ("takes", r#"{"ips": ["10.61.0.110"]}"#, "10.61.0.110")];
    let refused = controller::create(cluster, &[], &thief("names", cases[0].1)).unwrap_err();
    assert!(refused.contains("llano.dev/addresses") && refused.contains("blue"), "{refused}");
    let reservation = json!({
        "apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanReservation",
        "metadata": {"name": "theft", "namespace": "red"},
        "spec": {"subnet": "blue", "ranges": ["10.61.0.105-10.61.0.106"]},
    });
    let refused = controller::create(cluster, &[], &reservation.to_string()).unwrap_err();
    assert!(refused.contains("spec.subnet") && refused.contains("namespaceSelector"), "{refused}");
    let scale = |count: &str| {
        cluster
            .kubectl_output(["-n", "llano", "scale", "deployment/llano-controller", "--replicas", count])
            .unwrap();
        let there = || Ok((controller::pods(cluster).len().to_string() == count).then_some(()));
        Cluster::wait("the controllers", PATIENCE, there).unwrap();
    };
    scale("0");
    for (name, asked, word) in cases {
        apply(cluster, &thief(name, asked));
        let said = told(cluster, "red", name, "NoSubnet");
        assert!(said.contains(word), "{said}");
    }
    let words = ["-n", "red", "delete", "pod", "names", "takes", "--grace-period=0", "--force"];
    cluster.kubectl_output(words).unwrap();
    scale("2");
    controller::apply(cluster);
}

/// Seed 000's pools, and what Spiderpool's and Rancher's users have on their workloads.
fn others_annotations(cluster: &mut Cluster) {
    type Case = (&'static str, &'static [(&'static str, &'static str)], RangeInclusive<u8>);
    let cases: [Case; 4] = [
        ("pool", &[("ipam.spidernet.io/ippool", r#"{"ipv4": ["lan-fixed"]}"#)], 50..=89),
        ("pools", &[("ipam.spidernet.io/ippools", r#"[{"interface": "net1", "ipv4": ["lan"]}]"#)], 100..=199),
        (
            "pandaria",
            &[
                ("macvlan.pandaria.cattle.io/ip", "10.20.0.80-10.20.0.81"),
                ("macvlan.pandaria.cattle.io/mac", "auto"),
                ("macvlan.pandaria.cattle.io/subnet", "lan-fixed"),
            ],
            80..=81,
        ),
        (
            "flat",
            &[
                ("flatnetwork.pandaria.io/ip", "10.20.0.85"),
                ("flatnetwork.pandaria.io/mac", "02:00:5e:10:00:85"),
                ("flatnetwork.pandaria.io/subnet", "lan-fixed"),
            ],
            85..=85,
        ),
    ];
    for (name, annotations, allowed) in cases {
        let all = [&[(NETWORKS, "lan")][..], annotations].concat();
        apply(cluster, &one_pod(name, "shop", "node2", &all));
        wait_for(cluster, &["-n", "shop", &format!("pod/{name}")], "condition=Ready", PATIENCE);
        let claim = address_of(cluster, &format!("shop/{name}"), "net1", false);
        let last: u8 = claim.address.strip_prefix("10.20.0.").unwrap().parse().unwrap();
        assert!(allowed.contains(&last), "{name}: {claim:?}");
        if name == "flat" {
            assert_eq!(claim.mac, "02:00:5e:10:00:85");
        }
    }
    cluster.kubectl_output(["-n", "shop", "delete", "pod", "pool", "pools", "pandaria", "flat"]).unwrap();
}

/// Two addresses, three pods: the third waits, is told who has them, and has one when another ends.
fn full(cluster: &mut Cluster) {
    apply(cluster, &subnet("tiny", "lan", "10.20.0.0/24", &json!({"ranges": ["10.20.0.210-10.20.0.211"]})));
    let asked = [(NETWORKS, "lan"), (ADDRESSES, r#"{"subnet": "tiny"}"#)];
    for (name, node) in [("first", "node1"), ("second", "node2")] {
        apply(cluster, &one_pod(name, "shop", node, &asked));
        wait_for(cluster, &["-n", "shop", &format!("pod/{name}")], "condition=Ready", PATIENCE);
    }
    apply(cluster, &one_pod("third", "shop", "node1", &asked));
    let said = told(cluster, "shop", "third", "AddressesExhausted");
    assert!(said.contains("subnet tiny (2 usable addresses: 2 used"), "{said}");
    assert!(
        said.contains("in namespace shop: ") && ["(first)", "(second)"].iter().all(|pod| said.contains(pod)),
        "{said}"
    );
    cluster.kubectl_output(["-n", "shop", "delete", "pod", "first"]).unwrap();
    wait_for(cluster, &["-n", "shop", "pod/third"], "condition=Ready", PATIENCE);
    cluster.kubectl_output(["-n", "shop", "delete", "pod", "second", "third"]).unwrap();
    cluster.kubectl_output(["delete", "msubnet", "tiny", "--timeout=60s"]).unwrap();
}

fn nothing_left(cluster: &mut Cluster) {
    cluster.kubectl_output(["delete", "namespace", "shop", "bank", "red", "blue", "--timeout=120s"]).unwrap();
    let empty = || Ok(claims(cluster).is_empty().then_some(()));
    Cluster::wait("no claim", PATIENCE, empty)
        .unwrap_or_else(|error| panic!("{error}: {:#?}", claims(cluster)));
    cluster.kubectl_output(["delete", "msubnet,mvn", "--all", "--timeout=60s"]).unwrap();
}
