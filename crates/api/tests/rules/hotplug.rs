//! A running pod and its changed annotation.

use api::hotplug::{Change, change};
use api::{DefaultRoute, DelegateCall, Error, Result};

use crate::support::{Cluster, SANDBOX, options, pod};

fn cluster() -> Cluster {
    let macvlan = r#"{"type":"macvlan","capabilities":{"mac":true},"ipam":{"type":"static"}}"#;
    Cluster::of(&[("a", macvlan), ("b", macvlan), ("c", macvlan)])
}

fn from_to(before: &str, after: &str) -> Result<(Vec<DelegateCall>, Change)> {
    let held = cluster().plan(before).unwrap().calls;
    let change = change(&held, &pod(after), &SANDBOX, &options(), &cluster())?;
    Ok((held, change))
}

/// What a change comes to: `-net1 +net4=default/b`.
fn came(before: &str, after: &str) -> String {
    let (held, change) = from_to(before, after).unwrap();
    let gone = change.remove.iter().map(|at| format!("-{}", held[*at].ifname));
    let new = change
        .add
        .iter()
        .map(|call| format!("+{}={}", call.ifname, call.network.to_string().replace("default/", "")));
    gone.chain(new).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_asks_for_the_same_stays() {
    assert_eq!(came("a,b,c", "a,b,c"), "");
    assert_eq!(came("a,b,c", r#"[{"name":"a"},{"name":"b","namespace":"default"},{"name":"c"}]"#), "");
    assert_eq!(came("a,b,c", "c,a,b"), "");
    assert_eq!(came("", ""), "");
    assert_eq!(came("a", r#"[{"name":"a","ips":[]}]"#), "");
    // To name an interface by the name it has is no change.
    assert_eq!(came("a,b", "a,b@net2"), "");
    assert_eq!(came("a@x", "a"), "");
}

#[test]
fn what_goes_renames_nothing() {
    assert_eq!(came("a,b,c", "b,c"), "-net1");
    assert_eq!(came("a,b,c", ""), "-net1 -net2 -net3");
    assert_eq!(came("a,a,a", "a"), "-net2 -net3");
    assert_eq!(came("a@x,a@y", "a@y"), "-x");
}

#[test]
fn what_comes_gets_its_number_or_the_next_free_one() {
    assert_eq!(came("", "a,b"), "+net1=a +net2=b");
    assert_eq!(came("a", "a,b"), "+net2=b");
    assert_eq!(came("a,b", "b,c"), "-net1 +net3=c");
    // net1 is the one that stays, so the new one cannot have it.
    assert_eq!(came("a", "b,a"), "+net2=b");
    assert_eq!(came("a,b", "c,b"), "-net1 +net1=c");
    // A name that another new one asks for is not given away.
    assert_eq!(came("", "a,b@net1"), "+net2=a +net1=b");
}

#[test]
fn other_requests_are_another_attachment() {
    assert_eq!(came("a", r#"[{"name":"a","mac":"02:00:00:00:00:01"}]"#), "-net1 +net1=a");
    assert_eq!(came("a@x", "a@y"), "-x +y=a");
    assert_eq!(came("a@x", "b@x"), "-x +x=b");
}

#[test]
fn names_that_are_taken_are_refused() {
    let refused = |before, after| from_to(before, after).unwrap_err();
    assert!(matches!(refused("a", "a,b@net1"), Error::SameInterface { .. }));
    assert!(matches!(refused("a", "a,b@eth0"), Error::SameInterface { .. }));
    assert!(matches!(refused("", "a@x,b@x"), Error::SameInterface { .. }));
    assert!(matches!(refused("a", "a,nope"), Error::NoNetwork(_)));
    assert!(matches!(refused("a", "a,["), Error::Annotation { .. }));
}

#[test]
fn the_default_route_is_the_starts() {
    let refused = from_to("a", r#"[{"name":"a"},{"name":"b","default-route":["10.0.0.1"]}]"#).unwrap_err();
    assert!(refused.to_string().ends_with("the default route is chosen when the pod starts"), "{refused}");
    let winner = r#"{"name":"a","default-route":["10.0.0.1"]}"#;
    let (_, change) = from_to(&format!("[{winner}]"), &format!(r#"[{winner},{{"name":"b"}}]"#)).unwrap();
    assert_eq!(change.add[0].default_route, DefaultRoute::Yields);
    let (_, change) = from_to("a", "a,b").unwrap();
    assert_eq!(change.add[0].default_route, DefaultRoute::Unasked);
}

/// Places are names of attachments in the record: a new one never has an old one's.
#[test]
fn places_are_used_once() {
    let (held, change) = from_to("a,b", "b,c,c").unwrap();
    let new: Vec<usize> = change.add.iter().map(|call| call.position).collect();
    assert_eq!(new, [3, 4]);
    assert!(held.iter().all(|call| !new.contains(&call.position)));
}
