//! What `deploy/` gives to the cluster: no more than is needed.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

fn documents(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

fn kind<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    let mut found = documents.iter().filter(|document| document["kind"] == kind);
    let one = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "more than one {kind}");
    one
}

#[test]
fn the_agent_reads_pods_and_networks_patches_statuses_and_writes_events_and_nothing_else() {
    let all = documents("llano.yaml");
    let mut may = BTreeSet::new();
    for rule in kind(&all, "ClusterRole")["rules"].as_array().unwrap() {
        let words = |key: &str| -> Vec<String> {
            rule[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        for (resource, verb) in words("resources")
            .iter()
            .flat_map(|resource| words("verbs").into_iter().map(move |verb| (resource.clone(), verb)))
        {
            may.insert(format!("{verb} {resource}"));
        }
    }
    let expected: BTreeSet<String> = [
        "get pods",
        "list pods",
        "watch pods",
        "get network-attachment-definitions",
        "list network-attachment-definitions",
        "watch network-attachment-definitions",
        "patch pods/status",
        "create events",
        "patch events",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(may, expected);
    let kinds: BTreeSet<&str> = all.iter().map(|document| document["kind"].as_str().unwrap()).collect();
    assert!(
        !kinds.contains("Role") && !kinds.contains("RoleBinding") && !kinds.contains("Secret"),
        "{kinds:?}"
    );
    let subjects = kind(&all, "ClusterRoleBinding")["subjects"].clone();
    assert_eq!(subjects, json!([{"kind": "ServiceAccount", "name": "llano-agent", "namespace": "llano"}]));
}

#[test]
fn the_policy_is_bound_denies_when_it_fails_and_means_this_service_account() {
    let all = documents("llano.yaml");
    let policy = &kind(&all, "ValidatingAdmissionPolicy")["spec"];
    assert_eq!(policy["failurePolicy"], "Fail");
    assert_eq!(policy["matchConstraints"]["resourceRules"][0]["resources"], json!(["pods", "pods/status"]));
    let who = policy["matchConditions"][0]["expression"].as_str().unwrap();
    assert!(who.ends_with("== 'system:serviceaccount:llano:llano-agent'"), "{who}");
    let binding = &kind(&all, "ValidatingAdmissionPolicyBinding")["spec"];
    assert_eq!(
        (&binding["policyName"], &binding["validationActions"]),
        (&"llano-agent".into(), &json!(["Deny"]))
    );
    let pod = &kind(&all, "DaemonSet")["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "llano-agent");
}

/// Checks of a container that hold for all of ours.
fn assert_restrained(container: &Value, capabilities: &[&str]) {
    let security = &container["securityContext"];
    assert!(security["privileged"].is_null(), "{container}");
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(security["capabilities"], json!({"drop": ["ALL"], "add": capabilities}));
    assert!(container["image"].as_str().unwrap().ends_with(concat!(":", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn the_agent_is_not_privileged_and_an_upgrade_has_one_writer_of_the_store() {
    let all = documents("llano.yaml");
    let set = &kind(&all, "DaemonSet")["spec"];
    assert_eq!(set["updateStrategy"]["rollingUpdate"]["maxSurge"], 0);
    let pod = &set["template"]["spec"];
    assert!(pod["hostPID"] == true && pod["hostIPC"].is_null());
    assert_eq!((&pod["hostNetwork"], &pod["automountServiceAccountToken"]), (&json!(true), &json!(false)));
    assert_eq!(pod["priorityClassName"], "system-node-critical");
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
    let container = &pod["containers"][0];
    assert_restrained(
        container,
        &["NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_CHROOT", "DAC_OVERRIDE", "CHOWN", "FOWNER"],
    );
    assert!(container["resources"]["limits"].is_null(), "plugins of others run in here");
    let named = |list: &'static str, of: &Value, name: &str| -> Value {
        of[list].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
    };
    assert_eq!(named("volumeMounts", container, "host")["mountPropagation"], "HostToContainer");
    let token = named("volumes", pod, "token");
    assert_eq!(token["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"], 3600);
    let text = kind(&all, "ConfigMap")["data"]["agent.json"].as_str().unwrap().to_owned();
    let config: Value = serde_json::from_str(&text).unwrap();
    let probe = &container["readinessProbe"]["httpGet"];
    let address = format!("{}:{}", probe["host"].as_str().unwrap(), probe["port"]);
    assert_eq!(config["metricsAddress"], address);
}

#[test]
fn uninstalling_needs_neither_a_token_nor_the_pods_network() {
    let all = documents("llano-uninstall.yaml");
    let pod = &kind(&all, "DaemonSet")["spec"]["template"]["spec"];
    assert_eq!((&pod["hostNetwork"], &pod["automountServiceAccountToken"]), (&json!(true), &json!(false)));
    assert!(pod["serviceAccountName"].is_null());
    for container in [&pod["initContainers"][0], &pod["containers"][0]] {
        assert_restrained(container, &["DAC_OVERRIDE", "CHOWN", "FOWNER"]);
        assert_eq!(container["args"][0], "uninstall");
    }
}

#[test]
fn the_definition_of_networks_is_the_ecosystems_and_in_no_file_that_is_deleted() {
    let all = documents("network-attachment-definition.yaml");
    let definition = kind(&all, "CustomResourceDefinition");
    assert_eq!(definition["metadata"]["name"], "network-attachment-definitions.k8s.cni.cncf.io");
    let spec = &definition["spec"];
    assert_eq!((&spec["group"], &spec["scope"]), (&"k8s.cni.cncf.io".into(), &"Namespaced".into()));
    assert_eq!(spec["names"]["shortNames"], json!(["net-attach-def", "nad"]));
    let schema = &spec["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    assert_eq!(
        schema["properties"],
        json!({"config": {
            "type": "string", "description": "NetworkAttachmentDefinition config is a JSON-formatted CNI configuration",
        }})
    );
    for file in ["llano.yaml", "llano-uninstall.yaml"] {
        assert!(
            documents(file).iter().all(|document| document["kind"] != "CustomResourceDefinition"),
            "{file}"
        );
    }
}
