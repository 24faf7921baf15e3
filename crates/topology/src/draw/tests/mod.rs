//! Pictures of made-up topologies: names of every kind, forms that every reader takes.

mod strict;

use kernel::Message;
use proptest::prelude::*;

use super::*;
use crate::{Namespace, Process};

/// A link as the kernel would tell it, since only its messages make one.
fn link(
    index: u32,
    name: &[u8],
    kind: &str,
    parent: Option<u32>,
    nsid: Option<i32>,
    alias: &[u8],
) -> kernel::Link {
    let mut attributes = Vec::new();
    let mut add = |kind: u16, value: &[u8]| {
        let length = u16::try_from(value.len() + 4).unwrap();
        attributes.extend(length.to_ne_bytes());
        attributes.extend(kind.to_ne_bytes());
        attributes.extend(value);
        attributes.resize(attributes.len().next_multiple_of(4), 0);
    };
    add(3, &[name, b"\0"].concat());
    add(20, &[alias, b"\0"].concat());
    if let Some(parent) = parent {
        add(5, &parent.to_ne_bytes());
    }
    if let Some(nsid) = nsid {
        add(37, &nsid.to_ne_bytes());
    }
    if !kind.is_empty() {
        let length = u16::try_from(kind.len() + 5).unwrap();
        let info = [&length.to_ne_bytes(), &1u16.to_ne_bytes(), kind.as_bytes(), b"\0"].concat();
        add(18, &info);
    }
    let mut body = vec![0; 16];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body.extend(attributes);
    let length = u32::try_from(body.len() + 16).unwrap();
    let message = [&length.to_ne_bytes()[..], &16u16.to_ne_bytes(), &[0; 10], &body].concat();
    match kernel::message::decode(&message).pop() {
        Some(Message::Link(link)) => link,
        other => panic!("{other:?}"),
    }
}

/// Namespaces, each with a process of that name; links as (namespace, name, parent), a parent being an earlier link.
fn topology(owners: &[String], links: &[(usize, Vec<u8>, Option<usize>)]) -> Topology {
    let mut topology = Topology::default();
    for (at, owner) in owners.iter().enumerate() {
        let mut namespace = Namespace::new(NamespaceId { device: 4, inode: at as u64 });
        namespace.process = Some(Process { pid: 7, name: owner.clone() });
        topology.namespaces.push(namespace);
    }
    for (at, (namespace, name, parent)) in links.iter().enumerate() {
        let index = u32::try_from(at + 1).unwrap();
        let kind = if parent.is_some() { "macvlan" } else { "dummy" };
        let mut node = Node::new(*namespace, link(index, name, kind, None, None, name));
        node.parent = parent.map(|parent| topology.links[parent].id);
        topology.links.push(node);
    }
    topology.index();
    topology
}

#[test]
fn each_link_stands_below_its_parent() {
    let owners = ["one".to_owned(), "two".to_owned()];
    let name = |name: &str| name.as_bytes().to_vec();
    let links = [
        (0, name("eth0"), None),
        (1, name("net10"), Some(0)),
        (1, name("net2"), Some(0)),
        (0, name("shim"), Some(0)),
        (1, name("lone"), None),
    ];
    let topology = topology(&owners, &links);
    let groups = forest(&topology, &Choice::default());
    let names = |group: &Group<'_>| {
        rows(&topology, group)
            .into_iter()
            .map(|row| format!("{} {}", row.name, row.owner))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&groups[0]),
        ["eth0 ", "├─ shim ", "├─ net2 process 7 (two)", "└─ net10 process 7 (two)"]
    );
    assert_eq!(names(&groups[1]), ["lone "]);
    // What leads to the second namespace, and what is in it.
    let choice = Choice { namespace: Some(topology.namespaces[1].id), link: None };
    assert_eq!(drawn(&forest(&topology, &choice)).len(), 4);
    let choice = Choice { namespace: None, link: Some(topology.links[1].id) };
    assert_eq!(drawn(&forest(&topology, &choice)).len(), 1);
}

/// Every key of an object, below it too.
fn keys(value: &serde_json::Value, into: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => object.iter().for_each(|(key, value)| {
            into.insert(key.clone());
            keys(value, into);
        }),
        serde_json::Value::Array(list) => list.iter().for_each(|value| keys(value, into)),
        _ => {}
    }
}

#[test]
fn the_page_tells_every_key_and_no_other() {
    let mut topology = topology(&["x".to_owned()], &[(0, b"a".to_vec(), None), (0, b"b".to_vec(), Some(0))]);
    topology.namespaces[0].pod = Some(crate::Pod::default());
    topology.namespaces[0].container = Some(crate::Container::default());
    topology.links[1].attachment = Some(crate::Attachment {
        network: String::new(),
        container_id: String::new(),
        ifname: String::new(),
        pod: None,
    });
    let mut made = std::collections::BTreeSet::new();
    keys(&serde_json::to_value(crate::record::Record::of(&topology)).unwrap(), &mut made);
    // Only a VLAN has these.
    made.insert("protocol".to_owned());
    let page = include_str!("../../../../../docs/link.md");
    let rows = page.lines().skip_while(|line| !line.starts_with("| key | of |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let told: std::collections::BTreeSet<String> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split(','))
        .map(|key| key.trim().trim_matches('`').to_owned())
        .collect();
    assert_eq!(told, made);
}

#[test]
fn a_ring_is_drawn_all_the_same() {
    let mut topology = topology(&["x".to_owned()], &[(0, b"a".to_vec(), None), (0, b"b".to_vec(), Some(0))]);
    topology.links[0].parent = Some(topology.links[1].id);
    topology.index();
    assert_eq!(drawn(&forest(&topology, &Choice::default())).len(), 2);
}

#[test]
fn strict_readers_refuse_what_is_wrong() {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    assert!(strict::xml(&format!("{head}<a b=\"c&amp;\"><d/>e</a>\n")).is_ok());
    for bad in ["<a>", "<a></b>", "<a b=c/>", "<a>&</a>", "<a>&x;</a>", "<a/><a/>", "x<a/>", "<a>\u{1}</a>"] {
        assert!(strict::xml(&format!("{head}{bad}")).is_err(), "{bad}");
    }
    assert!(strict::dot("digraph links { a [label=\"x\\\"\"]; a -> b [style=dashed]; }").is_ok());
    for bad in [
        "digraph links {",
        "digraph links { a [label=\"x]; }",
        "digraph links { a b; }",
        "digraph links { } x",
    ] {
        assert!(strict::dot(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn every_picture_is_whole_whatever_the_names(
        owners in prop::collection::vec("\\PC{0,20}|[\\x00-\\x7f]{0,20}|[<>&\"'\\\\\n\u{202e}\u{ffff}]{0,9}", 1..4),
        links in prop::collection::vec(
            (0..3usize, prop::collection::vec(1..=255u8, 1..16), prop::option::of(0..20usize)), 1..20),
    ) {
        let links: Vec<_> = links
            .into_iter()
            .enumerate()
            .map(|(at, (namespace, name, parent))| {
                (namespace % owners.len(), name, parent.filter(|_| at > 0).map(|parent| parent % at))
            })
            .collect();
        let topology = topology(&owners, &links);
        let groups = forest(&topology, &Choice::default());
        prop_assert_eq!(drawn(&groups).len(), links.len());

        let all: Vec<Row> = groups.iter().flat_map(|group| rows(&topology, group)).collect();
        prop_assert_eq!(all.len(), links.len());
        for row in &all {
            let text = [&row.name, &row.kind, &row.state, &row.addresses, &row.owner];
            prop_assert!(!text.iter().any(|cell| cell.contains(char::is_control)), "{:?}", row);
        }
        let picture = svg(&topology, &groups);
        if let Err(error) = strict::xml(&picture) {
            prop_assert!(false, "{}: {}", error, picture);
        }
        match strict::dot(&dot(&topology, &groups)) {
            Ok((nodes, edges)) => {
                prop_assert_eq!(nodes.len(), links.len());
                prop_assert_eq!(edges.len(), links.iter().filter(|link| link.2.is_some()).count());
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
        let json = serde_json::to_string(&crate::record::Record::of(&topology)).unwrap();
        let back: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(back["links"].as_array().unwrap().len(), links.len());
    }
}
