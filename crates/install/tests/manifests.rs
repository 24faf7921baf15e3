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

fn named<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut found =
        documents.iter().filter(|document| document["kind"] == kind && document["metadata"]["name"] == name);
    found.next().unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// What a role allows, as `VERB RESOURCE`.
fn allowed(role: &Value) -> BTreeSet<String> {
    let mut may = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let words = |key: &str| -> Vec<String> {
            rule[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        for resource in words("resources") {
            may.extend(words("verbs").iter().map(|verb| format!("{verb} {resource}")));
        }
    }
    may
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn the_agent_may_do_what_it_does_and_nothing_else() {
    let all = documents("llano.yaml");
    let may = allowed(kind(&all, "ClusterRole"));
    let expected = set(&[
        "get pods",
        "list pods",
        "watch pods",
        "get network-attachment-definitions",
        "list network-attachment-definitions",
        "watch network-attachment-definitions",
        "get macvlannetworks",
        "list macvlannetworks",
        "watch macvlannetworks",
        "get macvlansubnets",
        "list macvlansubnets",
        "watch macvlansubnets",
        "get macvlanreservations",
        "list macvlanreservations",
        "watch macvlanreservations",
        "get macvlanips",
        "list macvlanips",
        "watch macvlanips",
        "create macvlanips",
        "update macvlanips",
        "delete macvlanips",
        "get namespaces",
        "list namespaces",
        "watch namespaces",
        "get nodes",
        "list nodes",
        "watch nodes",
        "patch pods/status",
        "create events",
        "patch events",
    ]);
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
fn each_policy_is_bound_denies_when_it_fails_and_means_our_service_accounts() {
    let all = documents("llano.yaml");
    let agent = "request.userInfo.username == 'system:serviceaccount:llano:llano-agent'";
    let others = "request.userInfo.username != 'system:serviceaccount:llano:llano-agent'";
    for (name, resources, who) in [
        ("llano-agent", json!(["pods", "pods/status"]), agent),
        ("llano-claims", json!(["macvlanips"]), agent),
        ("llano-claims-others", json!(["macvlanips"]), others),
    ] {
        let policy = &named(&all, "ValidatingAdmissionPolicy", name)["spec"];
        assert_eq!(policy["failurePolicy"], "Fail", "{name}");
        assert_eq!(policy["matchConstraints"]["resourceRules"][0]["resources"], resources, "{name}");
        assert_eq!(policy["matchConditions"][0]["expression"], who, "{name}");
        let binding = &named(&all, "ValidatingAdmissionPolicyBinding", name)["spec"];
        assert_eq!((&binding["policyName"], &binding["validationActions"]), (&name.into(), &json!(["Deny"])));
    }
    let policies = all.iter().filter(|document| document["kind"] == "ValidatingAdmissionPolicy");
    assert_eq!(policies.count(), 3);
    let pod = &kind(&all, "DaemonSet")["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "llano-agent");
}

#[test]
fn the_controller_may_do_what_it_does_and_nothing_else() {
    let all = documents("controller.yaml");
    let expected = set(&[
        "get pods",
        "list pods",
        "watch pods",
        "get statefulsets",
        "list statefulsets",
        "watch statefulsets",
        "list nodes",
        "watch nodes",
        "list namespaces",
        "watch namespaces",
        "get macvlannetworks",
        "list macvlannetworks",
        "watch macvlannetworks",
        "get macvlansubnets",
        "list macvlansubnets",
        "watch macvlansubnets",
        "patch macvlansubnets",
        "get macvlanreservations",
        "list macvlanreservations",
        "watch macvlanreservations",
        "patch macvlannetworks/status",
        "patch macvlansubnets/status",
        "patch macvlanreservations/status",
        "get macvlanips",
        "list macvlanips",
        "watch macvlanips",
        "create macvlanips",
        "update macvlanips",
        "delete macvlanips",
        "get network-attachment-definitions",
        "list network-attachment-definitions",
        "watch network-attachment-definitions",
        "create network-attachment-definitions",
        "patch network-attachment-definitions",
        "delete network-attachment-definitions",
        "create events",
    ]);
    assert_eq!(allowed(kind(&all, "ClusterRole")), expected);
    let role = kind(&all, "Role");
    assert_eq!(allowed(role), set(&["create leases", "get leases", "update leases"]));
    assert_eq!(role["rules"][1]["resourceNames"], json!(["llano-controller"]));
    for binding in ["RoleBinding", "ClusterRoleBinding"] {
        let subjects = json!([{"kind": "ServiceAccount", "name": "llano-controller", "namespace": "llano"}]);
        assert_eq!(kind(&all, binding)["subjects"], subjects);
    }
}

#[test]
fn the_controllers_pods_are_restrained_and_the_webhook_finds_them() {
    let all = documents("controller.yaml");
    let deployment = &kind(&all, "Deployment")["spec"];
    let pod = &deployment["template"]["spec"];
    assert_eq!(
        (&deployment["replicas"], &pod["serviceAccountName"]),
        (&json!(2), &json!("llano-controller"))
    );
    assert!(pod["hostNetwork"].is_null() && pod["hostPID"].is_null() && pod["hostIPC"].is_null());
    assert_eq!(
        pod["securityContext"],
        json!({"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}})
    );
    let container = &pod["containers"][0];
    assert_eq!(
        container["securityContext"],
        json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}})
    );
    assert!(container["image"].as_str().unwrap().ends_with(concat!(":", env!("CARGO_PKG_VERSION"))));
    assert_eq!(pod["volumes"], json!([{"name": "agent-config", "configMap": {"name": "llano-agent"}}]));

    let labels = &deployment["template"]["metadata"]["labels"];
    let webhook = documents("webhook.yaml");
    let service = &kind(&webhook, "Service")["spec"];
    assert_eq!(service["selector"], *labels);
    assert_eq!(kind(&all, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"], *labels);
    for (flag, name) in [("--webhook-address", "webhook"), ("--metrics-address", "metrics")] {
        let ports = container["ports"].as_array().unwrap();
        let port = &ports.iter().find(|port| port["name"] == name).unwrap()["containerPort"];
        let argument = json!(format!("{flag}=[::]:{port}"));
        assert!(container["args"].as_array().unwrap().contains(&argument), "{argument}");
    }
    assert_eq!(service["ports"][0]["targetPort"], "webhook");
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
    let part = |list: &'static str, of: &Value, name: &str| -> Value {
        of[list].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
    };
    assert_eq!(part("volumeMounts", container, "host")["mountPropagation"], "HostToContainer");
    let token = part("volumes", pod, "token");
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
