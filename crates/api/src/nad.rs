//! The network-attachment-definition.

use std::collections::BTreeMap;

use crate::error::shorten;
use crate::{Error, NetConfig, NetworkRef, RESOURCE_NAME, ROLE, Result, Role};

/// The parts of the object that count, as any client has them.
#[derive(Debug, Clone, Copy, Default)]
pub struct NadSource<'a> {
    /// `metadata.namespace`.
    pub namespace: &'a str,
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.labels`.
    pub labels: Option<&'a BTreeMap<String, String>>,
    /// `metadata.annotations`.
    pub annotations: Option<&'a BTreeMap<String, String>>,
    /// `spec.config`.
    pub config: Option<&'a str>,
}

/// A definition whose configuration has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct Nad {
    /// Its names.
    pub network: NetworkRef,
    /// Its label [`ROLE`].
    pub role: Option<Role>,
    /// Its annotation [`RESOURCE_NAME`].
    pub resource: Option<String>,
    /// Its configuration; none when `spec.config` is absent or empty, which means the one on the node's disk whose
    /// `name` is the definition's.
    pub config: Option<NetConfig>,
}

impl Nad {
    /// Reads a definition.
    ///
    /// # Errors
    /// [`Error::Definition`] with the key, its value and what is allowed.
    pub fn new(source: NadSource<'_>) -> Result<Nad> {
        let network = NetworkRef::new(source.namespace, source.name).ok_or_else(|| Error::Unreadable {
            what: "network-attachment-definition".to_owned(),
            problem: format!("{:?}/{:?} are no names", shorten(source.namespace), shorten(source.name)),
        })?;
        let refuse = |problem: String| Error::Definition { network: network.clone(), problem };
        let entry = |map: Option<&BTreeMap<String, String>>, key: &str| {
            map.and_then(|map| map.get(key))
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        let role = match entry(source.labels, ROLE) {
            None => None,
            Some(text) => Some(Role::from_text(&text).ok_or_else(|| {
                refuse(format!("label {ROLE} is {:?}, expected standalone or overlay", shorten(&text)))
            })?),
        };
        let resource = entry(source.annotations, RESOURCE_NAME);
        if let Some(resource) = &resource
            && !is_resource(resource)
        {
            let allowed = "a resource's name such as example.com/nic";
            return Err(refuse(format!(
                "annotation {RESOURCE_NAME} is {:?}, expected {allowed}",
                shorten(resource)
            )));
        }
        let config = match source.config.map(str::trim).filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(
                NetConfig::parse(text, Some(network.name()))
                    .map_err(|problem| refuse(format!("spec.config: {problem}")))?,
            ),
        };
        Ok(Nad { network, role, resource, config })
    }
}

/// `domain/name`; it becomes part of a file's name, with the slash replaced.
fn is_resource(text: &str) -> bool {
    text.len() <= 316
        && !text.contains("..")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte))
}
