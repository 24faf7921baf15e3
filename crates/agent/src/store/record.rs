//! What is known of a pod.

use std::path::PathBuf;

use api::DelegateCall;
use cni::json::{self, Object, Value};
use cni::{CniResult, Version};

use super::batch::WHOLE;
use crate::PodKey;

/// A pod's sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// `CNI_CONTAINERID`.
    pub container_id: String,
    /// The pod's namespace, name and UID.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// `CNI_NETNS`.
    pub netns: Option<PathBuf>,
    /// `CNI_IFNAME`: the first interface.
    pub ifname: String,
    /// `CNI_PATH`.
    pub path: Vec<PathBuf>,
}

/// One attachment of a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Attachment {
    /// How it was, or was to be, made; enough to delete it.
    pub call: DelegateCall,
    /// What was made; none while nobody knows how far it came.
    pub result: Option<CniResult>,
    /// It is to be deleted, and why that is not done yet.
    pub doomed: Option<String>,
}

/// A pod with its attachments.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The pod.
    pub pod: Pod,
    /// Its attachments by their places, the order of ADD.
    pub attachments: Vec<Attachment>,
    /// The pod with everything is to be deleted, and why that is not done yet.
    pub doomed: Option<String>,
}

/// A pod whose record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its container ID.
    pub container_id: String,
    /// What is wrong.
    pub reason: String,
}

impl Pod {
    pub(super) fn to_text(&self) -> String {
        let mut value = Value::object([
            ("namespace", self.namespace.as_str().into()),
            ("name", self.name.as_str().into()),
            ("uid", self.uid.as_str().into()),
            ("ifname", self.ifname.as_str().into()),
        ]);
        if let Some(netns) = &self.netns {
            value.set("netns", netns.to_string_lossy().as_ref().into());
        }
        if !self.path.is_empty() {
            let list = self.path.iter().map(|path| Value::from(path.to_string_lossy().as_ref()));
            value.set("path", Value::Array(list.collect()));
        }
        value.to_compact()
    }

    /// Whether it is a sandbox of this pod.
    pub fn is(&self, key: &PodKey) -> bool {
        self.name == key.name && self.namespace == key.namespace && self.uid == key.uid
    }

    pub(super) fn read(id: &str, text: &str) -> cni::Result<Pod> {
        let value = json::parse(text.as_bytes())?;
        let root = Object::root(&value)?;
        let text = |key: &str| root.string(key).map(|text| text.unwrap_or_default().to_owned());
        Ok(Pod {
            container_id: id.to_owned(),
            namespace: text("namespace")?,
            name: text("name")?,
            uid: text("uid")?,
            netns: root.text("netns")?.map(PathBuf::from),
            ifname: text("ifname")?,
            path: root.strings("path")?.into_iter().map(PathBuf::from).collect(),
        })
    }
}

impl Record {
    pub(super) fn read(
        id: &str,
        pod: &str,
        calls: &[(u64, String)],
        results: &[(u64, String)],
        doomed: &[(u64, String)],
    ) -> Result<Record, Unreadable> {
        let unreadable = |reason: String| Unreadable { container_id: id.to_owned(), reason };
        let of = |rows: &[(u64, String)], place: u64| {
            rows.iter().find(|(position, _)| *position == place).map(|(_, text)| text.clone())
        };
        let pod = Pod::read(id, pod).map_err(|error| unreadable(error.to_string()))?;
        let mut attachments = Vec::new();
        for (position, text) in calls {
            let value = json::parse(text.as_bytes()).map_err(|error| unreadable(error.to_string()))?;
            let call = DelegateCall::from_value(&value).map_err(|error| unreadable(error.to_string()))?;
            // A deletion does without a result: one that cannot be read is no reason not to delete.
            let result = of(results, *position).and_then(|text| {
                let value = json::parse(text.as_bytes()).ok()?;
                CniResult::parse(&value, Version::CURRENT).ok()
            });
            attachments.push(Attachment { call, result, doomed: of(doomed, *position) });
        }
        Ok(Record { pod, attachments, doomed: of(doomed, WHOLE) })
    }

    /// The calls that were begun and of which nobody knows how far they came: the agent was killed in between.
    pub fn unfinished(&self) -> impl Iterator<Item = &Attachment> {
        self.attachments.iter().filter(|attachment| attachment.result.is_none())
    }

    /// What is to be deleted, in the order of DEL: last made first.
    pub fn to_delete(&self) -> impl Iterator<Item = &Attachment> {
        let all = self.doomed.is_some();
        self.attachments.iter().rev().filter(move |attachment| all || attachment.doomed.is_some())
    }
}
