//! The whole cluster at a glance, asked once: nodes and their agents, pods with networks, pods that were refused, definitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::kube::core::Request;
use ::kube::core::params::ListParams;
use ::kube::{Client, Error as ClientError};
use api::event::{INVALID_ANNOTATION, INVALID_NETWORK, NETWORK_REFUSED, NO_NETWORK_FOUND, UNAVAILABLE};
use apiserver::watch::{Kind, List};
use apiserver::{Access, is_not_found, plain, within};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::kinds::Definitions;
use super::object::DefinitionObject;
use crate::{Driver, Error, Result};

/// Objects of one page.
const PAGE: u32 = 500;
/// How long one page may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How long all may take.
const ALL: Duration = Duration::from_secs(120);
/// The agents' pods have this label.
const AGENTS: (&str, &str) = ("app.kubernetes.io/name", "llano-agent");
/// Why a pod of ours does not start.
const REASONS: [&str; 5] =
    [NETWORK_REFUSED, INVALID_ANNOTATION, INVALID_NETWORK, NO_NETWORK_FOUND, UNAVAILABLE];

/// The cluster at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// Every node, by name.
    pub nodes: Vec<NodeSummary>,
    /// Pods that do not start because of their networks.
    pub refused: Vec<RefusedPod>,
    /// Every definition.
    pub definitions: Vec<DefinitionSummary>,
}

/// A node and its agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSummary {
    /// The node.
    pub name: String,
    /// Whether Kubernetes takes it for ready.
    pub ready: bool,
    /// Its agent's pod; none where an agent runs without a pod, or not at all.
    pub agent: Option<AgentSummary>,
    /// Pods with a network status of Llano's.
    pub pods: usize,
    /// Their interfaces on networks of definitions.
    pub attachments: usize,
}

/// An agent's pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentSummary {
    /// `NAMESPACE/NAME`.
    pub pod: String,
    /// Whether it is ready.
    pub ready: bool,
    /// The version by its image.
    pub version: String,
}

/// A pod that does not start because of its networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedPod {
    /// `NAMESPACE/NAME`.
    pub pod: String,
    /// Its node.
    pub node: String,
    /// The event's reason.
    pub reason: String,
    /// The event's words.
    pub message: String,
}

/// A NetworkAttachmentDefinition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DefinitionSummary {
    /// `NAMESPACE/NAME`.
    pub name: String,
    /// What its label says: `standalone` or `overlay`.
    pub role: Option<&'static str>,
    /// Its first plugin; none where the nodes have the configuration.
    pub plugin: Option<String>,
    /// Pods that have an interface on it.
    pub pods: usize,
    /// Why nobody can use it.
    pub problem: Option<String>,
}

impl Overview {
    /// Asks the API server.
    ///
    /// # Errors
    /// [`Error::Access`]; [`Error::Behind`] with what could not be listed.
    pub fn read(access: &Access) -> Result<Overview> {
        let behind = |reason: String| Error::Behind { what: "the cluster".to_owned(), reason };
        let driver = Driver::start().map_err(|error| behind(error.to_string()))?;
        let access = access.clone();
        let answer = driver.wait(Instant::now() + ALL, async move {
            let client = access.client(Arc::default()).await?;
            Found::ask(&client).await.map(Found::summary)
        });
        answer.unwrap_or_else(|| Err(behind(format!("no answer within {} s", ALL.as_secs()))))
    }
}

/// What was listed.
#[derive(Debug, Default)]
struct Found {
    nodes: Vec<Object>,
    pods: Vec<Object>,
    events: Vec<Told>,
    definitions: Vec<DefinitionObject>,
}

impl Found {
    async fn ask(client: &Client) -> Result<Found> {
        let mut events = Vec::new();
        for reason in REASONS {
            let fields = format!("involvedObject.kind=Pod,reason={reason}");
            events.extend(list(client, "/api/v1/events", Some(&fields)).await?);
        }
        Ok(Found {
            nodes: list(client, "/api/v1/nodes", None).await?,
            pods: list(client, "/api/v1/pods", None).await?,
            events,
            definitions: list(client, Definitions::PATH, None).await?,
        })
    }

    fn summary(self) -> Overview {
        let mut nodes: BTreeMap<String, NodeSummary> = BTreeMap::new();
        for node in &self.nodes {
            let (name, ready) = (node.metadata.name.clone(), node.is_ready());
            nodes.insert(name.clone(), NodeSummary { name, ready, ..NodeSummary::default() });
        }
        let mut users: BTreeMap<String, usize> = BTreeMap::new();
        for pod in self.pods.iter().filter(|pod| pod.is_alive()) {
            let mut networks = pod.networks();
            if let Some(node) = nodes.get_mut(&pod.spec.node_name) {
                node.pods += usize::from(pod.metadata.annotations.contains_key(api::NETWORK_STATUS));
                node.attachments += networks.len();
                if pod.metadata.labels.get(AGENTS.0).is_some_and(|name| name == AGENTS.1) {
                    node.agent = Some(pod.agent());
                }
            }
            networks.sort();
            networks.dedup();
            networks.into_iter().for_each(|network| *users.entry(network).or_default() += 1);
        }
        let refused = self.pods.iter().filter_map(|pod| pod.refused(&self.events)).collect();
        let definitions = self.definitions.into_iter().filter_map(|object| {
            let (network, known) = object.keep()?;
            let name = network.to_string();
            let (nad, problem) = match known.read(&network) {
                Ok(nad) => (Some(nad), None),
                Err(error) => (None, Some(error.to_string())),
            };
            let plugin = |nad: &api::Nad| {
                nad.config
                    .as_ref()
                    .and_then(|config| config.plugins().first())
                    .map(|one| one.kind().to_owned())
            };
            Some(DefinitionSummary {
                pods: users.get(&name).copied().unwrap_or_default(),
                name,
                role: nad.as_deref().and_then(|nad| nad.role).map(api::Role::as_str),
                plugin: nad.as_deref().and_then(plugin),
                problem,
            })
        });
        Overview { definitions: definitions.collect(), nodes: nodes.into_values().collect(), refused }
    }
}

/// All objects of a collection; none when the API server does not know the kind.
async fn list<K: DeserializeOwned>(client: &Client, path: &str, fields: Option<&str>) -> Result<Vec<K>> {
    let behind = |error: &ClientError| Error::Behind { what: path.to_owned(), reason: plain(error) };
    let mut all = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    params.field_selector = fields.map(str::to_owned);
    loop {
        let asked = Request::new(path).list(&params);
        let asked = asked.map_err(|error| behind(&ClientError::BuildRequest(error)))?;
        let mut page: List<K> = match within(ANSWER, client.request(asked)).await {
            Ok(page) => page,
            Err(error) if is_not_found(&error) => return Ok(all),
            Err(error) => return Err(behind(&error)),
        };
        params.continue_token = page.next_page();
        all.extend(page.items);
        if params.continue_token.is_none() {
            return Ok(all);
        }
    }
}

/// A node or a pod, in part.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    deletion_timestamp: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
    containers: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    image: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
    conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// An event, in part.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Told {
    involved_object: Metadata,
    reason: String,
    message: String,
    last_timestamp: Option<String>,
}

impl Object {
    fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|one| one.kind == "Ready" && one.status == "True")
    }

    /// Whether it has, or will have, its networks.
    fn is_alive(&self) -> bool {
        !matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    fn name(&self) -> String {
        format!("{}/{}", self.metadata.namespace, self.metadata.name)
    }

    /// The networks of definitions that it has interfaces on; one that has two is there twice.
    fn networks(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Element {
            name: String,
        }
        let status = self.metadata.annotations.get(api::NETWORK_STATUS);
        let elements: Vec<Element> =
            status.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        elements.into_iter().map(|element| element.name).filter(|name| name.contains('/')).collect()
    }

    fn agent(&self) -> AgentSummary {
        let image = self.spec.containers.first().map_or("", |container| &container.image);
        let (_, name) = image.rsplit_once('/').unwrap_or(("", image));
        let version = name.split_once(':').map_or("", |(_, version)| version);
        AgentSummary { pod: self.name(), ready: self.is_ready(), version: version.to_owned() }
    }

    /// What it was last told, when it does not start.
    fn refused(&self, events: &[Told]) -> Option<RefusedPod> {
        let waits = self.status.phase == "Pending" && self.metadata.deletion_timestamp.is_none();
        if !waits || self.metadata.annotations.contains_key(api::NETWORK_STATUS) {
            return None;
        }
        let of_pod = events.iter().filter(|told| told.involved_object.uid == self.metadata.uid);
        let last = of_pod.max_by(|one, other| one.last_timestamp.cmp(&other.last_timestamp))?;
        Some(RefusedPod {
            pod: self.name(),
            node: self.spec.node_name.clone(),
            reason: last.reason.clone(),
            message: last.message.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, phase: &str, labels: &Value, annotations: &Value) -> Object {
        let pod = json!({
            "metadata": {"namespace": "default", "name": name, "uid": name, "labels": labels, "annotations": annotations},
            "spec": {"nodeName": "n1", "containers": [{"image": "registry:5000/llano/llano:1.2.3"}]},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]},
        });
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn a_cluster_at_a_glance() {
        let status = |names: &[&str]| {
            let elements: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
            json!({api::NETWORK_STATUS: Value::Array(elements).to_string()})
        };
        let node = |name: &str| serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        let told = |at: &str, message: &str| {
            let event = json!({
                "involvedObject": {"uid": "waits"}, "reason": NETWORK_REFUSED, "message": message, "lastTimestamp": at,
            });
            serde_json::from_value(event).unwrap()
        };
        let definition = |name: &str, config: &str| {
            let object = json!({
                "metadata": {"namespace": "default", "name": name, "labels": {api::ROLE: "overlay"}},
                "spec": {"config": config},
            });
            serde_json::from_value(object).unwrap()
        };
        let found = Found {
            nodes: vec![node("n2"), node("n1")],
            pods: vec![
                pod("a", "Running", &json!({}), &status(&["cbr0", "default/lan", "default/lan"])),
                pod("done", "Succeeded", &json!({}), &status(&["default/lan"])),
                pod("waits", "Pending", &json!({}), &json!({})),
                pod("scheduled", "Pending", &json!({}), &json!({})),
                pod("agent", "Running", &json!({AGENTS.0: AGENTS.1}), &json!({})),
            ],
            events: vec![told("2026-01-02T00:00:00Z", "later"), told("2026-01-01T00:00:00Z", "before")],
            definitions: vec![
                definition("lan", r#"{"cniVersion": "1.0.0", "type": "macvlan"}"#),
                definition("broken", "{"),
            ],
        };
        let overview = found.summary();
        let names: Vec<&str> = overview.nodes.iter().map(|node| &*node.name).collect();
        assert_eq!(names, ["n1", "n2"]);
        assert_eq!((overview.nodes[0].pods, overview.nodes[0].attachments), (1, 2));
        let agent = overview.nodes[0].agent.as_ref().unwrap();
        assert_eq!((&*agent.pod, agent.ready, &*agent.version), ("default/agent", true, "1.2.3"));
        assert_eq!(overview.nodes[1].agent, None);
        let refused: Vec<_> = overview.refused.iter().map(|one| (&*one.pod, &*one.message)).collect();
        assert_eq!(refused, [("default/waits", "later")]);
        let lan = &overview.definitions[0];
        assert_eq!((lan.pods, lan.role, lan.plugin.as_deref()), (1, Some("overlay"), Some("macvlan")));
        assert!(overview.definitions[1].problem.is_some());
    }
}
