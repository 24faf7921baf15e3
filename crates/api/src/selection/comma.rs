//! The comma form: `[NAMESPACE/]NAME[@INTERFACE],...`.

use super::{Selection, Selections, count, refuse};
use crate::name::{self, IFNAME, LABEL, SUBDOMAIN};
use crate::{IfName, NetworkRef, Result};

const FORM: &str = "[NAMESPACE/]NAME[@INTERFACE]";

pub(super) fn read(text: &str, namespace: &str, annotation: &'static str) -> Result<Selections> {
    count(text.split(',').count(), annotation)?;
    let mut found = Selections::default();
    for (at, item) in text.split(',').enumerate() {
        found.elements.push(read_item(item.trim(), namespace, &format!("{annotation}[{at}]"))?);
    }
    Ok(found)
}

fn read_item(item: &str, default_namespace: &str, path: &str) -> Result<Selection> {
    let (namespace, rest) = match item.split_once('/') {
        Some((namespace, rest)) => (namespace.trim(), rest),
        None => ("", item),
    };
    let (network, interface) = match rest.split_once('@') {
        Some((network, interface)) => (network.trim(), interface.trim()),
        None => (rest.trim(), ""),
    };
    // A second `/` or `@` is in the name or in the interface's name now; Multus has a message for each.
    if rest.contains('/') || interface.contains('@') {
        return Err(refuse(path, item, FORM));
    }
    // Differs: Multus looks for a network without a name.
    if network.is_empty() {
        return Err(refuse(path, item, &format!("{FORM}, with a name")));
    }
    let namespace = if namespace.is_empty() { default_namespace } else { namespace };
    // Differs: in Multus a name with dots needs the JSON form.
    let network = NetworkRef::new(namespace, network).ok_or_else(|| {
        let (text, allowed) =
            if name::is_label(namespace) { (network, SUBDOMAIN) } else { (namespace, LABEL) };
        refuse(path, text, allowed)
    })?;
    let mut selection = Selection::of(network);
    if !interface.is_empty() {
        selection.interface = Some(IfName::new(interface).ok_or_else(|| refuse(path, interface, IFNAME))?);
    }
    Ok(selection)
}
