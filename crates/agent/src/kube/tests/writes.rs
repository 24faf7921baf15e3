//! The status patch, and who we are.

use std::time::{Duration, Instant};

use serde_json::json;

use apiserver::REQUESTS;
use apiserver::testing::Server;

use super::{PODS, connect, key, pod, soon};
use crate::Cluster;

const STATUS: &str = "[{\n    \"name\": \"lan\",\n    \"dns\": {}\n}]";

#[test]
fn a_status_is_one_patch_that_names_the_uid_and_nothing_else() {
    let server = Server::start().unwrap();
    server.put(PODS, pod("web", "u-1", &json!({"other": "stays"})));
    let client = connect(&server, |_| {});
    client.listed();
    client.cluster.write_status(&key("web", "u-1"), STATUS, soon()).unwrap();
    let written = server.seen("PATCH ");
    assert_eq!(written.len(), 1);
    assert!(written[0].line.starts_with("PATCH /api/v1/namespaces/shop/pods/web/status?"), "{written:?}");
    let wanted =
        json!({"metadata": {"uid": "u-1", "annotations": {"k8s.v1.cni.cncf.io/network-status": STATUS}}});
    assert_eq!(written[0].body, wanted);
    let state = server.state();
    let annotations = &state.objects.get(&format!("{PODS}/web")).unwrap()["metadata"]["annotations"];
    assert_eq!(annotations["other"], "stays");
    assert_eq!(annotations["k8s.v1.cni.cncf.io/network-status"], STATUS);
}

#[test]
fn what_may_pass_is_tried_again() {
    let server = Server::start().unwrap();
    server.put(PODS, pod("web", "u-1", &json!({})));
    let client = connect(&server, |_| {});
    client.listed();
    for code in [409, 500, 429, 401, 504] {
        server.fault("PATCH ", code);
    }
    client.cluster.write_status(&key("web", "u-1"), STATUS, soon()).unwrap();
    assert_eq!(server.seen("PATCH ").len(), 6);
    // The conflict alone is a reason to look.
    assert_eq!(server.seen("GET /api/v1/namespaces/").len(), 1);
}

#[test]
fn a_pod_that_is_gone_or_another_is_no_error() {
    let server = Server::start().unwrap();
    server.put(PODS, pod("web", "u-2", &json!({})));
    let client = connect(&server, |_| {});
    client.listed();
    client.cluster.write_status(&key("web", "u-1"), STATUS, soon()).unwrap();
    client.cluster.write_status(&key("none", "u-3"), STATUS, soon()).unwrap();
    // Kubernetes 1.35 says that the UID is immutable; another may call it a conflict.
    server.fault("PATCH ", 409);
    client.cluster.write_status(&key("web", "u-1"), STATUS, soon()).unwrap();
    let state = server.state();
    let annotations = &state.objects.get(&format!("{PODS}/web")).unwrap()["metadata"]["annotations"];
    assert!(annotations["k8s.v1.cni.cncf.io/network-status"].is_null());
}

#[test]
fn a_refusal_is_told_at_once_and_an_absence_by_the_deadline() {
    let server = Server::start().unwrap();
    server.put(PODS, pod("web", "u-1", &json!({})));
    let client = connect(&server, |_| {});
    client.listed();
    server.fault("PATCH ", 403);
    let error = client.cluster.write_status(&key("web", "u-1"), STATUS, soon()).unwrap_err();
    assert_eq!(error.to_string(), "status of pod shop/web: told to say 403");
    assert_eq!(server.seen("PATCH ").len(), 1);
    for _ in 0..1000 {
        server.fault("PATCH ", 503);
    }
    let until = Instant::now() + Duration::from_millis(200);
    let error = client.cluster.write_status(&key("web", "u-1"), STATUS, until).unwrap_err();
    assert!(error.to_string().contains("503") || error.to_string().contains("no answer"), "{error}");
}

#[test]
fn a_storm_of_writes_makes_few_connections() {
    let server = Server::start().unwrap();
    for number in 0..64 {
        server.put(PODS, pod(&format!("p{number}"), "u", &json!({})));
    }
    let client = connect(&server, |_| {});
    client.listed();
    // None is answered before as many are under way as may be.
    server.state().hold = REQUESTS;
    std::thread::scope(|scope| {
        for number in 0..64 {
            let cluster = &client.cluster;
            scope.spawn(move || {
                cluster.write_status(&key(&format!("p{number}"), "u"), STATUS, soon()).unwrap()
            });
        }
    });
    assert_eq!(server.seen("PATCH ").len(), 64);
    // The two watches have one each, and a list's may be a third.
    let connections = server.state().connections;
    assert!(connections <= REQUESTS + 4, "{connections} connections");
}

#[test]
fn a_new_token_counts_at_once() {
    let server = Server::start().unwrap();
    server.state().token = Some("first".to_owned());
    server.put(PODS, pod("web", "u-1", &json!({})));
    let client = connect(&server, |_| {});
    client.listed();
    client.cluster.write_status(&key("web", "u-1"), STATUS, soon()).unwrap();
    server.state().token = Some("second".to_owned());
    std::fs::write(client.dir.path().join("token"), "second\n").unwrap();
    client.cluster.write_status(&key("web", "u-1"), STATUS, soon()).unwrap();
    let tokens: Vec<String> = server.seen("PATCH ").into_iter().map(|seen| seen.authorization).collect();
    assert_eq!(tokens, ["Bearer first", "Bearer second"]);
}
