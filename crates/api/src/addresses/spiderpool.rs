//! Spiderpool's pod annotations: its pools and its subnets are both subnets here.

use cni::json::{Node, Object, Value};

use super::draft::{Draft, Said};
use super::{Texts, Warning, read, refuse};
use crate::error::shorten;
use crate::name::IFNAME;
use crate::{Error, IfName, Result};

const IPPOOL: &str = "ipam.spidernet.io/ippool";
const IPPOOLS: &str = "ipam.spidernet.io/ippools";
const SUBNET: &str = "ipam.spidernet.io/subnet";
const SUBNETS: &str = "ipam.spidernet.io/subnets";
const DEFAULT_ROUTE: &str = "ipam.spidernet.io/default-route-nic";
const RECLAIM: &str = "ipam.spidernet.io/ippool-reclaim";

/// Annotations that have no effect, with the reason.
const IGNORED: [(&str, &str); 2] = [
    (
        "ipam.spidernet.io/ippool-ip-number",
        "has no effect: addresses are claimed one by one, there is no pool of the workload's own to size; a \
         MacvlanReservation with a count keeps that many addresses for it",
    ),
    (
        "ipam.spidernet.io/routes",
        "has no effect: routes are the subnet's, write them in spec.routes of the MacvlanSubnet",
    ),
];

/// All of them, those without effect as well.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    let ignored = IGNORED.iter().map(|(key, _)| *key);
    [IPPOOL, IPPOOLS, SUBNET, SUBNETS, DEFAULT_ROUTE, RECLAIM].into_iter().chain(ignored)
}

/// Most warnings of unknown keys.
const MOST_WARNINGS: usize = 16;

const ONE: &str = r#"{"ipv4": ["NAME"], "ipv6": ["NAME"]}"#;
const MANY: &str = r#"[{"interface": "net1", "ipv4": ["NAME"], "ipv6": ["NAME"]}, ...]"#;

/// What they say, each with the place of its interface.
pub(super) fn read(
    texts: &Texts<'_, '_>,
    interfaces: &[IfName],
    warnings: &mut Vec<Warning>,
) -> Result<Vec<(usize, Draft)>> {
    let mut found = Vec::new();
    // As in Spiderpool the plural goes first, and the singular is not even read beside it.
    for (plural, singular) in [(IPPOOLS, IPPOOL), (SUBNETS, SUBNET)] {
        if let Some(text) = texts.get(plural)? {
            if texts.get(singular)?.is_some() {
                warnings.push(Warning::new(
                    singular,
                    format!("has no effect beside {plural}; remove one of the two"),
                ));
            }
            found.extend(many(text, plural, interfaces, warnings)?);
        } else if let Some(text) = texts.get(singular)? {
            found.extend(one(text, singular, interfaces, warnings)?);
        }
    }
    found.extend(default_route(texts, interfaces)?);
    for (key, why) in IGNORED {
        if texts.get(key)?.is_some() {
            warnings.push(Warning::new(key, why));
        }
    }
    if texts.get(RECLAIM)?.is_some_and(|text| text != "true") {
        let why = "has no effect: a pod's addresses are kept by its StatefulSet, by a MacvlanReservation or not at all";
        warnings.push(Warning::new(RECLAIM, why));
    }
    Ok(found)
}

/// The singular: the same for every interface, as each of Spiderpool's calls reads it.
fn one(
    text: &str,
    key: &'static str,
    interfaces: &[IfName],
    warnings: &mut Vec<Warning>,
) -> Result<Vec<(usize, Draft)>> {
    let value = read::value(text, key, ONE)?;
    let object = Node { path: key.to_owned(), value: &value }.object().map_err(Error::Key)?;
    warn_of_unknown(&object, &["ipv4", "ipv6"], warnings);
    (0..interfaces.len()).map(|place| Ok((place, draft(&object)?))).collect()
}

/// The plural: all elements name their interface, or none does and their order is that of the interfaces.
fn many(
    text: &str,
    key: &'static str,
    interfaces: &[IfName],
    warnings: &mut Vec<Warning>,
) -> Result<Vec<(usize, Draft)>> {
    let value = read::value(text, key, MANY)?;
    let Value::Array(items) = &value else {
        return Err(Error::Annotation {
            annotation: key,
            problem: format!("is {}, expected {MANY}", value.kind()),
        });
    };
    // Spiderpool refuses it too: an interface that is left out would have an address from nobody knows where.
    if items.len() != interfaces.len() {
        let listed = read::listed(interfaces);
        let problem = format!("has {} elements, expected as many as there are of {listed}", items.len());
        return Err(Error::Annotation { annotation: key, problem });
    }
    let mut found: Vec<(usize, Draft)> = Vec::new();
    let mut names = 0;
    for (at, value) in items.iter().enumerate() {
        let element = Node { path: format!("{key}[{at}]"), value }.object().map_err(Error::Key)?;
        warn_of_unknown(&element, &["interface", "ipv4", "ipv6", "cleangateway"], warnings);
        let name = element.get("interface").filter(|node| *node.value != Value::from(""));
        names += usize::from(name.is_some());
        if names != 0 && names != at + 1 {
            let problem =
                "some elements name their interface and some do not; name all of them, or none".to_owned();
            return Err(Error::Annotation { annotation: key, problem });
        }
        let place = name.as_ref().map_or(Ok(at), |name| read::interface(name, interfaces))?;
        if let (Some(name), true) = (&name, found.iter().any(|(other, _)| *other == place)) {
            return Err(Error::Key(name.refuse("each interface once")));
        }
        let mut draft = draft(&element)?;
        // `false` is how the network has it: manifests say it for every interface.
        if element.bool("cleangateway").map_err(Error::Key)? == Some(true) {
            draft.default_route = Some(Said { by: element.path_of("cleangateway"), what: false });
        }
        found.push((place, draft));
    }
    Ok(found)
}

fn draft(object: &Object<'_>) -> Result<Draft> {
    match read::by_family(object)? {
        Some(what) => Ok(Draft { subnets: Some(Said { by: object.path.clone(), what }), ..Draft::default() }),
        None => Err(Error::Key(cni::Error::config(&object.path, "no name", ONE))),
    }
}

fn warn_of_unknown(object: &Object<'_>, known: &[&str], warnings: &mut Vec<Warning>) {
    for (key, _) in object.raw() {
        let unknown = !known.iter().any(|known| known.eq_ignore_ascii_case(key));
        // Enough to see what is wrong; each becomes an event.
        if unknown && warnings.len() < MOST_WARNINGS {
            warnings.push(Warning::new(object.path_of(&shorten(key)), "unknown key, ignored"));
        }
    }
}

/// The interface of the pod's default route, which may be one of another network's: then none of ours has it.
fn default_route(texts: &Texts<'_, '_>, interfaces: &[IfName]) -> Result<Vec<(usize, Draft)>> {
    let Some(text) = texts.get(DEFAULT_ROUTE)? else { return Ok(Vec::new()) };
    let name = IfName::new(text).ok_or_else(|| refuse(DEFAULT_ROUTE, text, IFNAME))?;
    let draft = |own: &IfName| {
        let said = Said { by: DEFAULT_ROUTE.to_owned(), what: *own == name };
        Draft { default_route: Some(said), ..Draft::default() }
    };
    Ok(interfaces.iter().map(draft).enumerate().collect())
}
