//! What a pod asks for: the elements of the networks annotation, in either form.

mod comma;
mod element;
pub(crate) mod hardware;
mod requests;

use cni::json::{self, Node, Value};

pub(crate) use element::parse_address;
pub(crate) use hardware::same_hardware_address;
pub use requests::{Bandwidth, PortMapping};

use crate::error::shorten;
use crate::{
    DEFAULT_NETWORK, Error, IfName, LONGEST_ANNOTATION, MOST_NETWORKS, NETWORKS, NetworkRef, Result,
};

/// One network a pod asks for, with everything it asks of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// The definition.
    pub network: NetworkRef,
    /// `interface` (or the older `interfaceRequest`): the interface's name.
    pub interface: Option<IfName>,
    /// `ips`, as written: addresses with or without prefix length.
    pub ips: Vec<String>,
    /// `mac`, as written: 6, 8 or 20 bytes in one of Go's notations.
    pub mac: Option<String>,
    /// `infiniband-guid`, as written: 8 bytes.
    pub infiniband_guid: Option<String>,
    /// `portMappings`.
    pub port_mappings: Vec<PortMapping>,
    /// `bandwidth`.
    pub bandwidth: Option<Bandwidth>,
    /// `cni-args`: always an object; merged into `args.cni` of each plugin.
    pub cni_args: Option<Value>,
    /// `default-route`: present and empty means that the plugin's own default route stays.
    pub default_route: Option<Vec<std::net::IpAddr>>,
    /// `deviceID`.
    pub device_id: Option<String>,
    /// `ipam-claim-reference`: the name of an IPAMClaim; for plugins that read the annotation themselves.
    pub ipam_claim: Option<String>,
}

/// The elements of an annotation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selections {
    /// In the order of the annotation.
    pub elements: Vec<Selection>,
    /// What has no effect, a sentence each: keys nobody knows. Worth an event, no reason to fail.
    pub ignored: Vec<String>,
}

impl Selection {
    /// `network` and nothing else.
    pub fn of(network: NetworkRef) -> Selection {
        Selection {
            network,
            interface: None,
            ips: Vec::new(),
            mac: None,
            infiniband_guid: None,
            port_mappings: Vec::new(),
            bandwidth: None,
            cni_args: None,
            default_route: None,
            device_id: None,
            ipam_claim: None,
        }
    }
}

impl Selections {
    /// The annotation [`NETWORKS`] of a pod in `namespace`. Blank text asks for nothing.
    ///
    /// # Errors
    /// The whole annotation is refused for one wrong element, with the path of the key.
    /// Differs: the specification would ignore the annotation, and the pod would start without its networks.
    pub fn parse(text: &str, namespace: &str) -> Result<Selections> {
        read(text, namespace, NETWORKS)
    }

    /// The annotation [`DEFAULT_NETWORK`]: exactly one element. Its namespace, when not named, is `namespace` (not the
    /// pod's, as in Multus). Blank text asks for nothing.
    ///
    /// # Errors
    /// As [`Self::parse`], and for more or less than one element.
    pub fn parse_default(text: &str, namespace: &str) -> Result<Option<(Selection, Vec<String>)>> {
        let blank = text.trim().is_empty();
        let Selections { mut elements, ignored } = read(text, namespace, DEFAULT_NETWORK)?;
        match (elements.pop(), elements.len()) {
            (Some(only), 0) => Ok(Some((only, ignored))),
            (None, _) if blank => Ok(None),
            (last, others) => {
                let count = others + usize::from(last.is_some());
                Err(problem(
                    DEFAULT_NETWORK,
                    format!("names {count} networks, a pod has exactly one first network"),
                ))
            }
        }
    }
}

fn read(text: &str, namespace: &str, annotation: &'static str) -> Result<Selections> {
    if text.len() > LONGEST_ANNOTATION {
        return Err(problem(
            annotation,
            format!("has {} bytes, at most {LONGEST_ANNOTATION} are allowed", text.len()),
        ));
    }
    // Differs: Multus looks for a network without a name.
    if text.trim().is_empty() {
        return Ok(Selections::default());
    }
    if !text.contains(['[', '{', '"']) {
        return comma::read(text, namespace, annotation);
    }
    let value = json::parse(text.as_bytes()).map_err(|error| {
        problem(
            annotation,
            format!(
                "{error} (with [, {{ or \" in it, it is read as a JSON list; else as [NAMESPACE/]NAME[@INTERFACE],...)"
            ),
        )
    })?;
    let Value::Array(items) = &value else {
        return Err(problem(
            annotation,
            format!("is {}, expected a list: [{{\"name\": ...}}]", value.kind()),
        ));
    };
    count(items.len(), annotation)?;
    let mut found = Selections::default();
    for (at, value) in items.iter().enumerate() {
        let node = Node { path: format!("{annotation}[{at}]"), value };
        found.elements.push(element::read(&node, namespace, &mut found.ignored)?);
    }
    Ok(found)
}

fn count(count: usize, annotation: &'static str) -> Result<()> {
    if count <= MOST_NETWORKS {
        return Ok(());
    }
    Err(Error::TooMany { what: format!("networks in annotation {annotation}"), count, most: MOST_NETWORKS })
}

fn problem(annotation: &'static str, problem: String) -> Error {
    Error::Annotation { annotation, problem }
}

/// The refusal of `text` for the key at `path`.
fn refuse(path: &str, text: &str, allowed: &str) -> Error {
    Error::Key(cni::Error::config(path, format_args!("{:?}", shorten(text)), allowed))
}
