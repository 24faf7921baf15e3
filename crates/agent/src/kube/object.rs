//! The parts of the API server's objects that count here. Everything else of an object is dropped while it is read: a node's
//! agent must not grow with what others write into their pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{LONGEST_ANNOTATION, LONGEST_CONFIG, Nad, NadSource, NetworkRef};
use serde::Deserialize;

use crate::{Addressing, Controller, PodKey, PodView};

/// What kubelet writes on the mirror of a static pod: the UID that the runtime has.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// `metadata`, in part.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    deletion_timestamp: Option<String>,
}

/// Who made the object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnerReference {
    api_version: String,
    kind: String,
    name: String,
    controller: Option<bool>,
}

/// A pod, in part.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct PodObject {
    metadata: Metadata,
    spec: PodSpec,
    status: PodStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    phase: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    host_network: Option<bool>,
    node_name: Option<String>,
}

/// A pod as it is kept.
#[derive(Debug, Clone)]
pub(super) struct KnownPod {
    /// What others see; its UID is the runtime's.
    pub(super) view: Arc<PodView>,
    /// The API server's UID, where that is another.
    api_uid: Option<Box<str>>,
}

impl PodObject {
    pub(super) fn version(&self) -> &str {
        &self.metadata.resource_version
    }

    /// `spec.nodeName`; empty before the pod is scheduled.
    pub(super) fn node(&self) -> &str {
        self.spec.node_name.as_deref().unwrap_or_default()
    }

    pub(super) fn keep(self) -> KnownPod {
        let Metadata {
            name, namespace, uid, annotations, labels, owner_references, deletion_timestamp, ..
        } = self.metadata;
        let mut annotations = annotations.unwrap_or_default();
        // One byte more than is allowed is kept, and refused by who reads it.
        let mut take = |key: &str, most: usize| {
            annotations.remove(key).map(|mut text| {
                let end = (0..=most + 1).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                text.truncate(end);
                text.shrink_to_fit();
                text
            })
        };
        let mirror = take(MIRROR, 255).filter(|text| !text.is_empty());
        let is_static = mirror.is_some();
        let (uid, api_uid) = match mirror {
            Some(file) if file != uid => (file, Some(uid.into_boxed_str())),
            _ => (uid, None),
        };
        let finished = matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let addressing = Addressing {
            labels: labels.unwrap_or_default(),
            annotations: api::addresses::annotations()
                .filter_map(|key| Some((key, take(key, api::addresses::LONGEST_ADDRESSES)?)))
                .collect(),
            controller: owner_references.unwrap_or_default().into_iter().find_map(OwnerReference::workload),
            ends: deletion_timestamp.is_some() || finished,
        };
        let view = PodView {
            key: PodKey { namespace, name, uid },
            networks: take(api::NETWORKS, LONGEST_ANNOTATION),
            default_network: take(api::DEFAULT_NETWORK, LONGEST_ANNOTATION),
            status: take(api::NETWORK_STATUS, 4 * LONGEST_ANNOTATION),
            host_network: self.spec.host_network.unwrap_or_default(),
            is_static,
            addressing,
        };
        KnownPod { view: Arc::new(view), api_uid }
    }
}

impl OwnerReference {
    /// The workload, when it is one of those that addresses are kept for.
    fn workload(self) -> Option<Controller> {
        let group = self.api_version.split_once('/').map_or("", |(group, _)| group);
        let known = self.controller == Some(true) && matches!(group, "apps" | "batch");
        known.then_some(Controller { kind: self.kind, name: self.name })
    }
}

impl KnownPod {
    /// Whether it is the pod of this UID; a runtime that tells none means the name alone.
    pub(super) fn is(&self, uid: &str) -> bool {
        uid.is_empty() || self.view.key.uid == uid || self.api_uid.as_deref() == Some(uid)
    }

    /// The UID that the API server knows.
    pub(super) fn api_uid(&self) -> &str {
        self.api_uid.as_deref().unwrap_or(&self.view.key.uid)
    }
}

/// A network-attachment-definition, in part.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct DefinitionObject {
    metadata: Metadata,
    spec: Option<Lenient<DefinitionSpec>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct DefinitionSpec {
    config: Option<Lenient<String>>,
}

/// A cluster's definition of the kind may let anything pass, and one odd object must not end the watch for all.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    As(T),
    Odd(serde_json::Value),
}

/// A definition as it is kept: its texts. Reading them takes microseconds, their trees several times the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownDefinition {
    role: Option<Box<str>>,
    resource: Option<Box<str>>,
    config: Option<Box<str>>,
}

impl DefinitionObject {
    pub(super) fn version(&self) -> &str {
        &self.metadata.resource_version
    }

    /// `None` for a name that nobody can ask for.
    pub(super) fn keep(self) -> Option<(NetworkRef, KnownDefinition)> {
        let Metadata { name, namespace, labels, annotations, .. } = self.metadata;
        let take = |map: Option<BTreeMap<String, String>>, key: &str| {
            map.and_then(|mut map| map.remove(key)).map(String::into_boxed_str)
        };
        let config = match self.spec {
            Some(Lenient::As(DefinitionSpec { config: Some(Lenient::As(text)) })) => Some(text),
            Some(Lenient::As(DefinitionSpec { config: Some(Lenient::Odd(value)) }) | Lenient::Odd(value)) => {
                Some(value.to_string())
            }
            Some(Lenient::As(DefinitionSpec { config: None })) | None => None,
        };
        let config = config.map(|mut text| {
            let end = (0..=LONGEST_CONFIG + 1).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
            text.into_boxed_str()
        });
        let known = KnownDefinition {
            role: take(labels, api::ROLE),
            resource: take(annotations, api::RESOURCE_NAME),
            config,
        };
        Some((NetworkRef::new(&namespace, &name)?, known))
    }
}

impl KnownDefinition {
    pub(super) fn read(&self, network: &NetworkRef) -> api::Result<Arc<Nad>> {
        let map = |key: &str, value: &Option<Box<str>>| {
            value.as_ref().map(|value| BTreeMap::from([(key.to_owned(), value.to_string())]))
        };
        let (labels, annotations) = (map(api::ROLE, &self.role), map(api::RESOURCE_NAME, &self.resource));
        let source = NadSource {
            namespace: network.namespace(),
            name: network.name(),
            labels: labels.as_ref(),
            annotations: annotations.as_ref(),
            config: self.config.as_deref(),
        };
        Nad::new(source).map(Arc::new)
    }
}
