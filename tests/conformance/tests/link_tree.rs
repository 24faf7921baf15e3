//! `llano link tree` on two hosts with containerd, podman and named namespaces: every link with its owner, compared with
//! what `ip` says in each namespace.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test ends where it cannot go on.

#[path = "../../../crates/topology/src/draw/tests/strict.rs"]
mod strict;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use conformance_tests::{Caller, Whose, prepare};
use kernel::NetNs;
use lab::runtime::Running;
use lab::{Host, SEED_002_CONF};
use serde_json::Value;

/// Runs `llano` on a host.
fn llano(host: &Host, args: &[&str]) -> String {
    let program = netns_tests::bin_dir().join("llano");
    let output = host.command(program).unwrap().args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn ip(host: &Host, words: &str) {
    let status = host.command("ip").unwrap().args(words.split(' ')).status().unwrap();
    assert!(status.success(), "ip {words}");
}

fn inode(net: &NetNs) -> u64 {
    net.id().unwrap().1
}

/// What `ip` says of the links of a namespace, each as one line.
fn truth(net: &NetNs) -> BTreeSet<String> {
    let output = net.run(|| Command::new("ip").args(["-d", "-j", "link"]).output().unwrap()).unwrap();
    let links: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |link: &Value| {
        let flags = link["flags"].as_array().unwrap();
        let info = &link["linkinfo"];
        let kind = match text(&info["info_kind"]) {
            kind if kind.is_empty() && flags.contains(&"LOOPBACK".into()) => "loopback".to_owned(),
            kind if kind.is_empty() => "device".to_owned(),
            kind => kind,
        };
        let mode = if kind.starts_with("mac") { text(&info["info_data"]["mode"]) } else { String::new() };
        let other = match (&link["link"], link["link_index"].as_u64()) {
            (Value::String(name), _) => name.clone(),
            (_, Some(index)) => format!("#{index}"),
            _ => String::new(),
        };
        format!(
            "{} {} {} {kind} {mode} {} mtu {} promiscuity {} up {} {} port of {:?} on {other:?}",
            inode(net),
            link["ifindex"],
            text(&link["ifname"]),
            text(&link["address"]),
            link["mtu"],
            link["promiscuity"],
            flags.contains(&"UP".into()),
            text(&link["operstate"]).to_lowercase(),
            text(&link["master"]),
        )
    };
    links.iter().map(line).collect()
}

/// What `ip` says, and what the tree says between two answers of `ip` that are equal: the kernel tells of a carrier some
/// time after it is there.
fn settled(nets: &[NetNs], tree: impl Fn() -> String) -> (BTreeSet<String>, Value) {
    for _ in 0..50 {
        let before: BTreeSet<String> = nets.iter().flat_map(truth).collect();
        let tree = tree();
        if nets.iter().flat_map(truth).collect::<BTreeSet<_>>() == before {
            return (before, serde_json::from_str(&tree).unwrap());
        }
    }
    panic!("the links do not come to rest");
}

/// What the tree says of the links of these namespaces, in the same lines.
fn told(tree: &Value, inodes: &BTreeSet<u64>) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |link: &Value| {
        let end = if link["parent"].is_null() { &link["peer"] } else { &link["parent"] };
        let other = match end {
            Value::Null => String::new(),
            end if end["namespace"] == link["namespace"] => text(&end["name"]),
            end => format!("#{}", end["index"]),
        };
        let mode = if text(&link["kind"]).starts_with("mac") { text(&link["mode"]) } else { String::new() };
        format!(
            "{} {} {} {} {mode} {} mtu {} promiscuity {} up {} {} port of {:?} on {other:?}",
            link["namespace"],
            link["index"],
            text(&link["name"]),
            text(&link["kind"]),
            if link["mac"].is_null() { "00:00:00:00:00:00".to_owned() } else { text(&link["mac"]) },
            link["mtu"],
            link["promiscuity"],
            link["up"],
            text(&link["state"]),
            text(&link["controller"]["name"]),
        )
    };
    let links = tree["links"].as_array().unwrap().iter();
    links.filter(|link| inodes.contains(&link["namespace"].as_u64().unwrap())).map(line).collect()
}

#[test]
fn every_link_of_two_hosts_has_its_owner_and_its_parent() {
    let lab = netns_tests::silent_gateway();
    let (host1, host2) = (lab.host("host1").unwrap(), lab.host("host2").unwrap());
    prepare(host1, Whose::Llano, SEED_002_CONF, None);
    prepare(host2, Whose::Llano, SEED_002_CONF, Some("172.16.129.111"));
    let containerd = Caller::Containerd.on(host1, SEED_002_CONF);
    let podman = Caller::Podman.on(host2, SEED_002_CONF);
    let start = |on: &dyn lab::runtime::Runtime, name| on.run(name).unwrap_or_else(|error| panic!("{error}"));
    let (a, b): (Running, Running) = (start(&*containerd, "a"), start(&*podman, "b"));
    let (web, db) = (host1.container("web").unwrap(), host2.container("db").unwrap());
    let eth0 = "link add link eth0 name";
    ip(host1, &format!("{eth0} net1 netns web type macvlan mode vepa"));
    ip(host1, &format!("{eth0} net2 netns web type macvlan mode private"));
    ip(host1, &format!("{eth0} shim type macvlan mode bridge"));
    ip(host2, &format!("{eth0} net1 netns db type macvtap mode bridge"));
    ip(host2, "link add br0 type bridge");
    ip(host2, "link add veth0 type veth peer name eth1 netns db");
    ip(host2, "link set veth0 master br0 up");

    let mut nets: Vec<NetNs> = lab.hosts().iter().map(|host| host.net().clone()).collect();
    nets.extend(lab.switches().iter().map(|switch| switch.net().clone()));
    nets.extend([a.net(), b.net(), web.net(), db.net()].map(NetNs::clone));
    let inodes: BTreeSet<u64> = nets.iter().map(inode).collect();
    for host in [host1, host2] {
        let (before, tree) = settled(&nets, || llano(host, &["link", "tree", "--output", "json"]));
        assert_eq!(told(&tree, &inodes), before, "seen from {}", host.name());

        let owners: BTreeMap<u64, String> = tree["namespaces"]
            .as_array()
            .unwrap()
            .iter()
            .map(|namespace| {
                (namespace["namespace"].as_u64().unwrap(), namespace["owner"].as_str().unwrap().to_owned())
            })
            .collect();
        let owner = |net: &NetNs| owners[&inode(net)].as_str();
        assert_eq!(owner(host.net()), "host");
        assert_eq!((owner(a.net()), owner(b.net())), ("container a (containerd)", "container b (podman)"));
        let named = [(host1, web.net(), "netns web"), (host2, db.net(), "netns db")];
        for (of, net, name) in named {
            let of_here = of.name() == host.name();
            assert!(owner(net).starts_with(name), "{}", owner(net));
            assert_eq!(owner(net) == name, of_here, "{}", owner(net));
        }
        // Parents across namespaces, each in the right one.
        let parents: BTreeSet<(u64, String, u64, String)> = tree["links"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|link| link["kind"].as_str().unwrap().starts_with("mac"))
            .filter(|link| inodes.contains(&link["namespace"].as_u64().unwrap()))
            .map(|link| {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let parent = &link["parent"];
                let of = parent["namespace"].as_u64().unwrap();
                (link["namespace"].as_u64().unwrap(), text(&link["name"]), of, text(&parent["name"]))
            })
            .collect();
        let (one, two) = (host1.net(), host2.net());
        let expected = [
            (a.net(), "eth0", one),
            (web.net(), "net1", one),
            (web.net(), "net2", one),
            (one, "shim", one),
            (b.net(), "eth0", two),
            (db.net(), "net1", two),
        ];
        let expected: BTreeSet<_> = expected
            .into_iter()
            .map(|(net, name, parent)| (inode(net), name.to_owned(), inode(parent), "eth0".to_owned()))
            .collect();
        assert_eq!(parents, expected);
    }
    let tree: Value = serde_json::from_str(&llano(host1, &["link", "tree", "--output", "json"])).unwrap();
    let in_a = |link: &&Value| link["namespace"] == inode(a.net()) && link["name"] == "eth0";
    let eth0 = tree["links"].as_array().unwrap().iter().find(in_a).unwrap();
    assert_eq!(eth0["attachment"]["network"], "k8s-pod-network", "from the CNI cache: {eth0}");
    assert_eq!(eth0["addresses"][0], "172.16.129.110/24");

    let text = llano(host1, &["link", "tree", "eth0"]);
    for part in ["├─ shim", "container a (containerd), network k8s-pod-network", "netns web", "macvlan vepa"]
    {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert!(!text.contains('\x1b') && !text.contains("container b"), "{text}");
    let picture = llano(host1, &["link", "tree", "--output", "svg"]);
    let texts = strict::xml(&picture).unwrap_or_else(|error| panic!("{error}\n{picture}"));
    assert!(texts.iter().any(|text| text.contains("container a (containerd)")), "{picture}");
    let graph = llano(host1, &["link", "tree", "--netns", "web", "--output", "dot"]);
    let (nodes, edges) = strict::dot(&graph).unwrap_or_else(|error| panic!("{error}\n{graph}"));
    assert_eq!((nodes.len(), edges.len()), (3, 2), "{graph}");

    // The container is found by its name, also by podman's on the other host, and by its process.
    for (host, typed, link) in [(host1, "a", "eth0"), (host2, "b", "eth0"), (host2, "db", "eth1")] {
        let shown = llano(host, &["link", "show", link, "--netns", typed, "--output", "json"]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown[0]["name"], link);
    }
    podman.remove(b).unwrap();
    containerd.remove(a).unwrap();
}
