//! What is asked of the API server because a watch does not know it.

use std::time::{Duration, Instant};

use serde_json::json;

use apiserver::testing::Server;

use super::{DEFINITIONS, PODS, connect, key, pod, soon};
use crate::{Cluster, Error, Found};

#[test]
fn a_pod_that_the_watch_does_not_have_is_asked_for_once() {
    let server = Server::start().unwrap();
    let client = connect(&server, |options| options.lag = Duration::ZERO);
    client.listed();
    server.state().silent = true;
    server.put(PODS, pod("web", "u-1", &json!({"v1.multus-cni.io/default-network": "lan/office"})));
    let Found::Pod(found) = client.cluster.pod(&key("web", "u-1"), soon()).unwrap() else { panic!("gone") };
    assert_eq!(found.default_network.as_deref(), Some("lan/office"));
    assert_eq!(client.cluster.health().asked, 1);
    // In another life, under another name, under a name that is a path.
    assert_eq!(client.cluster.pod(&key("web", "u-0"), soon()).unwrap(), Found::Gone);
    assert_eq!(client.cluster.pod(&key("none", "u-1"), soon()).unwrap(), Found::Gone);
    assert_eq!(client.cluster.pod(&key("../../nodes/a", "u-1"), soon()).unwrap(), Found::Gone);
    assert_eq!(server.seen("GET /api/v1/namespaces/").len(), 3);
}

#[test]
fn a_definition_that_the_watch_does_not_have_is_asked_for() {
    let server = Server::start().unwrap();
    let client = connect(&server, |_| {});
    client.listed();
    server.state().silent = true;
    let network = api::NetworkRef::new("shop", "lan").unwrap();
    assert_eq!(client.cluster.definition(&network), Err(api::Error::NoNetwork(network.clone())));
    let metadata = json!({"namespace": "shop", "name": "lan", "uid": "u"});
    server.put(DEFINITIONS, json!({"metadata": metadata, "spec": {"config": "{\"type\":\"macvlan\"}"}}));
    assert_eq!(client.cluster.definition(&network).unwrap().network, network);
    server.fault("GET /apis/k8s.cni.cncf.io/v1/namespaces/", 500);
    let error = client.cluster.definition(&network).unwrap_err();
    assert!(matches!(&error, api::Error::Unavailable { .. }), "{error}");
    assert_eq!(error.to_cni().code(), 11);
}

#[test]
fn an_api_server_that_is_away_is_told_by_the_deadline() {
    let server = Server::start().unwrap();
    let client = connect(&server, |options| options.lag = Duration::ZERO);
    client.listed();
    server.state().silent = true;
    for _ in 0..1000 {
        server.fault("GET /api/v1/namespaces/", 503);
    }
    let until = Instant::now() + Duration::from_millis(300);
    let error = client.cluster.pod(&key("web", "u-1"), until).unwrap_err();
    assert!(matches!(&error, Error::Behind { what, .. } if what == "pod shop/web"), "{error}");
    assert!(Instant::now() >= until);
    assert_eq!(error.to_cni().code(), 11);
}

#[test]
fn a_refusal_is_not_waited_out() {
    let server = Server::start().unwrap();
    let client = connect(&server, |options| options.lag = Duration::ZERO);
    client.listed();
    server.fault("GET /api/v1/namespaces/", 403);
    let error = client.cluster.pod(&key("web", "u-1"), soon()).unwrap_err();
    assert!(error.to_string().contains("told to say 403"), "{error}");
    assert_eq!(server.seen("GET /api/v1/namespaces/").len(), 1);
}

#[test]
fn a_static_pod_is_known_by_the_uid_of_its_file() {
    let server = Server::start().unwrap();
    let hash = "0123456789abcdef0123456789abcdef";
    let mirror = json!({"kubernetes.io/config.mirror": hash, "kubernetes.io/config.hash": hash});
    server.put(PODS, pod("etcd-node1", "11111111-2222-3333-4444-555555555555", &mirror));
    let client = connect(&server, |_| {});
    client.listed();
    let Found::Pod(found) = client.cluster.pod(&key("etcd-node1", hash), soon()).unwrap() else { panic!() };
    assert!(found.is_static);
    assert_eq!(found.key.uid, hash);
    client.cluster.write_status(&found.key, "[]", soon()).unwrap();
    let patch = server.seen("PATCH ").remove(0);
    assert_eq!(patch.body["metadata"]["uid"], "11111111-2222-3333-4444-555555555555");
}

#[test]
fn a_static_pod_without_mirror_is_waited_for() {
    let server = Server::start().unwrap();
    let client = connect(&server, |options| options.lag = Duration::ZERO);
    client.listed();
    let hash = "0123456789abcdef0123456789abcdef";
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.cluster.pod(&key("etcd-node1", hash), soon()));
        server.wait("a question", |state| {
            state.seen.iter().any(|seen| seen.line.starts_with("GET /api/v1/namespaces/"))
        });
        let mirror = json!({"kubernetes.io/config.mirror": hash});
        server.put(PODS, pod("etcd-node1", "11111111-2222-3333-4444-555555555555", &mirror));
        let found = waiting.join().unwrap().unwrap();
        assert!(matches!(&found, Found::Pod(pod) if pod.is_static), "{found:?}");
    });
}
