//! The NetworkAttachmentDefinitions of a network: made, corrected, and removed when its `attachAs` says so no more. Those of other
//! people are left alone, whatever their names.
//!
//! `spec.config` names the network, and leaves out what differs from node to node: parent and VLAN. The agent takes these from the
//! MacvlanNetwork that `ipam.network` names, as it does the addresses; so the definition is the same for every node, and nothing
//! that does not know our addresses can attach a pod to a wrong interface with it.

use std::collections::BTreeMap;

use api::kinds::{NETWORK_LABEL, Network};
use api::{NetworkRef, Role};
use serde_json::{Value, json};

use crate::index::Definition;

/// The label that says who keeps an object.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value on what we made.
pub(crate) const MANAGER: &str = "llano";
/// The annotation that tells people where to change a definition.
const MADE_FOR: &str = "llano.dev/made-for";

/// What has to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create(NetworkRef, Role),
    /// It is ours and not as it should be.
    Correct(NetworkRef, Role),
    /// It is ours and nobody wants it any more; at this version.
    Remove(NetworkRef, Box<str>),
}

/// All that has to be done, and what cannot be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// Names that others have, with whose they are.
    pub(crate) taken: Vec<String>,
}

/// What has to be done for the network of this name; without a network, everything of it goes.
pub(crate) fn plan(
    name: &str,
    network: Option<&Network>,
    definitions: &BTreeMap<NetworkRef, Definition>,
) -> Plan {
    let mut plan = Plan::default();
    let wanted = network.map(config);
    for (at, role) in network.iter().flat_map(|network| &network.attach_as) {
        match definitions.get(at) {
            None => plan.steps.push(Step::Create(at.clone(), *role)),
            Some(Definition::Foreign(_)) => {
                plan.taken.push(format!("{at} was made by somebody else"));
            }
            Some(Definition::Ours { network, .. }) if **network != *name => {
                plan.taken.push(format!("{at} is MacvlanNetwork {network}'s"));
            }
            Some(Definition::Ours { role: known, config, .. }) => {
                let config = config.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
                if known.as_deref() != Some(role.as_str()) || config != wanted {
                    plan.steps.push(Step::Correct(at.clone(), *role));
                }
            }
        }
    }
    for (at, definition) in definitions {
        if let Definition::Ours { network: of, version, .. } = definition
            && **of == *name
            && network.is_none_or(|network| !network.attach_as.contains_key(at))
        {
            plan.steps.push(Step::Remove(at.clone(), version.clone()));
        }
    }
    plan
}

/// The definition as it should be.
pub(crate) fn object(at: &NetworkRef, role: Role, network: &Network) -> Value {
    let mut object = change(role, network);
    object["apiVersion"] = json!("k8s.cni.cncf.io/v1");
    object["kind"] = json!("NetworkAttachmentDefinition");
    object["metadata"]["namespace"] = json!(at.namespace());
    object["metadata"]["name"] = json!(at.name());
    object
}

/// What a merge patch says to have it so.
pub(crate) fn change(role: Role, network: &Network) -> Value {
    json!({
        "metadata": {
            "labels": {
                MANAGED_BY: MANAGER,
                NETWORK_LABEL: network.name,
                api::ROLE: role.as_str(),
            },
            "annotations": { MADE_FOR: format!("MacvlanNetwork {}: change its spec, not this", network.name) },
        },
        "spec": { "config": config(network).to_string() },
    })
}

/// `spec.config`: the keys of `type: macvlan`, docs/macvlan.md.
fn config(network: &Network) -> Value {
    let mut config = json!({
        "cniVersion": "1.0.0",
        "name": network.name,
        "type": "macvlan",
        "mode": network.mode,
        "probe": network.probe,
        "ipam": { "type": "llano", "network": network.name },
    });
    // These are refused in modes where they have no meaning.
    if network.host_access {
        config["hostAccess"] = json!(true);
    }
    if network.nopromisc {
        config["nopromisc"] = json!(true);
    }
    if network.nodst {
        config["nodst"] = json!(true);
    }
    if !network.source_macs.is_empty() {
        config["sourceMacs"] = network.source_macs.iter().map(ToString::to_string).collect();
    }
    if let Some(mtu) = network.mtu {
        config["mtu"] = json!(mtu);
    }
    config
}

/// A definition of ours as the watch would show it, for tests.
#[cfg(test)]
pub(crate) fn shown(role: Role, network: &Network, version: &str) -> Definition {
    Definition::Ours {
        network: network.name.as_str().into(),
        role: Some(role.as_str().to_owned()),
        config: Some(config(network).to_string().into()),
        version: version.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::network;

    fn at(text: &str) -> NetworkRef {
        let (namespace, name) = text.split_once('/').unwrap();
        NetworkRef::new(namespace, name).unwrap()
    }

    fn attached(entries: &Value) -> Network {
        network(json!({"parent": "eth0", "attachAs": entries}))
    }

    #[test]
    fn definitions_are_made_corrected_and_removed() {
        let one = attached(&json!([{"namespace": "shop", "name": "lan", "role": "standalone"}]));
        let two =
            attached(&json!([{"namespace": "shop", "name": "lan"}, {"namespace": "shop", "name": "more"}]));
        let fine = shown(Role::Standalone, &one, "4");
        let Definition::Ours { network: of, role, version, .. } = fine.clone() else { panic!() };
        let drifted = Definition::Ours { network: of, role, config: Some("{".into()), version };
        let mut others = network(json!({"parent": "eth0"}));
        others.name = "other".into();
        let others = shown(Role::Overlay, &others, "9");
        for (network, there, steps, taken) in [
            (Some(&one), vec![], vec![Step::Create(at("shop/lan"), Role::Standalone)], 0),
            (Some(&one), vec![("shop/lan", fine.clone())], vec![], 0),
            (
                Some(&one),
                vec![("shop/lan", drifted)],
                vec![Step::Correct(at("shop/lan"), Role::Standalone)],
                0,
            ),
            // The role alone is another.
            (
                Some(&two),
                vec![("shop/lan", fine.clone()), ("shop/more", shown(Role::Overlay, &two, "5"))],
                vec![Step::Correct(at("shop/lan"), Role::Overlay)],
                0,
            ),
            (
                Some(&one),
                vec![("shop/lan", fine.clone()), ("shop/old", fine.clone())],
                vec![Step::Remove(at("shop/old"), "4".into())],
                0,
            ),
            (
                None,
                vec![
                    ("shop/lan", fine.clone()),
                    ("shop/theirs", Definition::Foreign(None)),
                    ("a/b", others.clone()),
                ],
                vec![Step::Remove(at("shop/lan"), "4".into())],
                0,
            ),
            // Somebody else's is neither changed nor removed, by whatever network it is named.
            (Some(&one), vec![("shop/lan", Definition::Foreign(None))], vec![], 1),
            (Some(&one), vec![("shop/lan", others)], vec![], 1),
        ] {
            let there: BTreeMap<_, _> =
                there.into_iter().map(|(name, definition)| (at(name), definition)).collect();
            let plan = plan("lan", network, &there);
            assert_eq!((&plan.steps, plan.taken.len()), (&steps, taken), "{there:?}");
        }
    }

    #[test]
    fn the_configuration_has_what_macvlan_takes_and_nothing_of_a_node() {
        let plain = config(&network(json!({"parent": "eth0", "vlan": 100})));
        let expected = json!({"cniVersion": "1.0.0", "name": "lan", "type": "macvlan", "mode": "bridge", "probe": true,
            "hostAccess": true, "ipam": {"type": "llano", "network": "lan"}});
        assert_eq!(plain, expected);
        let source =
            config(&network(json!({"parents": [{"nodeSelector": {}, "parent": "bond0"}], "mode": "source",
            "sourceMacs": ["02:00:00:00:00:01"], "mtu": 1400, "probe": false})));
        assert_eq!(source["sourceMacs"], json!(["02:00:00:00:00:01"]));
        assert_eq!(
            (&source["mtu"], &source["probe"], source.get("hostAccess")),
            (&json!(1400), &json!(false), None)
        );
        let passthru =
            config(&network(json!({"parent": "eth0", "mode": "passthru", "flags": ["nopromisc"]})));
        assert_eq!((&passthru["mode"], &passthru["nopromisc"]), (&json!("passthru"), &json!(true)));
        let source = json!({"parent": "eth0", "mode": "source", "sourceMacs": ["02:00:00:00:00:01"], "flags": ["nodst"]});
        let source = config(&network(source));
        assert_eq!((&source["mode"], &source["nodst"]), (&json!("source"), &json!(true)));
        let object = object(&at("shop/lan"), Role::Overlay, &network(json!({"parent": "eth0"})));
        assert_eq!(object["metadata"]["labels"]["llano.dev/role"], json!("overlay"));
        assert_eq!(object["spec"]["config"], json!(expected.to_string()));
    }
}
