//! The parts of other people's objects that count here. Everything else is dropped while it is read: the controller must not grow with
//! what others write.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `metadata`, in part.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

/// `metadata` of an object whose labels do not count.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Bare {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) annotations: Option<Mirror>,
}

/// The one annotation of a pod that counts.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Mirror {
    /// On the mirror of a static pod: the UID that the container runtime, and so a node's agent, has of it.
    #[serde(rename = "kubernetes.io/config.mirror")]
    pub(crate) file: Option<String>,
}

/// A pod: that it exists.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PodObject {
    pub(crate) metadata: Bare,
}

impl PodObject {
    /// Every UID that a claim may name it by.
    pub(crate) fn uids(&self) -> impl Iterator<Item = &str> {
        let file = self.metadata.annotations.as_ref().and_then(|annotations| annotations.file.as_deref());
        std::iter::once(self.metadata.uid.as_str()).chain(file)
    }
}

/// A StatefulSet: which ordinals it has.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StatefulSetObject {
    pub(crate) metadata: Bare,
    spec: StatefulSetSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct StatefulSetSpec {
    replicas: Option<u32>,
    ordinals: Option<Ordinals>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Ordinals {
    start: u32,
}

/// The ordinals of a StatefulSet's pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StatefulSet {
    start: u32,
    replicas: u32,
}

impl StatefulSetObject {
    pub(crate) fn keep(&self) -> StatefulSet {
        StatefulSet {
            start: self.spec.ordinals.unwrap_or_default().start,
            replicas: self.spec.replicas.unwrap_or(1),
        }
    }
}

impl StatefulSet {
    /// Whether it has a pod with this ordinal, or will make one.
    pub(crate) fn has(self, ordinal: u32) -> bool {
        ordinal.checked_sub(self.start).is_some_and(|place| place < self.replicas)
    }
}

/// A node: whether it is ready.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeObject {
    pub(crate) metadata: Bare,
    status: NodeStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    conditions: Option<Vec<NodeCondition>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct NodeCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl NodeObject {
    pub(crate) fn is_ready(&self) -> bool {
        let mut conditions = self.status.conditions.iter().flatten();
        conditions.any(|condition| condition.kind == "Ready" && condition.status == "True")
    }
}

/// A namespace: its labels.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NamespaceObject {
    pub(crate) metadata: Metadata,
}

/// A NetworkAttachmentDefinition.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DefinitionObject {
    pub(crate) metadata: Metadata,
    /// As it is: a cluster's definition of the kind may let anything pass, and one odd object must not end the watch of all.
    spec: Option<serde_json::Value>,
}

impl DefinitionObject {
    /// `spec.config`, where it is a text.
    pub(crate) fn config(&self) -> Option<&str> {
        self.spec.as_ref()?.get("config")?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_stateful_set_has_so_many_ordinals_from_its_first_on() {
        for (spec, has, has_not) in [
            ("{}", vec![0], vec![1]),
            (r#"{"replicas":3}"#, vec![0, 2], vec![3]),
            (r#"{"replicas":0}"#, vec![], vec![0]),
            (r#"{"replicas":2,"ordinals":{"start":5}}"#, vec![5, 6], vec![0, 4, 7]),
            (r#"{"replicas":2,"ordinals":{}}"#, vec![0, 1], vec![2]),
        ] {
            let set: StatefulSetObject = read(&format!(r#"{{"metadata":{{"name":"db"}},"spec":{spec}}}"#));
            let set = set.keep();
            assert!(has.into_iter().all(|ordinal| set.has(ordinal)), "{spec}");
            assert!(!has_not.into_iter().any(|ordinal| set.has(ordinal)), "{spec}");
        }
    }

    #[test]
    fn a_static_pod_is_known_by_both_its_uids() {
        let pod: PodObject = read(
            r#"{"metadata":{"uid":"a-b","annotations":{"x":"y","kubernetes.io/config.mirror":"f00"}},"spec":{}}"#,
        );
        assert_eq!(pod.uids().collect::<Vec<_>>(), ["a-b", "f00"]);
        let pod: PodObject = read(r#"{"metadata":{"uid":"a-b"}}"#);
        assert_eq!(pod.uids().collect::<Vec<_>>(), ["a-b"]);
    }

    #[test]
    fn a_node_is_ready_when_it_says_so() {
        for (conditions, ready) in [
            (r#"[{"type":"Ready","status":"True"}]"#, true),
            (r#"[{"type":"MemoryPressure","status":"True"},{"type":"Ready","status":"Unknown"}]"#, false),
            ("null", false),
        ] {
            let node: NodeObject = read(&format!(r#"{{"status":{{"conditions":{conditions}}}}}"#));
            assert_eq!(node.is_ready(), ready, "{conditions}");
        }
    }
}
