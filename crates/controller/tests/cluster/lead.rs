//! Which of several works.

use serde_json::json;

use super::*;

fn holder(state: &State) -> &str {
    let lease = state.objects.get(LEASE).map(|lease| &lease["spec"]["holderIdentity"]);
    lease.and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn one_works_and_the_next_when_it_has_given_the_lease_back() {
    let server = server();
    let first = Running::start(&server, "a");
    server.wait("the first leads", |state| holder(state) == "a");
    let second = Running::start(&server, "b");
    let looks = format!("GET {LEASE}");
    let before = asked(&server.state(), &looks);
    server.wait("the second looks", |state| asked(state, &looks) > before + 2);
    assert!(second.page("/metrics").1.contains("llano_controller_leader 0"));
    server.wait("the second is ready: waiting is what it should do", |_| second.page("/readyz").0 == 200);
    first.controller.stop();
    first.end().unwrap();
    server.wait("the second leads", |state| holder(state) == "b");
    server.put(CLAIMS, claim(4, "gone", "u1"));
    server.wait("it works", |state| state.objects.get(&format!("{CLAIMS}/lan.10.0.0.4")).is_none());
}

#[test]
fn the_lease_is_given_back_although_a_renewal_was_on_its_way() {
    let server = server();
    let running = Running::start(&server, "a");
    server.wait("it leads", |state| holder(state) == "a");
    // The API server has had a renewal whose answer nobody read: the lease is another version than the program knows.
    let lease = server.state().objects.get(LEASE).unwrap().clone();
    server.put("/apis/coordination.k8s.io/v1/namespaces/llano/leases", lease);
    running.controller.stop();
    running.end().unwrap();
    assert_eq!(holder(&server.state()), "");
}

#[test]
fn one_that_has_lost_the_lease_ends_and_says_why() {
    let server = server();
    let running = Running::start(&server, "a");
    server.wait("it leads", |state| holder(state) == "a");
    let mut lease = server.state().objects.get(LEASE).unwrap().clone();
    lease["spec"]["holderIdentity"] = json!("thief");
    server.put("/apis/coordination.k8s.io/v1/namespaces/llano/leases", lease);
    let error = running.end().unwrap_err().to_string();
    assert!(error.contains("lease llano/llano-controller lost: it is \"thief\"'s now"), "{error}");
}

#[test]
fn one_that_may_not_have_the_lease_says_so() {
    let server = server();
    server.fault(&format!("GET {LEASE}"), 403);
    let error = Running::start(&server, "a").end().unwrap_err().to_string();
    assert!(error.contains("lease llano/llano-controller"), "{error}");
}

#[test]
fn one_that_waits_can_be_stopped() {
    let server = server();
    let _first = Running::start(&server, "a");
    server.wait("the first leads", |state| holder(state) == "a");
    let second = Running::start(&server, "b");
    second.controller.stop();
    second.end().unwrap();
    assert_eq!(holder(&server.state()), "a");
}
