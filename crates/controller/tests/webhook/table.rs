//! The table of `cases/`: objects that are taken and refused, and what is said.

use std::collections::BTreeMap;

use controller::webhook::{Request, Verdict, judge};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::Cluster;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    case: String,
    name: Option<String>,
    namespace: Option<String>,
    spec: Option<Value>,
    was: Option<Value>,
    first: Option<String>,
    networks: Option<String>,
    addresses: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    labels: Option<Value>,
    refused: Option<String>,
    warned: Option<String>,
    /// What must not be said.
    unsaid: Option<String>,
}

/// A question about an object of ours.
pub(crate) fn question(
    kind: &str,
    namespace: &str,
    name: &str,
    spec: &Value,
    was: Option<&Value>,
) -> Request {
    let object = |spec: &Value| {
        json!({"apiVersion": "llano.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": namespace},
            "spec": spec})
    };
    ask("llano.dev", "v1alpha1", kind, namespace, &object(spec), &was.map_or(Value::Null, object))
}

fn ask(
    group: &str,
    version: &str,
    kind: &str,
    namespace: &str,
    object: &Value,
    old_object: &Value,
) -> Request {
    let operation = if old_object.is_null() { "CREATE" } else { "UPDATE" };
    let kind = json!({"group": group, "version": version, "kind": kind});
    serde_json::from_value(json!({"uid": "u", "kind": kind, "namespace": namespace, "operation": operation,
        "object": object, "oldObject": old_object}))
    .unwrap()
}

fn pod(case: &Case) -> Request {
    let mut annotations = case.annotations.clone();
    for (key, value) in [
        (api::DEFAULT_NETWORK, &case.first),
        (api::NETWORKS, &case.networks),
        (api::addresses::ADDRESSES, &case.addresses),
    ] {
        annotations.extend(value.clone().map(|value| (key.to_owned(), value)));
    }
    let metadata = json!({"name": "p", "annotations": annotations, "labels": case.labels});
    ask(
        "",
        "v1",
        "Pod",
        case.namespace.as_deref().unwrap_or("shop"),
        &json!({"metadata": metadata}),
        &Value::Null,
    )
}

fn check(file: &str, question: impl Fn(&Case) -> Request) {
    let cases: Vec<Case> = serde_yaml_ng::from_str(file).unwrap();
    let cluster = Cluster::new();
    for case in &cases {
        let Verdict { refused, warnings } = judge(&question(case), &cluster);
        let name = &case.case;
        match (&case.refused, &refused) {
            (Some(part), Some(said)) => assert!(said.contains(part), "{name}: {part:?} is not in {said:?}"),
            (None, None) => {}
            _ => panic!("{name}: {refused:?}"),
        }
        match &case.warned {
            Some(part) => {
                assert!(
                    warnings.iter().any(|said| said.contains(part)),
                    "{name}: {part:?} is not in {warnings:?}"
                );
            }
            None => assert_eq!(warnings, Vec::<String>::new(), "{name}"),
        }
        if let Some(unsaid) = &case.unsaid {
            assert!(
                !refused.iter().chain(&warnings).any(|said| said.contains(unsaid)),
                "{name}: {refused:?}"
            );
        }
    }
    let (refused, taken): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case.refused.is_some());
    assert!(!refused.is_empty() && !taken.is_empty());
}

fn check_kind(kind: &str, namespace: &str, file: &str) {
    check(file, |case| {
        let namespace = case.namespace.as_deref().unwrap_or(namespace);
        let name = case.name.as_deref().unwrap();
        question(kind, namespace, name, case.spec.as_ref().unwrap(), case.was.as_ref())
    });
}

#[test]
fn networks() {
    check_kind("MacvlanNetwork", "", include_str!("cases/network.yaml"));
}

#[test]
fn subnets() {
    check_kind("MacvlanSubnet", "", include_str!("cases/subnet.yaml"));
}

#[test]
fn reservations() {
    check_kind("MacvlanReservation", "shop", include_str!("cases/reservation.yaml"));
}

#[test]
fn pods() {
    check(include_str!("cases/pod.yaml"), pod);
}

#[test]
fn a_pod_whose_annotations_stay_is_not_judged_again() {
    let overlay_first = json!({"metadata": {"annotations": {api::DEFAULT_NETWORK: "default/lan"}}});
    let mut question = ask("", "v1", "Pod", "shop", &overlay_first, &Value::Null);
    assert!(judge(&question, &Cluster::new()).refused.is_some());
    question = ask("", "v1", "Pod", "shop", &overlay_first, &question.object);
    assert_eq!(judge(&question, &Cluster::new()), Verdict::allow());
}

#[test]
fn addresses_are_not_judged_where_the_first_network_is_not_known() {
    let annotations =
        json!({api::NETWORKS: "default/foreign", api::addresses::ADDRESSES: r#"{"subnet": "a"}"#});
    let question =
        ask("", "v1", "Pod", "shop", &json!({"metadata": {"annotations": annotations}}), &Value::Null);
    let mut cluster = Cluster::new();
    assert!(judge(&question, &cluster).refused.is_some());
    cluster.networks_without_asking = None;
    assert_eq!(judge(&question, &cluster), Verdict::allow());
}

#[test]
fn other_kinds_and_deletions_pass() {
    let spec = json!({"network": "lan", "cidr": "10.0.0.0/24"});
    let mut deletion = question("MacvlanSubnet", "", "new", &spec, None);
    assert!(judge(&deletion, &Cluster::new()).refused.is_some());
    deletion.operation = controller::webhook::Operation::Delete;
    assert_eq!(judge(&deletion, &Cluster::new()), Verdict::allow());
    let other = ask("apps", "v1", "Deployment", "shop", &json!({}), &Value::Null);
    assert_eq!(judge(&other, &Cluster::new()), Verdict::allow());
}
