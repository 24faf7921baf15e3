//! A NetworkAttachmentDefinition as it is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{Nad, NadSource, NetworkRef};

use crate::webhook::Attachment;

/// Whose it is, and what is to be known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Definition {
    /// Made by us, for the network of this name.
    Ours {
        network: Arc<str>,
        role: Option<String>,
        config: Option<Box<str>>,
        /// Its `resourceVersion`.
        version: Box<str>,
    },
    /// Made by somebody else; what it means for a pod, where it can be read.
    Foreign(Option<Attachment>),
}

impl Definition {
    /// What it means for a pod; none of one that cannot be read.
    pub(crate) fn attachment(&self, name: &NetworkRef) -> Option<Attachment> {
        match self {
            Definition::Ours { role, config, .. } => attachment(name, role.as_deref(), config.as_deref()),
            Definition::Foreign(known) => known.clone(),
        }
    }
}

/// What a definition with this role and this `spec.config` means for a pod.
pub(crate) fn attachment(name: &NetworkRef, role: Option<&str>, config: Option<&str>) -> Option<Attachment> {
    let labels = role.map(|role| BTreeMap::from([(api::ROLE.to_owned(), role.to_owned())]));
    let source = NadSource {
        namespace: name.namespace(),
        name: name.name(),
        labels: labels.as_ref(),
        annotations: None,
        config,
    };
    Nad::new(source).ok().map(|nad| Attachment::of(&nad))
}
