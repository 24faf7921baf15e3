//! Reading that the JSON annotations share.

use cni::json::{self, Node, Value};

use super::names::PATTERN;
use super::{MOST_SUBNETS, NamePattern, SubnetNames, refuse};
use crate::name::IFNAME;
use crate::{Error, IfName, Result};

/// The JSON of an annotation; `form` is what it should look like, for messages.
pub(super) fn value(text: &str, annotation: &'static str, form: &str) -> Result<Value> {
    json::parse(text.as_bytes())
        .map_err(|error| Error::Annotation { annotation, problem: format!("{error}; expected JSON: {form}") })
}

/// The place of the interface that `node` names.
pub(super) fn interface(node: &Node<'_>, interfaces: &[IfName]) -> Result<usize> {
    let text = node.string().map_err(Error::Key)?;
    let name = IfName::new(text).ok_or_else(|| refuse(&node.path, text, IFNAME))?;
    interfaces.iter().position(|own| *own == name).ok_or_else(|| {
        let allowed = format!("one of {}", listed(interfaces));
        refuse(&node.path, text, &allowed)
    })
}

/// The interfaces in words, for messages.
pub(super) fn listed(interfaces: &[IfName]) -> String {
    const SHOWN: usize = 16;
    let names: Vec<&str> = interfaces.iter().take(SHOWN).map(IfName::as_str).collect();
    let more = if interfaces.len() > SHOWN { ", ..." } else { "" };
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    format!("the pod's interfaces with addresses from Llano's subnets ({names}{more})")
}

/// A list of names of subnets.
pub(super) fn names(node: &Node<'_>) -> Result<Vec<NamePattern>> {
    let items = node.items().map_err(Error::Key)?;
    if items.len() > MOST_SUBNETS {
        return Err(Error::TooMany { what: node.path.clone(), count: items.len(), most: MOST_SUBNETS });
    }
    items.iter().map(name).collect()
}

/// One name of a subnet.
pub(super) fn name(node: &Node<'_>) -> Result<NamePattern> {
    let text = node.string().map_err(Error::Key)?;
    NamePattern::parse(text).ok_or_else(|| refuse(&node.path, text, PATTERN))
}

/// The lists under `ipv4` and `ipv6`; `None` when both are empty or absent.
pub(super) fn by_family(object: &json::Object<'_>) -> Result<Option<SubnetNames>> {
    let list = |key: &str| object.get(key).map_or(Ok(Vec::new()), |node| names(&node));
    let (v4, v6) = (list("ipv4")?, list("ipv6")?);
    Ok((!v4.is_empty() || !v6.is_empty()).then_some(SubnetNames::ByFamily { v4, v6 }))
}
