//! A small set of claims of one address with every difference that a rule looks at.

use claims::{Actor, Claim, Hold, Keeper, KeptFor, Owner, Reason, Time, Version, allowed};
use kernel::MacAddr;
use serde_json::{Value, json};

/// Each of them can be in the API server.
pub(crate) fn claims() -> Vec<Claim> {
    let keepers = [None, Some(Keeper::StatefulSet), Some(Keeper::Reservation)];
    let mut all = Vec::new();
    for keeper in keepers {
        for node in ["n1", "n2"] {
            for (pod, uid, interface) in [
                ("web-0", "u1", "eth0"),
                ("web-0", "u1", "net1"),
                ("web-0", "u2", "eth0"),
                ("web-1", "u1", "eth0"),
                ("web-1", "u2", "eth0"),
            ] {
                let owner =
                    Owner { node: node.into(), container_id: "c1".into(), ..owner(pod, uid, interface) };
                all.push(claim(owner, keeper, None));
            }
        }
        // Another sandbox of the same pod.
        let again = Owner { node: "n1".into(), container_id: "c2".into(), ..owner("web-0", "u1", "eth0") };
        all.push(claim(again, keeper, None));
    }
    for (keeper, reason) in [
        (Some(Keeper::StatefulSet), Reason::StatefulSet),
        (Some(Keeper::Reservation), Reason::Reservation),
        (None, Reason::ReuseDelay),
        (None, Reason::Quarantine),
    ] {
        for (pod, uid, interface) in [
            ("", "", ""),
            ("web-0", "", "eth0"),
            ("web-0", "u1", "eth0"),
            ("web-0", "u1", "net1"),
            ("web-1", "u1", "eth0"),
        ] {
            all.push(claim(owner(pod, uid, interface), keeper, Some(reason)));
        }
    }
    all.retain(is_whole);
    all
}

fn owner(pod: &str, uid: &str, interface: &str) -> Owner {
    Owner {
        namespace: "shop".into(),
        pod: pod.into(),
        uid: uid.into(),
        interface: interface.into(),
        ..Owner::default()
    }
}

fn claim(owner: Owner, keeper: Option<Keeper>, reason: Option<Reason>) -> Claim {
    let until =
        reason.filter(|reason| matches!(reason, Reason::ReuseDelay | Reason::Quarantine)).map(|_| Time(20));
    Claim {
        network: "lan".into(),
        subnet: "a".into(),
        address: [10, 0, 0, 5].into(),
        mac: Some(MacAddr([2, 0, 0, 0, 0, 5])),
        owner,
        kept_for: keeper.map(|kind| KeptFor { kind, namespace: "shop".into(), name: "web".into() }),
        hold: reason.map(|reason| Hold { reason, since: Time(10), until, message: None }),
        version: Version(1),
    }
}

/// Whether it can be in the API server: somebody may create it.
pub(crate) fn is_whole(claim: &Claim) -> bool {
    let maker = match claim.owner.node.as_str() {
        "" => Actor::Controller,
        node => Actor::Agent(node.to_owned()),
    };
    allowed(&maker, None, Some(claim)).is_ok()
}

/// As the API server has it: what is empty is left out.
pub(crate) fn object(claim: &Claim) -> Value {
    let Owner { namespace, pod, uid, node, container_id, interface } = &claim.owner;
    let owner = json!({"namespace": namespace, "pod": pod, "uid": uid, "node": node, "containerID": container_id,
        "interface": interface});
    let kept = |kept: &KeptFor| json!({"kind": format!("{:?}", kept.kind), "namespace": kept.namespace, "name": kept.name});
    let at = |time: Time| format!("1970-01-01T00:00:{:02}Z", time.0);
    let hold = |hold: &Hold| json!({"reason": hold.reason.to_string(), "since": at(hold.since), "until": hold.until.map(at)});
    let spec = json!({
        "network": claim.network, "subnet": claim.subnet, "address": claim.address.to_string(),
        "mac": "02:00:00:00:00:05", "owner": owner,
        "keptFor": claim.kept_for.as_ref().map(kept), "hold": claim.hold.as_ref().map(hold),
    });
    let labels = json!({"llano.dev/network": claim.network, "llano.dev/subnet": claim.subnet});
    let name = format!("{}.{}", claim.network, claim.address);
    without_empty(json!({"apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanIP",
        "metadata": {"name": name, "labels": labels}, "spec": spec}))
}

fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(keys) => {
            let kept = keys.into_iter().filter(|(_, value)| !value.is_null() && *value != "");
            Value::Object(kept.map(|(key, value)| (key, without_empty(value))).collect())
        }
        other => other,
    }
}
