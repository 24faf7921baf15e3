//! Answers that do not come.

use serde_json::json;

use super::{Agent, LONG, Lost, Server, made_by, pod, subnet};

fn node(server: &Server) -> Agent {
    Agent::new(server, "n1", vec![subnet("lan4", "10.0.0.0/24", &json!({"ranges": ["10.0.0.5"]}))])
}

fn faults(server: &Server, faults: &[Option<Lost>]) {
    server.lock().faults = faults.iter().copied().collect();
}

fn soon() -> std::time::Instant {
    std::time::Instant::now() + LONG
}

#[test]
fn a_create_is_looked_for_and_sent_again_only_when_it_had_no_effect() {
    let cases: [(&[Option<Lost>], &[&str]); 4] = [
        (&[Some(Lost::After)], &["create lan.10.0.0.5?", "read lan.10.0.0.5"]),
        (&[Some(Lost::Before)], &["create lan.10.0.0.5?", "read lan.10.0.0.5", "create lan.10.0.0.5"]),
        (
            &[Some(Lost::After), Some(Lost::Before)],
            &["create lan.10.0.0.5?", "read lan.10.0.0.5?", "read lan.10.0.0.5"],
        ),
        (
            &[Some(Lost::Before), None, Some(Lost::After)],
            &["create lan.10.0.0.5?", "read lan.10.0.0.5", "create lan.10.0.0.5?", "read lan.10.0.0.5"],
        ),
    ];
    for (lost, log) in cases {
        let server = Server::default();
        let node = node(&server);
        faults(&server, lost);
        node.ask_until(&pod("web", "u"), "c", None, soon()).unwrap();
        assert_eq!(server.log(), log, "{lost:?}");
        assert_eq!(server.texts(), ["lan.10.0.0.5 web@n1"]);
        node.end("c", true).unwrap();
        assert!(server.texts().is_empty());
    }
}

#[test]
fn a_take_whose_answer_was_lost_is_one_take() {
    let server = Server::default();
    let node = node(&server);
    let db = |uid: &str| made_by("StatefulSet", "db", pod("db-0", uid));
    node.get(&db("u1"), "c1", None).unwrap();
    node.end("c1", true).unwrap();
    node.deliver();
    server.log();
    faults(&server, &[Some(Lost::After)]);
    node.ask_until(&db("u2"), "c2", None, soon()).unwrap();
    assert_eq!(server.log(), ["update lan.10.0.0.5?", "read lan.10.0.0.5"]);
    assert_eq!(server.claim("lan.10.0.0.5").owner.container_id, "c2");
}

#[test]
fn a_delete_whose_answer_was_lost_is_done_once() {
    for (lost, log) in [
        (Lost::After, ["delete lan.10.0.0.5?", "delete lan.10.0.0.5!", "read lan.10.0.0.5"].as_slice()),
        (Lost::Before, &["delete lan.10.0.0.5?", "delete lan.10.0.0.5"]),
    ] {
        let server = Server::default();
        let node = node(&server);
        node.get(&pod("web", "u"), "c", None).unwrap();
        server.log();
        faults(&server, &[Some(lost)]);
        let gone = crate::claims::Gone {
            network: "lan",
            container_id: "c",
            interface: "eth0",
            addresses: &[],
            used: true,
        };
        crate::claims::Claims::release(&node.claimer, &gone, soon()).unwrap();
        assert_eq!(server.log(), log, "{lost:?}");
        assert!(server.texts().is_empty());
        // And the address can be had again.
        node.deliver();
        node.get(&pod("next", "un"), "cn", None).unwrap();
    }
}

#[test]
fn an_api_server_that_is_away_keeps_nothing_from_being_tried_again() {
    let server = Server::default();
    let node = node(&server);
    server.lock().away = true;
    let error = node.ask(&pod("web", "u"), "c", None).unwrap_err();
    assert_eq!(error.to_string(), "claim lan.10.0.0.5: no answer");
    assert_eq!((error.event().reason, error.to_cni().code()), ("NetworkUnavailable", cni::code::TRY_AGAIN));
    server.lock().away = false;
    node.get(&pod("web", "u"), "c", None).unwrap();
    server.lock().away = true;
    node.end("c", true).unwrap_err();
    server.lock().away = false;
    node.end("c", true).unwrap();
    assert!(server.texts().is_empty());
}

#[test]
fn what_the_policy_refuses_is_told_in_its_words() {
    let server = Server::default();
    // Its token says another node than its own settings.
    let node = Agent::with_token(&server, "n1", "n2", subnet("lan4", "10.0.0.0/24", &json!({})));
    let error = node.ask(&pod("web", "u"), "c", None).unwrap_err();
    assert!(
        error.to_string().contains("may only create active claims with its own name in spec.owner.node"),
        "{error}"
    );
    assert_eq!(error.event().reason, "AddressRefused");
}
