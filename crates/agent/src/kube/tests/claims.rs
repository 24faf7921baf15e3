//! Claims through the API server.

use api::IfName;
use serde_json::json;

use apiserver::testing::Server;

use super::{CLAIMS, Change, Client, NAMESPACES, NETWORKS, NODES, SUBNETS, connect, key, soon};
use crate::claims::{Ask, ClaimError, Claimed, Claims, Gone};
use crate::{Addressing, Cluster, PodView};

const POST: &str = "POST /apis/llano.dev/v1alpha1/macvlanips";
const GET: &str = "GET /apis/llano.dev/v1alpha1/macvlanips/";
const DELETE: &str = "DELETE /apis/llano.dev/v1alpha1/macvlanips/";

/// Network `lan` with these addresses.
fn server(ranges: &str) -> Server {
    let server = Server::start().unwrap();
    server.put(NAMESPACES, json!({"metadata": {"name": "shop", "labels": {"team": "a"}}}));
    server.put(NODES, json!({"metadata": {"name": "node1", "labels": {"rack": "1"}}}));
    let spec = json!({"network": "lan", "cidr": "10.0.0.0/24", "ranges": [ranges], "default": true,
        "namespaceSelector": {"matchLabels": {"team": "a"}}, "nodeSelector": {"matchLabels": {"rack": "1"}}});
    server.put(SUBNETS, json!({"metadata": {"name": "lan4"}, "spec": spec}));
    server
}

fn claiming(server: &Server) -> Client {
    let client = connect(server, |options| options.claims = true);
    client.until_claims();
    client
}

impl Client {
    fn until_claims(&self) {
        while self.change() != Change::Claims {}
    }

    fn claims(&self) -> &dyn Claims {
        self.cluster.claims().unwrap()
    }

    fn claim(&self, pod: &str) -> Result<Claimed, ClaimError> {
        let pod = PodView {
            key: key(pod, &format!("u-{pod}")),
            networks: None,
            default_network: None,
            status: None,
            host_network: false,
            is_static: false,
            addressing: Addressing::default(),
        };
        let interface = IfName::new("net1").unwrap();
        let ask = Ask {
            network: "lan",
            pod: &pod,
            container_id: &format!("c-{}", pod.key.name),
            interface: &interface,
            request: None,
            mac: None,
            own_mac: true,
        };
        self.claims().claim(&ask, soon())
    }

    fn release(&self, pod: &str) {
        let container_id = format!("c-{pod}");
        let gone = Gone {
            network: "lan",
            container_id: &container_id,
            interface: "net1",
            addresses: &[],
            used: true,
        };
        self.claims().release(&gone, soon()).unwrap();
    }
}

#[test]
fn an_address_is_one_create_and_its_end_one_delete() {
    let server = server("10.0.0.5");
    let client = claiming(&server);
    let claimed = client.claim("web").unwrap();
    let object = server.state().objects.get(&format!("{CLAIMS}/lan.10.0.0.5")).unwrap().clone();
    assert_eq!(object["spec"]["mac"], claimed.mac.unwrap().to_string());
    assert_eq!(
        object["spec"]["owner"],
        json!({"namespace": "shop", "pod": "web", "uid": "u-web", "node": "node1", "containerID": "c-web",
            "interface": "net1"})
    );
    assert_eq!(object["metadata"]["labels"], json!({"llano.dev/network": "lan", "llano.dev/subnet": "lan4"}));
    client.release("web");
    assert!(server.state().objects.get(&format!("{CLAIMS}/lan.10.0.0.5")).is_none());
    assert_eq!([POST, GET, DELETE].map(|line| server.seen(line).len()), [1, 0, 1]);
    let sent = server.seen(DELETE)[0].clone();
    assert_eq!(sent.body["preconditions"], json!({"resourceVersion": object["metadata"]["resourceVersion"]}));
    // The address can be had again at once.
    client.claim("next").unwrap();
}

#[test]
fn an_error_of_the_api_servers_own_is_looked_into() {
    let server = server("10.0.0.5");
    let client = claiming(&server);
    server.fault(POST, 500);
    client.claim("web").unwrap();
    assert_eq!([POST, GET].map(|line| server.seen(line).len()), [2, 1]);
    server.fault(DELETE, 503);
    client.release("web");
    assert_eq!(server.seen(DELETE).len(), 2);
    server.fault(POST, 403);
    let refused = client.claim("next").unwrap_err();
    assert_eq!(refused.to_string(), "claim lan.10.0.0.5: the API server refuses it: told to say 403");
}

#[test]
fn what_another_node_has_is_seen_or_found_out() {
    let server = server("10.0.0.5-10.0.0.6");
    let other = |address: &str| {
        json!({"metadata": {"name": format!("lan.{address}")}, "spec": {"network": "lan", "subnet": "lan4",
            "address": address, "owner": {"namespace": "shop", "pod": "other", "uid": "u", "node": "node2",
            "containerID": "c", "interface": "eth0"}}})
    };
    server.put(CLAIMS, other("10.0.0.5"));
    let client = claiming(&server);
    assert_eq!(client.claim("web").unwrap().addresses[0].address.to_string(), "10.0.0.6");
    assert_eq!(server.seen(POST).len(), 1, "the list has shown the other");
    client.release("web");
    // Whether the watch is behind or not.
    server.put(CLAIMS, other("10.0.0.6"));
    server.delete(&format!("{CLAIMS}/lan.10.0.0.5"));
    let end = soon();
    let got = loop {
        match client.claim("web") {
            Ok(claimed) => break claimed,
            Err(error) => assert!(std::time::Instant::now() < end, "{error}"),
        }
    };
    assert_eq!(got.addresses[0].address.to_string(), "10.0.0.5");
}

#[test]
fn who_has_the_addresses_of_a_full_subnet_is_one_request() {
    let server = server("10.0.0.5");
    let owner = json!({"namespace": "bank", "pod": "vault", "uid": "u", "node": "node2", "containerID": "c",
        "interface": "eth0"});
    let spec = json!({"network": "lan", "subnet": "lan4", "address": "10.0.0.5", "owner": owner});
    server.put(CLAIMS, json!({"metadata": {"name": "lan.10.0.0.5"}, "spec": spec}));
    let client = claiming(&server);
    let full = client.claim("web").unwrap_err();
    assert!(full.event().message.contains("; in other namespaces: bank 1; "), "{full}");
    let list = format!("GET {CLAIMS}?&labelSelector=");
    let lines: Vec<String> = server.seen(&list).into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, [format!("{list}llano.dev%2Fsubnet+in+%28lan4%29&limit=500")]);
}

#[test]
fn a_claim_that_somebody_else_changes_is_told_and_only_that() {
    let server = server("10.0.0.5-10.0.0.9");
    let client = claiming(&server);
    let claimed = client.claim("web").unwrap();
    let owned = client.claims().owned().unwrap();
    assert_eq!((owned.len(), owned[0].address), (1, claimed.addresses[0].address));
    assert_eq!(client.claims().has(&owned[0]), Some(true));
    server.delete(&format!("{CLAIMS}/lan.{}", owned[0].address));
    client.until_claims();
    assert_eq!((client.claims().has(&owned[0]), client.claims().owned()), (Some(false), Some(Vec::new())));
}

#[test]
fn a_cluster_without_subnets_has_one_watch_more() {
    let server = Server::start().unwrap();
    server.state().objects.absent.push("macvlansubnets");
    let client = connect(&server, |options| options.claims = true);
    server.wait("subnets were asked for", |state| {
        state.seen.iter().filter(|seen| seen.line.contains("/macvlansubnets")).count() > 1
    });
    assert!(
        [CLAIMS, NETWORKS, "macvlanreservations", "/api/v1/namespaces?", "/api/v1/nodes"]
            .iter()
            .all(|kind| !server.state().seen.iter().any(|seen| seen.line.contains(kind)))
    );
    let none = client.claim("web").unwrap_err();
    assert_eq!(
        none.to_string(),
        "no subnet of network lan for this pod: it has no subnets; create a MacvlanSubnet"
    );
}

#[test]
fn a_network_is_what_its_object_and_the_nodes_labels_say() {
    let server = server("10.0.0.5");
    let parents = json!([{"nodeSelector": {"matchLabels": {"rack": "1"}}, "parent": "eth1"}]);
    server.put(NETWORKS, json!({"metadata": {"name": "lan"}, "spec": {"parents": parents, "vlan": 10}}));
    let client = claiming(&server);
    let on = client.claims().on_node("lan", soon()).unwrap().unwrap();
    assert_eq!((on.parent.as_str(), on.network.vlan), ("eth1", Some(10)));
    assert_eq!(client.claims().vlans().unwrap(), [("eth1".to_owned(), 10)].into());
    server.delete(&format!("{NETWORKS}/lan"));
    while client.claims().vlans() != Some(std::collections::BTreeSet::new()) {
        while client.change() != Change::Lans {}
    }
    let none = client.claims().on_node("lan", std::time::Instant::now()).unwrap_err();
    assert_eq!(none, ClaimError::NoNetwork("lan".to_owned()));
}
