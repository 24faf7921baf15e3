//! For tests: claims and subnets as the API server has them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::kinds::claim_name;
use serde_json::{Value, json};

use super::entry::Entry;
use super::known::Known;

/// The time in tests: 2026-11-22 06:00:00 UTC.
pub(super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_327_200)
}

fn claim(address: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    let subnet = if address.contains(':') { "lan6" } else { "lan4" };
    let more = json!({"network": "lan", "subnet": subnet, "address": address});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({
        "apiVersion": "llano.dev/v1alpha1",
        "kind": "MacvlanIP",
        "metadata": {
            "name": claim_name("lan", address.parse().unwrap()),
            "uid": format!("u-{address}"),
            "resourceVersion": "7",
            "creationTimestamp": "2026-11-22T03:00:00Z",
        },
        "spec": spec,
    })
}

/// In use by a pod of namespace shop.
pub(super) fn active(address: &str, pod: &str) -> Value {
    let owner = json!({
        "namespace": "shop", "pod": pod, "uid": format!("uid-of-{pod}"), "node": "n1", "containerID": "c1",
        "interface": "net1",
    });
    claim(address, &json!({"mac": "02:00:5e:10:00:05", "owner": owner}))
}

/// Held for a StatefulSet (`StatefulSet`), a reservation, or for a time.
pub(super) fn held(address: &str, reason: &str, pod: &str) -> Value {
    let mut hold = json!({"reason": reason, "since": "2026-11-22T05:50:00Z"});
    let mut spec = json!({});
    match reason {
        "ReuseDelay" => hold["until"] = json!("2026-11-22T06:04:00Z"),
        "Quarantine" => {
            hold["until"] = json!("2026-11-22T06:20:00Z");
            hold["message"] = json!("0a:00:27:00:00:09 answered the probe");
        }
        kind => spec["keptFor"] = json!({"kind": kind, "namespace": "shop", "name": "web"}),
    }
    if !pod.is_empty() {
        spec["owner"] = json!({"namespace": "shop", "pod": pod, "interface": "net1"});
        spec["mac"] = json!("02:00:5e:10:00:07");
    }
    spec["hold"] = hold;
    claim(address, &spec)
}

pub(super) fn entries(claims: &[Value]) -> Vec<Entry> {
    let objects = claims.iter().map(|claim| serde_json::from_value(claim.clone()).unwrap()).collect();
    let (entries, unread) = Entry::read(objects);
    assert_eq!(unread, Vec::<String>::new());
    entries
}

/// A subnet of network lan.
pub(super) fn subnet(name: &str, cidr: &str, more: &Value) -> Known {
    let mut spec = json!({"network": "lan", "cidr": cidr});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let object = json!({
        "apiVersion": "llano.dev/v1alpha1",
        "kind": "MacvlanSubnet",
        "metadata": {"name": name, "creationTimestamp": "2026-11-20T03:00:00Z"},
        "spec": spec,
    });
    let (mut known, unread) = Known::read(vec![serde_json::from_value(object).unwrap()]);
    assert_eq!(unread, Vec::<String>::new());
    known.remove(0)
}

/// lan4: 10.20.0.0/24 with gateway, ranges and exclude.
pub(super) fn lan4() -> Known {
    let more = json!({
        "gateway": "10.20.0.1", "ranges": ["10.20.0.1-10.20.0.199"], "exclude": ["10.20.0.64/28", "10.20.0.99"],
        "default": true, "reuseDelay": "5m", "pairWith": "lan6",
    });
    subnet("lan4", "10.20.0.0/24", &more)
}
