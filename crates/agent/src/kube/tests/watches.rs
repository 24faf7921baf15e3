//! What the watches know.

use serde_json::json;

use apiserver::testing::Server;

use super::{DEFINITIONS, PODS, connect, key, pod, soon};
use crate::kube::Change;
use crate::{Cluster, Found};

fn networks(text: &str) -> serde_json::Value {
    json!({"k8s.v1.cni.cncf.io/networks": text, "other": "x".repeat(1000)})
}

#[test]
fn a_list_comes_in_pages_and_only_this_nodes_pods_are_kept() {
    let server = Server::start().unwrap();
    for number in 0..250 {
        server.put(PODS, pod(&format!("p{number}"), &format!("u-{number}"), &json!({})));
    }
    let client = connect(&server, |_| {});
    client.listed();
    assert_eq!(client.cluster.pods().unwrap().len(), 250);
    // A selector that is not honoured, as this server's watch does.
    let mut elsewhere = pod("elsewhere", "u-e", &json!({}));
    elsewhere["spec"]["nodeName"] = json!("node2");
    server.put(PODS, elsewhere);
    server.put(PODS, pod("last", "u-l", &json!({})));
    client.cluster.pod(&key("last", "u-l"), soon()).unwrap();
    assert_eq!(client.cluster.pods().unwrap().len(), 251);
    let lists: Vec<String> = server.seen("GET /api/v1/pods?").into_iter().map(|seen| seen.line).collect();
    let lists: Vec<&String> = lists.iter().filter(|line| !line.contains("watch=")).collect();
    assert_eq!(lists.len(), 3, "{lists:?}");
    for line in &lists {
        assert!(line.contains("limit=100") && line.contains("fieldSelector=spec.nodeName%3Dnode1"), "{line}");
        assert!(!line.contains("sendInitialEvents"), "{line}");
    }
    assert!(lists[1].contains("continue=100") && lists[2].contains("continue=200"), "{lists:?}");
}

#[test]
fn a_pod_that_comes_is_found_without_asking() {
    let server = Server::start().unwrap();
    let client = connect(&server, |_| {});
    client.listed();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.cluster.pod(&key("web", "u-1"), soon()).unwrap());
        server.put(PODS, pod("web", "u-1", &networks("lan")));
        let Found::Pod(found) = waiting.join().unwrap() else { panic!("gone") };
        assert_eq!(found.networks.as_deref(), Some("lan"));
    });
    assert_eq!(client.cluster.health().asked, 0);
    assert!(server.seen("GET /api/v1/namespaces/").is_empty());
}

#[test]
fn changes_are_told_once() {
    let server = Server::start().unwrap();
    server.put(PODS, pod("web", "u-1", &networks("lan")));
    let client = connect(&server, |_| {});
    client.listed();
    // Another annotation, a new life, its end.
    let mut other = pod("web", "u-1", &networks("lan"));
    other["metadata"]["annotations"]["more"] = json!("y");
    server.put(PODS, other);
    server.put(PODS, pod("web", "u-1", &networks("lan, wan")));
    server.put(PODS, pod("web", "u-2", &networks("lan")));
    server.delete(&format!("{PODS}/web"));
    let Change::Networks(view) = client.change() else { panic!("no change of networks") };
    assert_eq!((view.networks.as_deref(), view.key.uid.as_str()), (Some("lan, wan"), "u-1"));
    assert_eq!(client.change(), Change::Gone(key("web", "u-1")));
    assert_eq!(client.change(), Change::Gone(key("web", "u-2")));
    assert!(client.cluster.pods().unwrap().is_empty());
}

#[test]
fn a_version_that_is_too_old_means_a_new_list() {
    let server = Server::start().unwrap();
    for name in ["stays", "goes", "changes"] {
        server.put(PODS, pod(name, &format!("u-{name}"), &networks("lan")));
    }
    let client = connect(&server, |_| {});
    client.listed();
    server.wait("a watch", |state| {
        state.seen.iter().any(|seen| seen.line.starts_with("GET /api/v1/pods?&watch"))
    });
    // All of it happens while nobody looks, and is forgotten.
    server.state().silent = true;
    server.delete(&format!("{PODS}/goes"));
    server.put(PODS, pod("changes", "u-changes", &networks("wan")));
    server.forget();
    server.state().silent = false;
    server.end_watches();
    let changes = [client.change(), client.change()];
    assert!(changes.contains(&Change::Gone(key("goes", "u-goes"))), "{changes:?}");
    let changed =
        changes.iter().any(|change| matches!(change, Change::Networks(view) if view.key.name == "changes"));
    assert!(changed, "{changes:?}");
    assert_eq!(client.cluster.pods().unwrap().len(), 2);
}

#[test]
fn a_watch_that_ends_goes_on_where_it_was() {
    let server = Server::start().unwrap();
    server.put(PODS, pod("web", "u-1", &networks("lan")));
    let client = connect(&server, |_| {});
    client.listed();
    let before = client.cluster.health().lists;
    for round in 0..5 {
        server.end_watches();
        server.put(PODS, pod("web", "u-1", &networks(&format!("lan{round}"))));
        assert!(matches!(client.change(), Change::Networks(_)));
    }
    assert_eq!(client.cluster.health().lists, before);
}

#[test]
fn an_api_server_that_fails_is_asked_again() {
    let server = Server::start().unwrap();
    server.put(PODS, pod("web", "u-1", &networks("lan")));
    for code in [500, 503, 401, 429] {
        server.fault("GET /api/v1/pods?", code);
    }
    let client = connect(&server, |_| {});
    client.listed();
    assert_eq!(client.cluster.pods().unwrap().len(), 1);
}

#[test]
fn without_their_kind_there_are_no_definitions() {
    let server = Server::start().unwrap();
    server.state().objects.absent.push("network-attachment-definitions");
    let client = connect(&server, |_| {});
    client.listed();
    let network = api::NetworkRef::new("shop", "lan").unwrap();
    let error = client.cluster.definition(&network).unwrap_err();
    assert_eq!(error, api::Error::NoNetwork(network));
}

#[test]
fn an_odd_definition_stands_in_no_others_way() {
    let server = Server::start().unwrap();
    let metadata = |name: &str| json!({"namespace": "shop", "name": name, "uid": "u"});
    let config = r#"{"cniVersion":"1.0.0","type":"macvlan","master":"eth0"}"#;
    server.put(DEFINITIONS, json!({"metadata": metadata("a-number"), "spec": {"config": 7}}));
    server.put(DEFINITIONS, json!({"metadata": metadata("a-text"), "spec": "x"}));
    server.put(DEFINITIONS, json!({"metadata": metadata("nothing")}));
    let mut good = json!({"metadata": metadata("good"), "spec": {"config": config}});
    good["metadata"]["labels"] = json!({"llano.dev/role": "standalone"});
    good["metadata"]["annotations"] = json!({"k8s.v1.cni.cncf.io/resourceName": "example.com/nic"});
    server.put(DEFINITIONS, good);
    let client = connect(&server, |_| {});
    client.listed();
    let definition = |name: &str| client.cluster.definition(&api::NetworkRef::new("shop", name).unwrap());
    let good = definition("good").unwrap();
    assert_eq!(good.role, Some(api::Role::Standalone));
    assert_eq!(good.resource.as_deref(), Some("example.com/nic"));
    assert_eq!(good.config.as_ref().map(api::NetConfig::name), Some("good"));
    assert!(definition("nothing").unwrap().config.is_none());
    for odd in ["a-number", "a-text"] {
        assert!(matches!(definition(odd), Err(api::Error::Definition { .. })), "{odd}");
    }
    assert_eq!(client.cluster.health().asked, 0);
}

#[test]
fn an_annotation_without_end_is_cut_and_then_refused() {
    let server = Server::start().unwrap();
    let endless = "ä".repeat(api::LONGEST_ANNOTATION);
    server.put(PODS, pod("web", "u-1", &networks(&endless)));
    let client = connect(&server, |_| {});
    client.listed();
    let pods = client.cluster.pods().unwrap();
    let kept = pods[0].networks.as_deref().unwrap();
    assert!(kept.len() > api::LONGEST_ANNOTATION - 2 && kept.len() <= api::LONGEST_ANNOTATION + 1);
    let long = kept.len();
    assert!(api::Selections::parse(kept, "shop").is_err(), "{long} bytes are allowed");
}
