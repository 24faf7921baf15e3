//! The API server's side and ours say the same: `deploy/llano.yaml`'s policies `llano-claims` and `llano-claims-others` and the kind's own rules on one side,
//! `claims::allowed` on the other, over every change from any of a small set of claims to any other.

// Helpers of tests are not inside a test function, where the lints would allow these.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod changes;
mod policy;

use std::collections::BTreeSet;

use claims::{Actor, Claim, allowed};
use kube_cel::{Validator, compile_schema};
use serde_json::Value;

use changes::{claims, is_whole, object};
use policy::Policy;

/// What somebody does to an object.
type Change<'a> = &'a dyn Fn(&mut Value);

/// Every change of one address: from nothing or a claim to nothing or a claim, no two of them nothing.
fn changes() -> Vec<(Option<Claim>, Option<Claim>)> {
    let all: Vec<Option<Claim>> = std::iter::once(None).chain(claims().into_iter().map(Some)).collect();
    let pairs = all.iter().flat_map(|before| all.iter().map(move |after| (before.clone(), after.clone())));
    pairs.filter(|(before, after)| before.is_some() || after.is_some()).collect()
}

#[test]
fn the_policy_says_what_allowed_says() {
    let policy = Policy::shipped("llano-claims");
    let mut refused_by = BTreeSet::new();
    let mut passed = 0;
    for (before, after) in changes() {
        for node in ["n1", ""] {
            let ours = allowed(&Actor::Agent(node.to_owned()), before.as_ref(), after.as_ref());
            let theirs = policy.refusals(node, before.as_ref().map(object), after.as_ref().map(object));
            assert_eq!(
                ours.is_ok(),
                theirs.is_empty(),
                "node {node:?}\nfrom {before:#?}\nto {after:#?}\nours: {ours:?}\ntheirs: {theirs:?}"
            );
            passed += usize::from(ours.is_ok());
            refused_by.extend(theirs);
        }
    }
    assert!(passed > 100, "{passed} changes are allowed");
    // Labels, finalizers and owners of the object are not ours to judge: they are the policy's alone.
    let others = ["the labels", "finalizers or owners"];
    let missing: Vec<&String> = policy
        .messages()
        .filter(|message| {
            !refused_by.contains(*message) && !others.iter().any(|other| message.contains(other))
        })
        .collect();
    assert_eq!(missing, Vec::<&String>::new(), "no change breaks these");
}

/// Changes that the policy is asked about: it does not match deletions.
fn writes() -> impl Iterator<Item = (Option<Claim>, Claim)> {
    changes().into_iter().filter_map(|(before, after)| Some((before, after?)))
}

#[test]
fn the_policy_says_of_the_controller_what_allowed_says() {
    let policy = Policy::shipped("llano-claims-others");
    let user = serde_json::json!({"username": "system:serviceaccount:llano:llano-controller"});
    let (mut passed, mut refused) = (0, 0);
    for (before, after) in writes() {
        let ours = allowed(&Actor::Controller, before.as_ref(), Some(&after));
        let theirs = policy.refusals_of(&user, before.as_ref().map(object), Some(object(&after)));
        assert_eq!(
            ours.is_ok(),
            theirs.is_empty(),
            "from {before:#?}\nto {after:#?}\nours: {ours:?}\ntheirs: {theirs:?}"
        );
        *(if ours.is_ok() { &mut passed } else { &mut refused }) += 1;
        assert!(theirs.iter().all(|message| message.starts_with("spec.owner.node")), "{theirs:?}");
    }
    assert!(passed > 100 && refused > 100, "{passed} passed, {refused} refused");
}

#[test]
fn other_people_make_and_change_no_claim() {
    let policy = Policy::shipped("llano-claims-others");
    let user = serde_json::json!({"username": "kubernetes-admin", "groups": ["system:masters"]});
    for (before, after) in writes() {
        let refusals = policy.refusals_of(&user, before.as_ref().map(object), Some(object(&after)));
        let expected = match &before {
            None => Some("addresses are made by agents and the controller only"),
            Some(before) if object(before)["spec"] != object(&after)["spec"] => {
                Some("spec may be changed by")
            }
            // The same again, and what is not in spec.
            Some(_) => None,
        };
        match expected {
            None => assert_eq!(refusals, Vec::<String>::new()),
            Some(begin) => {
                assert!(refusals.len() == 1 && refusals[0].starts_with(begin), "{begin}: {refusals:?}");
            }
        }
    }
    let claim = object(&claims()[0]);
    let mut mended = claim.clone();
    mended["metadata"]["finalizers"] = serde_json::json!([]);
    assert_eq!(policy.refusals_of(&user, Some(claim), Some(mended)), Vec::<String>::new());
}

#[test]
fn the_policy_keeps_labels_finalizers_and_owners() {
    let policy = Policy::shipped("llano-claims");
    let claim = claims().into_iter().find(|claim| claim.owner.node == "n1").unwrap();
    let changed = |change: Change<'_>| {
        let mut object = object(&claim);
        change(&mut object);
        policy.refusals("n1", None, Some(object))
    };
    assert_eq!(changed(&|_| {}), Vec::<String>::new());
    let cases: [(Change<'_>, &str); 5] = [
        (&|object| object["metadata"]["labels"]["llano.dev/network"] = "wan".into(), "the labels"),
        (&|object| object["metadata"]["labels"]["llano.dev/subnet"] = "b".into(), "the labels"),
        (&|object| drop(object["metadata"].as_object_mut().unwrap().remove("labels")), "the labels"),
        (&|object| object["metadata"]["finalizers"] = serde_json::json!(["a/b"]), "finalizers or owners"),
        (
            &|object| object["metadata"]["ownerReferences"] = serde_json::json!([{"name": "x"}]),
            "finalizers or owners",
        ),
    ];
    for (change, message) in cases {
        let refusals = changed(change);
        assert!(refusals.len() == 1 && refusals[0].contains(message), "{message}: {refusals:?}");
    }
}

#[test]
fn the_kinds_own_rules_take_every_change_that_is_allowed() {
    let definitions = api::kinds::definitions().unwrap();
    let schema = definitions
        .iter()
        .find(|crd| crd["spec"]["names"]["kind"] == "MacvlanIP")
        .map(|crd| compile_schema(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))
        .unwrap();
    for (before, after) in changes() {
        let Some(new) = &after else { continue };
        assert!(is_whole(new));
        let actors = [Actor::Agent("n1".to_owned()), Actor::Controller];
        if !actors.iter().any(|actor| allowed(actor, before.as_ref(), after.as_ref()).is_ok()) {
            continue;
        }
        let old = before.as_ref().map(object);
        let said = Validator::new().validate_compiled(&schema, &object(new), old.as_ref());
        let said: Vec<String> =
            said.err().iter().flat_map(|errors| errors.iter()).map(ToString::to_string).collect();
        assert_eq!(said, Vec::<String>::new(), "from {before:#?}\nto {after:#?}");
    }
}
