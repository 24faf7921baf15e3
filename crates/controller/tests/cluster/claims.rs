//! What becomes of claims.

use serde_json::json;

use super::*;

fn at(last: u8) -> String {
    format!("{CLAIMS}/lan.10.0.0.{last}")
}

fn is_there(state: &State, last: u8) -> bool {
    state.objects.get(&at(last)).is_some()
}

#[test]
fn a_claim_goes_when_its_pod_is_gone_and_the_api_server_says_so() {
    let server = server();
    server.put(PODS, json!({"metadata": {"name": "here", "uid": "u1"}}));
    server.put(PODS, json!({"metadata": {"name": "web", "uid": "u3"}}));
    server.put(CLAIMS, claim(4, "here", "u1"));
    server.put(CLAIMS, claim(5, "gone", "u2"));
    // Of an earlier pod of the same name.
    server.put(CLAIMS, claim(6, "web", "u0"));
    let running = Running::start(&server, "a");
    server.wait("both that are gone", |state| !is_there(state, 5) && !is_there(state, 6));
    let state = server.state();
    assert!(is_there(&state, 4));
    for (pod, asked_for) in [("gone", 1), ("web", 1), ("here", 0)] {
        assert_eq!(asked(&state, &format!("GET {PODS}/{pod}")), asked_for, "{pod}: {:#?}", state.seen);
    }
    drop(state);
    server.delete(&format!("{PODS}/here"));
    server.wait("the third", |state| !is_there(state, 4));
    server.wait("the count", |state| {
        state.objects.get(&format!("{SUBNETS}/lan4")).unwrap()["status"]["used"] == json!(0)
    });
    let (status, text) = running.page("/metrics");
    assert!(status == 200 && text.contains("llano_controller_decisions_total{kind=\"freed\"} 3"), "{text}");
    assert_eq!(running.page("/readyz").0, 200);
}

#[test]
fn nothing_is_given_up_by_guess() {
    let server = server();
    // The watch of pods never shows it: its list is refused until the claim has been looked at.
    server.put(CLAIMS, claim(4, "web", "u1"));
    server.put(CLAIMS, claim(5, "gone", "u2"));
    server.put(PODS, json!({"metadata": {"name": "web", "uid": "u1"}}));
    for _ in 0..3 {
        server.fault("GET /api/v1/pods?", 500);
    }
    server.fault(&format!("GET {PODS}/gone"), 500);
    let _running = Running::start(&server, "a");
    server.wait("the one that is gone", |state| !is_there(state, 5));
    let state = server.state();
    assert!(is_there(&state, 4), "before all lists were read it looked as if there were no pods");
    assert_eq!(asked(&state, &format!("GET {PODS}/gone")), 2, "an error is no answer");
    let delete = state.seen.iter().position(|seen| seen.line.starts_with("DELETE")).unwrap();
    let lists = state
        .seen
        .iter()
        .position(|seen| seen.line.starts_with("GET /api/v1/pods?") && seen.line.contains("watch="))
        .unwrap();
    assert!(lists < delete, "{:#?}", state.seen);
}

#[test]
fn a_stateful_set_keeps_its_addresses_until_it_shrinks() {
    let server = server();
    let set = |replicas: u32| json!({"metadata": {"name": "db"}, "spec": {"replicas": replicas}});
    server.put(SETS, set(2));
    for (last, pod) in [(4, "db-0"), (5, "db-1")] {
        let mut claim = claim(last, pod, &format!("u{last}"));
        claim["spec"]["keptFor"] = json!({"kind": "StatefulSet", "namespace": "shop", "name": "db"});
        server.put(CLAIMS, claim);
    }
    let _running = Running::start(&server, "a");
    let held = |state: &State, last: u8| {
        let spec = &state.objects.get(&at(last)).unwrap()["spec"];
        spec["hold"]["reason"] == json!("StatefulSet") && spec["owner"].get("node").is_none()
    };
    server.wait("both held, their pods are gone", |state| held(state, 4) && held(state, 5));
    server.put(SETS, set(1));
    server.wait("the second is free", |state| !is_there(state, 5));
    let state = server.state();
    assert!(is_there(&state, 4) && asked(&state, &format!("GET {SETS}/db")) == 1, "{:#?}", state.seen);
}

#[test]
fn a_path_that_is_not_known_is_no_answer() {
    let server = server();
    let mut held = claim(4, "db-0", "");
    held["spec"]["owner"] = json!({"namespace": "shop", "pod": "db-0", "interface": "eth0"});
    held["spec"]["keptFor"] = json!({"kind": "StatefulSet", "namespace": "shop", "name": "db"});
    held["spec"]["hold"] = json!({"reason": "StatefulSet", "since": "2026-01-01T00:00:00Z"});
    server.put(CLAIMS, held);
    // As of a kind that is away: without the object's name.
    server.fault(&format!("GET {SETS}/db"), 404);
    let _running = Running::start(&server, "a");
    server.wait("free", |state| !is_there(state, 4));
    assert_eq!(asked(&server.state(), &format!("GET {SETS}/db")), 2);
}

#[test]
fn what_rests_is_free_when_its_time_has_come() {
    let server = server();
    for (last, until) in [(4, "2026-01-01T00:00:10Z"), (5, "2999-01-01T00:00:00Z")] {
        let mut claim = claim(last, "web", "");
        claim["spec"]["owner"] = json!({"namespace": "shop", "pod": "web"});
        claim["spec"]["hold"] =
            json!({"reason": "ReuseDelay", "since": "2026-01-01T00:00:00Z", "until": until});
        server.put(CLAIMS, claim);
    }
    let running = Running::start(&server, "a");
    server.wait("the first", |state| !is_there(state, 4));
    server.wait("the count", |state| {
        state.objects.get(&format!("{SUBNETS}/lan4")).unwrap()["status"]["held"] == json!(1)
    });
    assert!(is_there(&server.state(), 5));
    let (_, text) = running.page("/metrics");
    assert!(text.contains("llano_controller_claims{state=\"reuse_delay\"} 1"), "{text}");
}

#[test]
fn a_reservation_becomes_held_claims_and_they_go_with_it() {
    let server = server();
    server.put(CLAIMS, claim(4, "web", "u1"));
    server.put(PODS, json!({"metadata": {"name": "web", "uid": "u1"}}));
    let spec = json!({"subnet": "lan4", "addresses": [{"ip": "10.0.0.4"}, {"ip": "10.0.0.5", "mac": "02:00:00:00:00:05"}]});
    server.put(RESERVATIONS, object("MacvlanReservation", "team", spec));
    let _running = Running::start(&server, "a");
    let team = format!("{RESERVATIONS}/team");
    server.wait("a conflict", |state| reason(state, &team) == "Conflict");
    {
        let state = server.state();
        let status = &state.objects.get(&team).unwrap()["status"];
        assert!(
            status["conditions"][0]["message"].as_str().unwrap().contains("10.0.0.4 is held by pod shop/web"),
            "{status}"
        );
        assert_eq!(status["addresses"], json!([{"ip": "10.0.0.5", "mac": "02:00:00:00:00:05"}]));
        let claim = &state.objects.get(&at(5)).unwrap()["spec"];
        assert_eq!(claim["hold"]["reason"], json!("Reservation"));
    }
    server.wait("an event", |state| {
        state
            .objects
            .list("/api/v1/namespaces/shop/events")
            .iter()
            .any(|event| event["reason"] == json!("Conflict"))
    });
    // The pod ends: its address is the reservation's next.
    server.delete(&format!("{PODS}/web"));
    server.wait("all reserved", |state| reason(state, &team) == "Ready");
    server.delete(&team);
    server.wait("free again", |state| !is_there(state, 4) && !is_there(state, 5));
}
