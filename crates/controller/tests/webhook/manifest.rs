//! `deploy/webhook.yaml` and the code mean the same.

use std::cell::RefCell;
use std::collections::BTreeSet;

use api::IfName;
use api::addresses::AddressRequests;
use controller::webhook::{PATH, Places};
use serde::Deserialize;
use serde_json::Value;

fn manifest() -> Vec<Value> {
    let text = include_str!("../../../../deploy/webhook.yaml");
    serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

fn object(kind: &str) -> Value {
    let mut found = manifest().into_iter().filter(|object| object["kind"] == kind);
    let object = found.next().expect(kind);
    assert!(found.next().is_none(), "one {kind}");
    object
}

#[test]
fn names_are_those_of_the_keeper() {
    let Places { namespace, service, secret, configuration } = Places::default();
    for (kind, name) in [("Service", &service), ("Secret", &secret)] {
        let object = object(kind);
        assert_eq!(
            (&object["metadata"]["name"], &object["metadata"]["namespace"]),
            (&name.as_str().into(), &namespace.as_str().into())
        );
    }
    assert_eq!(object("Role")["rules"][0]["resourceNames"][0], secret);
    assert_eq!(object("ClusterRole")["rules"][0]["resourceNames"][0], configuration);
    let configured = object("ValidatingWebhookConfiguration");
    assert_eq!(configured["metadata"]["name"], configuration);
    for webhook in configured["webhooks"].as_array().unwrap() {
        let to = &webhook["clientConfig"]["service"];
        assert_eq!(
            (&to["name"], &to["namespace"], &to["path"]),
            (&service.as_str().into(), &namespace.as_str().into(), &PATH.into())
        );
        let service = to["name"].as_str().unwrap();
        assert_eq!(format!("{service}.{namespace}.svc"), Places::default().server_name());
    }
}

#[test]
fn pods_with_any_annotation_that_is_read_come_to_the_webhook() {
    let configured = object("ValidatingWebhookConfiguration");
    let pods =
        configured["webhooks"].as_array().unwrap().iter().find(|webhook| webhook["name"] == "pods.llano.dev");
    let expression = pods.unwrap()["matchConditions"][0]["expression"].as_str().unwrap();
    let (list, _) = expression.split_once(']').unwrap();
    let listed: BTreeSet<&str> =
        list.trim_start_matches('[').split(',').map(|key| key.trim().trim_matches('\'')).collect();

    let read = RefCell::new(BTreeSet::from([api::NETWORKS.to_owned(), api::DEFAULT_NETWORK.to_owned()]));
    let none = |key: &str| {
        read.borrow_mut().insert(key.to_owned());
        None
    };
    AddressRequests::parse(none, &[IfName::new("eth0").unwrap()]).unwrap();
    // These have no effect; there is a warning of them when there is more to judge.
    let without_effect = [
        "ipam.spidernet.io/ippool-ip-number",
        "ipam.spidernet.io/routes",
        "ipam.spidernet.io/ippool-reclaim",
    ];
    let mut read = read.into_inner();
    read.retain(|key| !without_effect.contains(&key.as_str()));
    assert_eq!(listed, read.iter().map(String::as_str).collect());
}
