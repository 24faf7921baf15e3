//! The topology against the real kernel.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)] // A test ends where it cannot go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kernel::{Change, LinkKind, Macvlan, MacvlanMode, NetNs, Netlink, NewLink, SetLink, VethPeer};
use lab::{Lab, LabSpec};
use topology::{NamespaceId, Node, Owner, Topology, namespaces, select};

const SPEC: &str = "
switches: { lan: {} }
hosts: { host: { interfaces: { eth0: { switch: lan, addresses: 10.9.0.1/24 } } } }
";

fn lab() -> lab::Ephemeral {
    Lab::ephemeral(&LabSpec::parse(SPEC).unwrap()).unwrap()
}

fn id(net: &NetNs) -> NamespaceId {
    let (device, inode) = net.id().unwrap();
    NamespaceId { device, inode }
}

fn add(socket: &mut Netlink, link: NewLink) {
    socket.apply(&Change::AddLink(link)).unwrap_or_else(|error| panic!("{error}"));
}

fn macvlan(name: &str, parent: u32, netns: Option<NetNs>) -> NewLink {
    let kind = LinkKind::Macvlan(Macvlan::new(MacvlanMode::Bridge));
    NewLink { parent: Some(parent), netns, ..NewLink::new(name, kind) }
}

fn owners(topology: &Topology, nodes: impl Iterator<Item = Node>) -> Vec<String> {
    let mut all: Vec<String> =
        nodes.map(|node| format!("{} in {}", node.link.name, topology.owner_of(&node))).collect();
    all.sort();
    all
}

#[test]
fn children_are_found_wherever_they_are() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let (web, db) = (host.container("web").unwrap(), host.container("db").unwrap());
    let mut socket = Netlink::open_in(host.net()).unwrap();
    let eth0 = socket.index_of("eth0").unwrap().unwrap();
    add(&mut socket, macvlan("eth0", eth0, Some(web.net().clone())));
    add(&mut socket, macvlan("net1", eth0, Some(db.net().clone())));
    add(&mut socket, macvlan("shim", eth0, None));
    add(&mut socket, NewLink::new("br0", LinkKind::Bridge));
    let peer = VethPeer { name: Some("eth9".into()), netns: Some(db.net().clone()), ..VethPeer::default() };
    add(&mut socket, NewLink::new("veth0", LinkKind::Veth(peer)));
    let index = |name: &str| Netlink::open_in(host.net()).unwrap().index_of(name).unwrap().unwrap();
    let (br0, veth0) = (index("br0"), index("veth0"));
    let set = SetLink { master: Some(br0), ..SetLink::default() };
    socket.apply(&Change::SetLink { index: veth0, set }).unwrap();

    let topology = host.run_in(Topology::read).unwrap().unwrap();
    assert_eq!(topology.namespaces[0].id, id(host.net()));
    let parent = topology.find(id(host.net()), "eth0").unwrap();
    let children = owners(&topology, topology.children_of(parent.id).cloned());
    assert_eq!(children, ["eth0 in netns web", "net1 in netns db", "shim in host"]);
    assert_eq!(parent.addresses[0].net.to_string(), "10.9.0.1/24");
    let bridge = topology.find(id(host.net()), "br0").unwrap();
    assert_eq!(owners(&topology, topology.ports_of(bridge.id).cloned()), ["veth0 in host"]);
    let port = topology.find(id(host.net()), "veth0").unwrap();
    let inner = topology.link(port.peer.unwrap()).unwrap();
    assert_eq!((inner.link.name.as_str(), topology.owner_of(inner).to_string()), ("eth9", "netns db".into()));
    assert_eq!(inner.peer, Some(port.id));
    // The switch's namespace is bound in the machine's mounts, which processes there let the host see.
    let switch = topology.link(parent.peer.unwrap()).unwrap();
    assert_eq!(switch.link.name, "host-eth0");
    assert_eq!(topology.namespace_of(switch).id, id(lab.switch("lan").unwrap().net()));

    let typed = |text: &'static str| host.run_in(move || select(text)).unwrap();
    assert_eq!(&typed("web").unwrap(), web.net());
    assert_eq!(&typed("/run/netns/db").unwrap(), db.net());
    assert!(typed("nobody").is_err());
}

#[test]
fn threads_and_descriptors_are_holders_too() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let mut socket = Netlink::open_in(host.net()).unwrap();
    let eth0 = socket.index_of("eth0").unwrap().unwrap();
    let (mut threads, mut held) = (host.container("of-thread").unwrap(), host.container("of-fd").unwrap());
    for (container, name) in [(&mut threads, "t0"), (&mut held, "f0")] {
        add(&mut socket, macvlan(name, eth0, Some(container.net().clone())));
    }
    let ids = [id(threads.net()), id(held.net())];
    // What is left of the first is a thread in it, of the second our descriptor.
    let net = threads.net().clone();
    let ends = AtomicBool::new(false);
    let descriptor = held.net().clone();
    threads.delete().unwrap();
    held.delete().unwrap();
    std::thread::scope(|scope| {
        let (entered, wait) = std::sync::mpsc::channel();
        let ends = &ends;
        scope.spawn(move || {
            let stay = || {
                entered.send(()).unwrap();
                while !ends.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(2));
                }
            };
            net.run(stay).unwrap();
        });
        wait.recv().unwrap();
        let listed = host.run_in(namespaces).unwrap().unwrap();
        let of_thread = listed.iter().find(|namespace| namespace.id == ids[0]);
        let found = host.run_in(Topology::read);
        ends.store(true, Ordering::Relaxed);
        assert!(matches!(of_thread.unwrap().owner(), Owner::Process(_)), "{of_thread:?}");
        let topology = found.unwrap().unwrap();
        let parent = topology.find(id(host.net()), "eth0").unwrap();
        let mut children: Vec<&str> =
            topology.children_of(parent.id).map(|node| node.link.name.as_str()).collect();
        children.sort_unstable();
        assert_eq!(children, ["f0", "t0"]);
        assert!(topology.find(ids[1], "f0").is_some());
    });
    drop(descriptor);
}

#[test]
fn namespaces_that_come_and_go_are_no_error() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let containers: Vec<_> =
                    (0..5).map(|at| host.container(&format!("c{round}-{at}")).unwrap()).collect();
                let mut socket = Netlink::open_in(host.net()).unwrap();
                let eth0 = socket.index_of("eth0").unwrap().unwrap();
                for container in containers {
                    add(&mut socket, macvlan("eth0", eth0, Some(container.net().clone())));
                    container.delete().unwrap();
                }
            }
        });
        let end = Instant::now() + Duration::from_secs(2);
        let mut failed = None;
        while Instant::now() < end && failed.is_none() {
            failed = host.run_in(Topology::read).unwrap().err();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(failed.is_none(), "{failed:?}");
    });
}

#[test]
fn a_thousand_macvlans_in_two_hundred_namespaces() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let mut socket = Netlink::open_in(host.net()).unwrap();
    let eth0 = socket.index_of("eth0").unwrap().unwrap();
    for at in 0..200 {
        let container = host.container(&format!("pod{at}")).unwrap();
        let made: Vec<Change> = (0..5)
            .map(|n| Change::AddLink(macvlan(&format!("net{n}"), eth0, Some(container.net().clone()))))
            .collect();
        socket.apply_all(&made).unwrap();
    }
    let begin = Instant::now();
    let topology = host.run_in(Topology::read).unwrap().unwrap();
    // For whoever runs it by hand; the benchmark has the figures.
    println!("{} links in {:?}", topology.links.len(), begin.elapsed());
    let parent = topology.find(id(host.net()), "eth0").unwrap();
    assert_eq!(topology.children_of(parent.id).count(), 1000);
}
