//! What a definition leaves open, from the MacvlanNetwork.

use serde_json::{Value, json};

use super::Node;
use crate::claims::tests::{Agent, Server, subnet};

/// A node with the definitions `flat`, which leaves everything open, and `own`, which names its parent.
fn node(network: Option<&Value>) -> Node {
    let node = Node::new(&["flat", "own"]);
    let server = Server::default();
    let agent = Agent::impatient(&server, "n1", vec![subnet("lan4", "10.0.0.0/24", &json!({}))]);
    agent.labelled(&[("rack", "b"), ("zone", "1")]);
    match network {
        Some(spec) => agent.has_network("lan", spec),
        None => agent.lost_network("lan"),
    }
    assert!(node.fake.agent.set(agent).is_ok());
    node
}

impl Node {
    fn agent(&self) -> &Agent {
        self.fake.agent.get().unwrap()
    }

    /// These keys of what the plugin was given.
    fn given<const N: usize>(&self, call: &str, keys: [&str; N]) -> [Value; N] {
        let text = std::fs::read_to_string(self.bin().join(format!("stdin-{call}"))).unwrap();
        let given: Value = serde_json::from_str(&text).unwrap();
        keys.map(|key| given[key].clone())
    }
}

#[test]
fn the_parent_and_what_else_is_open_come_from_the_network_and_are_in_the_record() {
    let node = node(Some(&json!({"parent": "eth1", "mtu": 1400, "probe": false})));
    node.pod("web", Some("flat"));
    node.call("ADD", "web").unwrap();
    let keys = ["master", "mtu", "mode", "probe", "hostAccess"];
    let made = [json!("eth1"), json!(1400), json!("bridge"), json!(false), json!(true)];
    assert_eq!(node.given("ADD-net1", keys), made);

    // What ADD used counts for the interface's life, whatever becomes of the network.
    node.agent().has_network("lan", &json!({"parent": "eth2"}));
    node.call("CHECK", "web").unwrap();
    assert_eq!(node.given("CHECK-net1", keys), made);
    node.agent().lost_network("lan");
    node.call("DEL", "web").unwrap();
    assert_eq!(node.given("DEL-net1", keys), made);
    assert_eq!(node.stored("web"), None);
}

#[test]
fn the_parent_is_the_first_that_fits_the_node() {
    let on = |labels: Value, parent: &str| json!({"nodeSelector": {"matchLabels": labels}, "parent": parent});
    let parents = [on(json!({"rack": "a"}), "eth1"), on(json!({"rack": "b"}), "eth2"), on(json!({}), "eth3")];
    let node = node(Some(&json!({"parents": parents})));
    node.pod("web", Some("flat"));
    node.call("ADD", "web").unwrap();
    assert_eq!(node.given("ADD-net1", ["master"]), [json!("eth2")]);
}

#[test]
fn a_node_that_no_entry_fits_is_told_with_its_labels() {
    let parents = json!([{"nodeSelector": {"matchLabels": {"rack": "a"}}, "parent": "eth1"}]);
    let node = node(Some(&json!({"parents": parents})));
    node.pod("web", Some("flat"));
    let error = node.call("ADD", "web").unwrap_err();
    assert_eq!(
        error.msg(),
        "MacvlanNetwork lan is not on node n1: no spec.parents[].nodeSelector matches its labels; label the node, or add an entry \
         for it to spec.parents ({} as nodeSelector is every node); its labels: rack=b, zone=1"
    );
    assert!(node.log().is_empty() && node.stored("web").is_none(), "nothing was done");
    assert!(node.events()[0].starts_with("web Warning NetworkRefused: MacvlanNetwork lan is not on node n1"));
    // A label is enough.
    node.agent().labelled(&[("rack", "a")]);
    node.call("ADD", "web").unwrap();
    assert_eq!(node.given("ADD-net1", ["master"]), [json!("eth1")]);
}

#[test]
fn a_network_that_does_not_exist_is_named() {
    let node = node(None);
    node.pod("web", Some("flat"));
    let error = node.call("ADD", "web").unwrap_err();
    assert_eq!(error.code(), cni::code::TRY_AGAIN, "it may be made in a moment");
    assert!(error.msg().starts_with("there is no MacvlanNetwork lan; create it"), "{error}");
    assert!(node.events()[0].starts_with("web Warning InvalidNetwork: there is no MacvlanNetwork lan"));
    assert!(node.log().is_empty() && node.stored("web").is_none(), "nothing was done");
}

#[test]
fn a_definition_with_a_parent_of_its_own_is_left_as_it_is() {
    for network in [None, Some(json!({"parent": "eth1", "mtu": 1400, "vlan": 7}))] {
        let node = node(network.as_ref());
        node.pod("web", Some("own"));
        node.call("ADD", "web").unwrap();
        assert_eq!(
            node.given("ADD-net1", ["master", "mtu", "mode"]),
            [json!("eth9"), Value::Null, Value::Null]
        );
    }
}

#[test]
fn a_vlan_without_its_parent_is_refused_before_anything() {
    let node = node(Some(&json!({"parent": "nowhere0", "vlan": 7})));
    node.pod("web", Some("flat"));
    let error = node.call("ADD", "web").unwrap_err();
    assert_eq!(
        error.msg(),
        "MacvlanNetwork lan: VLAN 7 on nowhere0: there is no interface nowhere0 on this node; ip link shows which there are"
    );
    assert!(node.events()[0].starts_with("web Warning NetworkRefused: MacvlanNetwork lan: VLAN 7"));
    assert!(node.log().is_empty() && node.stored("web").is_none(), "nothing was done");
}

#[test]
fn a_network_that_is_plugged_in_has_its_parent_too() {
    let node = node(Some(&json!({"parent": "eth1"})));
    let view = node.pod("web", None);
    node.call("ADD", "web").unwrap();
    let networks = Some("flat".to_owned());
    let view = crate::PodView { networks, ..view };
    node.engine.annotation_changed(&view);
    assert_eq!(node.given("ADD-net1", ["master"]), [json!("eth1")]);
}
