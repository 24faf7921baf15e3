//! Objects and claims for tests: namespace `shop`, network `lan`, subnet `lan4` of 10.0.0.0/28, reservation `team`.
#![allow(clippy::needless_pass_by_value, reason = "objects are written as literals")]

use api::kinds::{MacvlanNetwork, MacvlanReservation, MacvlanSubnet, Network};
use claims::{Claim, Hold, Keeper, KeptFor, Owner, Time, Version};
use kernel::MacAddr;
use serde_json::{Value, json};

use crate::changes::State;

pub(crate) fn active(address: &str, pod: &str, uid: &str) -> Claim {
    Claim {
        network: "lan".into(),
        subnet: "lan4".into(),
        address: address.parse().unwrap(),
        mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
        owner: Owner {
            namespace: "shop".into(),
            pod: pod.into(),
            uid: uid.into(),
            node: "node1".into(),
            container_id: "c1".into(),
            interface: "eth0".into(),
        },
        kept_for: None,
        hold: None,
        version: Version(7),
    }
}

pub(crate) fn kept(claim: Claim, kind: Keeper, name: &str) -> Claim {
    let kept_for = KeptFor { kind, namespace: "shop".into(), name: name.into() };
    Claim { kept_for: Some(kept_for), ..claim }
}

/// The claim, held for what it is kept for.
pub(crate) fn holding(claim: Claim) -> Claim {
    let reason = claim.kept_for.as_ref().unwrap().reason();
    let uid = claim.owner.uid.clone();
    claim.held(Hold { reason, since: Time(1), until: None, message: None }, &uid)
}

pub(crate) fn network_object(spec: Value) -> MacvlanNetwork {
    let object = json!({"apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanNetwork",
        "metadata": {"name": "lan", "uid": "n1", "resourceVersion": "1"}, "spec": spec});
    serde_json::from_value(object).unwrap()
}

pub(crate) fn network(spec: Value) -> Network {
    Network::parse(&network_object(spec)).unwrap()
}

pub(crate) fn subnet(name: &str, spec: Value) -> MacvlanSubnet {
    let object = json!({"apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanSubnet",
        "metadata": {"name": name, "uid": "s1", "resourceVersion": "1"}, "spec": spec});
    serde_json::from_value(object).unwrap()
}

pub(crate) fn reservation(spec: Value) -> MacvlanReservation {
    let object = json!({"apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanReservation",
        "metadata": {"namespace": "shop", "name": "team", "uid": "r1", "resourceVersion": "1"}, "spec": spec});
    serde_json::from_value(object).unwrap()
}

/// With the network and the subnet, and nothing to look at.
pub(crate) fn state_with_subnet() -> State {
    let mut state = State::default();
    state.network_applied(network_object(json!({"parent": "eth0"})));
    let spec = json!({"network": "lan", "cidr": "10.0.0.0/28", "gateway": "10.0.0.1"});
    state.subnet_applied(subnet("lan4", spec));
    for watch in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
        state.list_read(watch, Time(1));
    }
    state.lead(Time(1));
    state.queue = crate::queue::Queue::default();
    state
}
