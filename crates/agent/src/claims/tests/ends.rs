//! What becomes of an address afterwards.

use std::time::{Duration, Instant};

use claims::{Owner, Reason, Time};
use serde_json::json;

use super::{Agent, Server, made_by, pod, subnet};
use crate::claims::{Claims, Gone, Owned};

fn lan(more: &serde_json::Value) -> api::kinds::Subnet {
    subnet("lan4", "10.0.0.0/24", more)
}

fn owned(address: &str, container: &str) -> Owned {
    Owned {
        network: "lan".to_owned(),
        address: address.parse().unwrap(),
        container_id: container.to_owned(),
        interface: "eth0".to_owned(),
    }
}

#[test]
fn an_address_is_free_at_the_end_and_can_be_had_at_once() {
    let server = Server::default();
    let node = Agent::new(&server, "n1", vec![lan(&json!({"ranges": ["10.0.0.5"]}))]);
    for round in 0..3 {
        let container = format!("c{round}");
        node.get(&pod("web", &format!("u{round}")), &container, None).unwrap();
        node.end(&container, true).unwrap();
        // A DEL is repeated by the runtime.
        node.end(&container, true).unwrap();
        assert_eq!(server.log(), ["create lan.10.0.0.5", "delete lan.10.0.0.5"], "one write each");
        assert!(server.texts().is_empty());
    }
}

#[test]
fn an_address_rests_when_it_was_used_and_only_then() {
    let server = Server::default();
    let node = Agent::new(&server, "n1", vec![lan(&json!({"ranges": ["10.0.0.5"], "reuseDelay": "10m"}))]);
    node.get(&pod("web", "u1"), "c1", None).unwrap();
    node.end("c1", false).unwrap();
    assert!(server.texts().is_empty(), "nobody on the LAN has seen it");
    node.get(&pod("web", "u2"), "c2", None).unwrap();
    node.end("c2", true).unwrap();
    assert_eq!(server.texts(), ["lan.10.0.0.5 web ReuseDelay"]);
    let hold = server.claim("lan.10.0.0.5").hold.unwrap();
    assert_eq!((hold.since, hold.until), (Time(1_000_000), Some(Time(1_000_600))));
    node.deliver();
    let full = node.get(&pod("web", "u3"), "c3", None).unwrap_err();
    assert!(full.contains("1 usable addresses: 0 used, 1 held, 0 in quarantine"), "{full}");
}

#[test]
fn a_stateful_pods_address_is_held_for_the_pod_that_may_still_come_back() {
    let server = Server::default();
    let node = Agent::new(&server, "n1", vec![lan(&json!({"ranges": ["10.0.0.5"]}))]);
    let db = made_by("StatefulSet", "db", pod("db-0", "u"));
    for (ended, uid) in [(false, "u"), (true, "")] {
        node.get(&db, "c", None).unwrap();
        if ended {
            server.lock().ended.insert("u".to_owned());
        }
        node.end("c", true).unwrap();
        let claim = server.claim("lan.10.0.0.5");
        assert_eq!(claim.hold.unwrap().reason, Reason::StatefulSet);
        assert_eq!((claim.owner.uid.as_str(), claim.owner.node.as_str()), (uid, ""));
        node.deliver();
    }
}

#[test]
fn an_end_does_not_wait_for_lists() {
    let server = Server::default();
    let ranges = json!({"ranges": ["10.0.0.5"]});
    Agent::new(&server, "n1", vec![lan(&ranges)]).get(&pod("web", "u"), "c", None).unwrap();
    server.log();
    // The next agent of the node: it has listed nothing yet.
    let next = Agent::unlisted(&server, "n1");
    assert!(next.claimer.owned().is_none() && next.claimer.waits_for().is_some());
    let late = next.ask(&pod("new", "un"), "cn", None).unwrap_err();
    assert_eq!(late.to_string(), "the API server has not listed the MacvlanSubnets yet");
    let addresses = ["10.0.0.5".parse().unwrap(), "10.0.0.6".parse().unwrap()];
    let gone =
        Gone { network: "lan", container_id: "c", interface: "eth0", addresses: &addresses, used: true };
    next.claimer.release(&gone, Instant::now()).unwrap();
    assert_eq!(server.log(), ["read lan.10.0.0.5", "delete lan.10.0.0.5", "read lan.10.0.0.6"]);
}

#[test]
fn what_somebody_else_on_the_lan_uses_is_nobodys_for_a_while() {
    let server = Server::default();
    let node = Agent::new(&server, "n1", vec![lan(&json!({"ranges": ["10.0.0.5-10.0.0.6"]}))]);
    let web = pod("web", "u");
    let first = node.get(&web, "c", None).unwrap();
    let claim = owned(&first, "c");
    // Not another sandbox's.
    node.claimer.quarantine(&owned(&first, "other"), "x", Duration::ZERO, Instant::now()).unwrap();
    node.claimer.quarantine(&claim, "used by 02:11", Duration::from_secs(600), Instant::now()).unwrap();
    let hold = server.claim(&format!("lan.{first}")).hold.unwrap();
    assert_eq!((hold.reason, hold.until), (Reason::Quarantine, Some(Time(1_000_600))));
    assert_eq!(hold.message.as_deref(), Some("used by 02:11"));
    let second = node.get(&web, "c", None).unwrap();
    assert_ne!(first, second);
    node.end("c", true).unwrap();
    assert_eq!(server.texts(), [format!("lan.{first} web Quarantine")], "the other one is free");
}

#[test]
fn a_claim_that_was_given_up_is_not_the_interfaces_any_more() {
    let server = Server::default();
    let node = Agent::new(&server, "n1", vec![lan(&json!({"ranges": ["10.0.0.5"]}))]);
    node.get(&pod("web", "u"), "c", None).unwrap();
    let claim = owned("10.0.0.5", "c");
    assert!(!node.deliver(), "its own write is no news");
    assert_eq!((node.claimer.has(&claim), node.claimer.owned()), (Some(true), Some(vec![claim.clone()])));
    server.control("lan.10.0.0.5", None);
    assert!(node.deliver(), "the controller's is");
    assert_eq!((node.claimer.has(&claim), node.claimer.owned()), (Some(false), Some(Vec::new())));
    node.end("c", true).unwrap();
    assert_eq!(server.log(), ["create lan.10.0.0.5"], "DEL touches nothing");
}

#[test]
fn a_claim_without_an_interface_goes_alone() {
    let server = Server::default();
    let node = Agent::new(&server, "n1", vec![lan(&json!({"ranges": ["10.0.0.5-10.0.0.6"]}))]);
    let first = node.get(&pod("web", "u"), "c", None).unwrap();
    // A create that was given up long ago has arrived.
    let mut late = server.claim(&format!("lan.{first}"));
    late.address = if first.ends_with('5') { "10.0.0.6" } else { "10.0.0.5" }.parse().unwrap();
    late.owner = Owner { uid: "u".to_owned(), ..late.owner };
    server.arrives("n1", late.clone());
    assert!(node.deliver());
    node.claimer.let_go(&owned(&late.address.to_string(), "c"), Instant::now()).unwrap();
    assert_eq!(server.texts(), [format!("lan.{first} web@n1")]);
}
