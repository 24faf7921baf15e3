//! Definitions, subnets that are deleted, and status.

use serde_json::json;

use super::*;

fn network(attach_as: Value) -> Value {
    object("MacvlanNetwork", "lan", json!({"parent": "eth0", "attachAs": attach_as}))
}

#[test]
fn a_networks_definitions_are_kept_as_they_should_be() {
    let server = server();
    let theirs = json!({"metadata": {"name": "theirs"}, "spec": {"config": "{}"}});
    server.put(NADS, theirs.clone());
    server.put(
        NETWORKS,
        network(json!([{"namespace": "shop", "name": "lan"}, {"namespace": "shop", "name": "theirs"}])),
    );
    let _running = Running::start(&server, "a");
    let lan = format!("{NADS}/lan");
    let network_path = format!("{NETWORKS}/lan");
    server.wait("made", |state| state.objects.get(&lan).is_some());
    server.wait("told", |state| reason(state, &network_path) == "NotAttached");
    let made = server.state().objects.get(&lan).unwrap().clone();
    assert_eq!(made["metadata"]["labels"]["llano.dev/role"], json!("overlay"));

    // Somebody changes it, and keeps a label of their own on it.
    let mut drifted = made.clone();
    drifted["spec"]["config"] = json!("{\"type\":\"bridge\"}");
    drifted["metadata"]["labels"]["mine"] = json!("x");
    server.put(NADS, drifted);
    server.wait("corrected", |state| {
        let now = state.objects.get(&lan).unwrap();
        now["spec"] == made["spec"] && now["metadata"]["labels"]["mine"] == json!("x")
    });

    server.put(NETWORKS, network(json!([{"namespace": "shop", "name": "other"}])));
    server.wait("the other", |state| {
        state.objects.get(&lan).is_none() && state.objects.get(&format!("{NADS}/other")).is_some()
    });
    server.wait("told", |state| reason(state, &network_path) == "Ready");
    server.delete(&network_path);
    server.wait("gone with its network", |state| state.objects.get(&format!("{NADS}/other")).is_none());
    assert_eq!(server.state().objects.get(&format!("{NADS}/theirs")).unwrap()["spec"], theirs["spec"]);
}

#[test]
fn a_subnet_with_claims_waits_to_be_deleted_and_says_for_whom() {
    let server = server();
    server.put(PODS, json!({"metadata": {"name": "web", "uid": "u1"}}));
    server.put(CLAIMS, claim(4, "web", "u1"));
    let _running = Running::start(&server, "a");
    let subnet = format!("{SUBNETS}/lan4");
    server.wait("held", |state| {
        state.objects.get(&subnet).unwrap()["metadata"]["finalizers"] == json!(["llano.dev/claims"])
    });
    server.delete(&subnet);
    server.wait("told", |state| reason(state, &subnet) == "Deleting");
    let message = server.state().objects.get(&subnet).unwrap()["status"]["conditions"][0]["message"].clone();
    assert!(message.as_str().unwrap().contains("10.0.0.4 (pod shop/web)"), "{message}");
    server.delete(&format!("{CLAIMS}/lan.10.0.0.4"));
    server.wait("gone", |state| state.objects.get(&subnet).is_none());
    let state = server.state();
    assert_eq!(
        asked(&state, &format!("GET {CLAIMS}?&fieldSelector=spec.subnet%3Dlan4&limit=1")),
        1,
        "the API server was asked: {:#?}",
        state.seen
    );
}

#[test]
fn a_status_counts_and_is_not_written_again_without_a_change() {
    let server = server();
    server.put(PODS, json!({"metadata": {"name": "web", "uid": "u1"}}));
    server.put(CLAIMS, claim(4, "web", "u1"));
    server.put(CLAIMS, claim(5, "web", "u1"));
    let _running = Running::start(&server, "a");
    let status =
        |state: &State, path: &str, key: &str| state.objects.get(path).unwrap()["status"][key].clone();
    let (subnet, network) = (format!("{SUBNETS}/lan4"), format!("{NETWORKS}/lan"));
    server.wait("counted", |state| {
        status(state, &subnet, "used") == json!(2) && status(state, &network, "pods") == json!(1)
    });
    assert_eq!(status(&server.state(), &subnet, "free"), json!(11));
    // Another look, with nothing new: a namespace's label makes none of them change.
    let writes = |state: &State| asked(state, "PATCH");
    let before = writes(&server.state());
    server.end_watches();
    let watches = "GET /apis/llano.dev/v1alpha1/macvlansubnets?";
    let open = asked(&server.state(), watches);
    server.wait("watched again", |state| asked(state, watches) > open);
    server.put(CLAIMS, claim(6, "web", "u1"));
    server.wait("counted", |state| status(state, &subnet, "used") == json!(3));
    let state = server.state();
    assert_eq!(writes(&state), before + 1, "the network has one pod as before: {:#?}", state.seen);
}
