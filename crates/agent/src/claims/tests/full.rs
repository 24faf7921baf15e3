//! Who has the addresses of a full subnet, as a pod's owner is told.

use std::time::{Duration, Instant};

use api::kinds::claim_name;
use claims::{Claim, Hold, Keeper, KeptFor, Owner, Reason, Time, Version};
use kernel::MacAddr;
use serde_json::json;

use super::{Agent, Client, LONG, Server, pod, subnet};
use crate::claims::holders::Holders;

/// A subnet of 10.0.0.0/24 with addresses up to this last one, from .5 on.
fn lan(name: &str, last: u8) -> api::kinds::Subnet {
    subnet(
        name,
        "10.0.0.0/24",
        &json!({"gateway": "10.0.0.1", "ranges": [format!("10.0.0.5-10.0.0.{last}")]}),
    )
}

/// A pod of another node has this address.
fn taken(server: &Server, last: u8, namespace: &str, pod: &str) -> Claim {
    let claim = Claim {
        network: "lan".to_owned(),
        subnet: "lan4".to_owned(),
        address: std::net::Ipv4Addr::new(10, 0, 0, last).into(),
        mac: Some(MacAddr([2, 0, 0, 0, 0, last])),
        owner: Owner {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            uid: format!("u-{pod}"),
            node: "n2".to_owned(),
            container_id: format!("c-{pod}"),
            interface: "eth0".to_owned(),
        },
        kept_for: None,
        hold: None,
        version: Version::default(),
    };
    server.arrives("n2", claim.clone());
    claim
}

/// The same address, held.
fn held(server: &Server, last: u8, namespace: &str, pod: &str, reason: Reason, keeper: Option<Keeper>) {
    let claim = taken(server, last, namespace, pod);
    let name = claim_name("lan", claim.address);
    let kept_for =
        keeper.map(|kind| KeptFor { kind, namespace: namespace.to_owned(), name: "db".to_owned() });
    let until = keeper.is_none().then_some(Time(2_000_000));
    let hold = Hold { reason, since: Time(1), until, message: None };
    let before = server.claim(&name);
    server.control(&name, Some(Claim { kept_for, ..before.held(hold, "") }));
}

/// What a pod of namespace `shop` is told that finds no address, and has the time to ask.
fn told(agent: &Agent) -> String {
    agent.ask_until(&pod("late", "ul"), "cl", None, Instant::now() + LONG).unwrap_err().to_string()
}

fn lists(server: &Server) -> usize {
    server.log().iter().filter(|line| line.starts_with("list ")).count()
}

#[test]
fn its_own_namespaces_pods_are_named_and_of_others_only_how_many() {
    let server = Server::default();
    for last in 5..8 {
        taken(&server, last, "bank", &format!("vault-{last}"));
    }
    taken(&server, 8, "team-a", "secret");
    taken(&server, 9, "shop", "web");
    held(&server, 10, "shop", "db-0", Reason::StatefulSet, Some(Keeper::StatefulSet));
    held(&server, 11, "shop", "old", Reason::ReuseDelay, None);
    held(&server, 12, "shop", "odd", Reason::Quarantine, None);
    held(&server, 13, "shop", "was", Reason::Reservation, Some(Keeper::Reservation));
    let node = Agent::new(&server, "n1", vec![lan("lan4", 13)]);
    assert_eq!(
        told(&node),
        "no free address in subnet lan4 (9 usable addresses: 5 used, 3 held, 1 in quarantine); \
         in namespace shop: 10.0.0.9 (web), 10.0.0.10 (kept for db-0), 10.0.0.11 (resting after old), \
         10.0.0.12 (in quarantine), 10.0.0.13 (kept for reservation db); in other namespaces: bank 3, team-a 1; \
         llano subnet show lan4 says who has them"
    );
    assert_eq!(server.log(), ["list lan4"]);
}

#[test]
fn many_are_counted_and_a_list_that_is_longer_says_so() {
    let server = Server::default();
    for last in 5..13 {
        taken(&server, last, "shop", &format!("web-{last}"));
    }
    for last in 13..25 {
        // The largest namespaces go first: five of f, three of e, and one of each other.
        let namespace =
            ["e", "e", "e", "a", "b", "c", "d"].get(usize::from(last) - 13).copied().unwrap_or("f");
        taken(&server, last, namespace, &format!("p-{last}"));
    }
    let node = Agent::new(&server, "n1", vec![lan("lan4", 24)]);
    let said = told(&node);
    assert!(
        said.contains(
            "; in namespace shop: 10.0.0.5 (web-5), 10.0.0.6 (web-6), 10.0.0.7 (web-7), 10.0.0.8 (web-8), \
             10.0.0.9 (web-9) and 3 more; in other namespaces: f 5, e 3, a 1, b 1 and 2 in 2 more; llano"
        ),
        "{said}"
    );
    taken(&server, 25, "shop", "last");
    let node = Agent::new(&server, "n1", vec![lan("lan4", 25)]);
    let said = told(&node);
    assert!(said.contains(" in 2 more (of the first 20 looked at); llano"), "{said}");
}

#[test]
fn a_storm_of_pods_is_one_list_and_a_list_that_fails_is_not_asked_for_again() {
    let server = Server::default();
    taken(&server, 5, "bank", "vault");
    let node = Agent::new(&server, "n1", vec![lan("lan4", 5)]);
    let all: Vec<String> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..16).map(|_| scope.spawn(|| told(&node))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert!(all.iter().all(|said| said.contains("; in other namespaces: bank 1; ")), "{all:#?}");
    assert_eq!(lists(&server), 1);

    // The API server is away: the numbers alone, and it is left in peace.
    let node = Agent::new(&server, "n1", vec![lan("lan4", 5)]);
    server.lock().away = true;
    for _ in 0..3 {
        assert_eq!(
            told(&node),
            "no free address in subnet lan4 (1 usable addresses: 1 used, 0 held, 0 in quarantine); \
             llano subnet show lan4 says who has them"
        );
    }
    assert_eq!(server.log(), ["list lan4?"]);
}

#[test]
fn several_full_subnets_are_one_list_and_who_has_no_time_left_asks_for_none() {
    let server = Server::default();
    taken(&server, 5, "bank", "vault");
    let other = subnet("spare", "10.0.1.0/24", &json!({"ranges": ["10.0.1.5"]}));
    let node = Agent::new(&server, "n1", vec![lan("lan4", 5), other]);
    node.get(&pod("web", "uw"), "cw", None).unwrap();
    server.log();
    let soon = Instant::now() + Duration::from_secs(1);
    let said = node.ask_until(&pod("late", "ul"), "cl", None, soon).unwrap_err().to_string();
    assert!(!said.contains("namespace") && server.log().is_empty(), "{said}");
    let said = told(&node);
    assert!(said.contains("; in namespace shop: 10.0.1.5 (web); in other namespaces: bank 1; "), "{said}");
    assert_eq!(server.log(), ["list lan4,spare"]);
}

#[test]
fn an_answer_is_asked_for_again_when_it_is_old_and_few_are_kept() {
    let server = Server::default();
    taken(&server, 5, "bank", "vault");
    let client = Client { server: server.clone(), node: "n1" };
    let ask = |holders: &Holders, subnet: &str| {
        holders.text(&[subnet.to_owned()], "shop", &client, Instant::now() + LONG)
    };
    let mut holders = Holders::default();
    for subnet in ["lan4", "lan4", "a", "lan4"] {
        ask(&holders, subnet);
    }
    assert_eq!(server.log(), ["list lan4", "list a"]);
    // The oldest makes room.
    for number in 0..7 {
        ask(&holders, &format!("s{number}"));
    }
    server.log();
    for subnet in ["a", "lan4"] {
        ask(&holders, subnet);
    }
    assert_eq!(server.log(), ["list lan4"]);
    holders.fresh = Duration::ZERO;
    assert_eq!(ask(&holders, "lan4"), "; in other namespaces: bank 1");
    assert_eq!(server.log(), ["list lan4"]);
}
