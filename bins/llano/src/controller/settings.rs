//! What the controller runs with: the command line, and what its pod is told.

use std::net::SocketAddr;
use std::path::Path;

use ::controller::Options;
use ::controller::webhook::PodNetworks;
use anyhow::{Context, bail};
use api::NetworkRef;
use apiserver::Access;
use cni::json::{self, Object};
use serde_json::{Value, json};

use super::Command;

/// Where a pod finds its own namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// The namespace of deploy/llano.yaml.
const NAMESPACE: &str = "llano";
/// Where agents look for a definition that is named without a namespace, and whose pods get no networks by default, unless they are
/// told otherwise.
const SYSTEM_NAMESPACE: &str = "kube-system";

pub(super) fn read(command: Command) -> anyhow::Result<Options> {
    let told = |key: &str| std::env::var(key).ok().filter(|text| !text.is_empty());
    let own = || std::fs::read_to_string(OWN_NAMESPACE).ok().map(|text| text.trim().to_owned());
    let namespace = command.namespace.or_else(|| told("POD_NAMESPACE")).or_else(own);
    let namespace = namespace.unwrap_or_else(|| NAMESPACE.to_owned());
    if NetworkRef::new(&namespace, &command.lease).is_none() {
        bail!(
            "lease {:?} in namespace {namespace:?}: expected names as Kubernetes has them, such as llano-controller in llano",
            command.lease
        );
    }
    let host = || rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let identity = command.identity.or_else(|| told("POD_NAME"));
    let identity = identity.unwrap_or_else(|| format!("{}-{}", host(), std::process::id()));
    if identity.is_empty() {
        bail!("identity: an empty name is nobody's; give each controller its own");
    }
    let access = command.kubeconfig.map_or(Access::Pod, Access::Kubeconfig);
    let webhook_address = command.webhook_address;
    let pod_networks = command.agent_config.as_deref().map(agents).transpose()?;
    let mut options = Options::new(access, namespace, command.lease, identity);
    options.grace.keeper = command.keeper_grace;
    Ok(Options { webhook_address, pod_networks, ..options })
}

/// What agents with this configuration give to pods.
fn agents(file: &Path) -> anyhow::Result<PodNetworks> {
    let read = || pod_networks(&std::fs::read_to_string(file)?);
    read().with_context(|| format!("agents' configuration {}", file.display()))
}

fn pod_networks(text: &str) -> anyhow::Result<PodNetworks> {
    let value = json::parse(text.as_bytes())?;
    let root = Object::root(&value)?;
    let namespace = root.text("multusNamespace")?.unwrap_or(SYSTEM_NAMESPACE);
    let definition = |key: &str, text: &str| {
        let (namespace, name) = text.split_once('/').unwrap_or((namespace, text));
        let named = NetworkRef::new(namespace, name);
        named.with_context(|| format!("{key}: {text:?}, expected NAME or NAMESPACE/NAME"))
    };
    // A file is the primary plugin's own, and the node's.
    let first = root.text("clusterNetwork")?.filter(|text| !text.starts_with('/'));
    let list = |key: &str| match root.get(key) {
        None => Ok(None),
        Some(_) => root.strings(key).map(Some),
    };
    let beside = list("defaultNetworks")?.unwrap_or_default();
    let system = list("systemNamespaces")?.unwrap_or_else(|| vec![SYSTEM_NAMESPACE]);
    Ok(PodNetworks {
        first: first.map(|text| definition("clusterNetwork", text)).transpose()?,
        beside: beside
            .into_iter()
            .map(|text| definition("defaultNetworks", text))
            .collect::<Result<_, _>>()?,
        system_namespaces: system.into_iter().map(str::to_owned).collect(),
    })
}

/// For `--dry-run`.
pub(super) fn shown(options: &Options, metrics_address: Option<SocketAddr>) -> Value {
    let access = match &options.access {
        Access::Pod => "pod".to_owned(),
        Access::Kubeconfig(path) => path.display().to_string(),
    };
    json!({
        "access": access, "namespace": options.namespace, "lease": options.lease, "identity": options.identity,
        "metricsAddress": metrics_address, "webhookAddress": options.webhook_address,
        "keeperGraceSeconds": options.grace.keeper.as_secs(),
        "clusterNetwork": options.pod_networks.as_ref().map(first),
        "defaultNetworks": options.pod_networks.as_ref().map(beside),
    })
}

fn first(networks: &PodNetworks) -> String {
    networks.first.as_ref().map_or_else(|| "the primary plugin's".to_owned(), ToString::to_string)
}

fn beside(networks: &PodNetworks) -> Vec<String> {
    networks.beside.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::output::setting_lines;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        command: Command,
    }

    fn settings(line: &[&str]) -> anyhow::Result<Options> {
        read(Line::try_parse_from([&["controller"], line].concat())?.command)
    }

    #[test]
    fn the_command_line_says_who_and_where() {
        let options = settings(&["--namespace", "net", "--identity", "a", "--kubeconfig", "/k"]).unwrap();
        assert_eq!((options.namespace.as_str(), options.lease.as_str()), ("net", "llano-controller"));
        let shown = shown(&options, Some("127.0.0.1:9465".parse().unwrap()));
        assert_eq!((&shown["access"], &shown["metricsAddress"]), (&json!("/k"), &json!("127.0.0.1:9465")));
        assert!(setting_lines(&shown).contains(&"identity            a".to_owned()));
        assert!(setting_lines(&shown).contains(&"webhookAddress      none".to_owned()));
        assert!(
            setting_lines(&shown)
                .contains(&format!("keeperGraceSeconds  {}", options.grace.keeper.as_secs()))
        );
    }

    #[test]
    fn the_webhook_is_asked_where_the_command_line_says() {
        let options = settings(&["--namespace", "net", "--webhook-address", "[::]:9443"]).unwrap();
        let shown = shown(&options, None);
        assert_eq!((&shown["webhookAddress"], &shown["clusterNetwork"]), (&json!("[::]:9443"), &Value::Null));
        let line = ["--namespace", "net", "--agent-config", "/nowhere/agent.json"];
        let error = format!("{:#}", settings(&line).unwrap_err());
        assert!(error.contains("agents' configuration /nowhere/agent.json"), "{error}");
    }

    #[test]
    fn what_agents_give_to_every_pod_is_known() {
        // As deploy/llano.yaml has it.
        let known = pod_networks(r#"{"install": true, "metricsAddress": "127.0.0.1:9464"}"#).unwrap();
        assert_eq!((&known.first, first(&known).as_str()), (&None, "the primary plugin's"));
        assert_eq!((known.beside.len(), &known.system_namespaces[..]), (0, &["kube-system".to_owned()][..]));
        let text = r#"{"clusterNetwork": "lan", "multusNamespace": "nets", "defaultNetworks": ["a/b", "c"], "systemNamespaces": []}"#;
        let known = pod_networks(text).unwrap();
        let at = |namespace, name| NetworkRef::new(namespace, name).unwrap();
        assert_eq!(known.first, Some(at("nets", "lan")));
        assert_eq!(beside(&known), ["a/b", "nets/c"]);
        assert_eq!(known.system_namespaces, Vec::<String>::new());
        assert_eq!(pod_networks(r#"{"clusterNetwork": "/etc/cni/net.d"}"#).unwrap().first, None);
        let error = pod_networks(r#"{"defaultNetworks": ["A B"]}"#).unwrap_err().to_string();
        assert_eq!(error, r#"defaultNetworks: "A B", expected NAME or NAMESPACE/NAME"#);
    }

    #[test]
    fn two_on_one_host_are_not_the_same() {
        let identity = settings(&["--namespace", "net"]).unwrap().identity;
        assert!(identity.ends_with(&format!("-{}", std::process::id())) || std::env::var("POD_NAME").is_ok());
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        for line in [["--namespace", "Not One"], ["--lease", "a/b"], ["--identity", ""]] {
            let line = [&line[..], &["--kubeconfig", "/k"]].concat();
            assert!(settings(&line).is_err(), "{line:?}");
        }
        assert!(settings(&["--metrics-address", "9465"]).is_err());
    }
}
