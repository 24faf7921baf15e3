//! The annotation [`ADDRESSES`].

use std::net::IpAddr;

use cni::json::{Node, Object, Value};

use super::draft::{Draft, Said, Wish};
use super::{ADDRESSES, AddressList, IpRange, MacList, SubnetNames, Texts, read, refuse};
use crate::error::shorten;
use crate::name::{self, SUBDOMAIN};
use crate::{Error, IfName, Mac, Result};

const FORM: &str =
    r#"{"subnet": ...} for the first interface, or [{"interface": "net1", "subnet": ...}, ...]"#;

const KEYS: [&str; 7] = ["interface", "subnet", "ips", "macs", "auto", "reservation", "defaultRoute"];

/// What it says, each with the place of its interface.
pub(super) fn read(texts: &Texts<'_, '_>, interfaces: &[IfName]) -> Result<Vec<(usize, Draft)>> {
    let Some(text) = texts.get(ADDRESSES)? else { return Ok(Vec::new()) };
    let value = read::value(text, ADDRESSES, FORM)?;
    let Value::Array(items) = &value else {
        let element = Node { path: ADDRESSES.to_owned(), value: &value }.object().map_err(Error::Key)?;
        check_keys(&element, &KEYS)?;
        let place = match element.get("interface") {
            Some(name) => read::interface(&name, interfaces)?,
            None if interfaces.is_empty() => return Err(no_interface()),
            None => 0,
        };
        return Ok(vec![(place, draft(&element)?)]);
    };
    let mut found: Vec<(usize, Draft)> = Vec::new();
    for (at, value) in items.iter().enumerate() {
        let node = Node { path: format!("{ADDRESSES}[{at}]"), value };
        let element = node.object().map_err(Error::Key)?;
        check_keys(&element, &KEYS)?;
        let name = element.get("interface").ok_or_else(|| {
            Error::Key(element.missing("interface", "the interface that the element is for"))
        })?;
        let place = read::interface(&name, interfaces)?;
        if found.iter().any(|(other, _)| *other == place) {
            return Err(Error::Key(name.refuse("each interface once")));
        }
        found.push((place, draft(&element)?));
    }
    Ok(found)
}

fn no_interface() -> Error {
    Error::Annotation {
        annotation: ADDRESSES,
        problem: "no interface of this pod has its addresses from Llano's subnets; attach it to a MacvlanNetwork in \
                  k8s.v1.cni.cncf.io/networks or v1.multus-cni.io/default-network, or remove the annotation"
            .to_owned(),
    }
}

/// Refuses keys that nobody knows, and a key that comes twice: a typing error must not lead to another address.
fn check_keys(object: &Object<'_>, known: &[&str]) -> Result<()> {
    for (at, (key, _)) in object.raw().iter().enumerate() {
        let path = object.path_of(&shorten(key));
        if !known.iter().any(|known| known.eq_ignore_ascii_case(key)) {
            return Err(Error::Key(cni::Error::config(&path, "an unknown key", &known.join(", "))));
        }
        if object.raw()[..at].iter().any(|(other, _)| other.eq_ignore_ascii_case(key)) {
            return Err(Error::Key(cni::Error::config(&path, "a second time", "each key once")));
        }
    }
    Ok(())
}

fn draft(element: &Object<'_>) -> Result<Draft> {
    let mut draft = Draft::default();
    if let Some(node) = element.get("subnet") {
        draft.subnets = subnets(&node)?.map(|what| Said { by: node.path.clone(), what });
    }
    let reservation = element.text("reservation").map_err(Error::Key)?;
    if let Some(name) = reservation {
        let by = element.path_of("reservation");
        if !name::is_subdomain(name) {
            return Err(refuse(&by, name, &format!("the name of a MacvlanReservation: {SUBDOMAIN}")));
        }
        draft.reservation = Some(Said { by, what: name.to_owned() });
    }
    draft.addresses = addresses(element)?;
    draft.macs = macs(element)?;
    if let Some(node) = element.get("defaultRoute") {
        let what = node.bool().map_err(Error::Key)?;
        draft.default_route = Some(Said { by: node.path, what });
    }
    Ok(draft)
}

/// A name, a list of names, or lists by family.
fn subnets(node: &Node<'_>) -> Result<Option<SubnetNames>> {
    match node.value {
        Value::String(_) => Ok(Some(SubnetNames::Any(vec![read::name(node)?]))),
        Value::Array(_) => Ok(Some(SubnetNames::Any(read::names(node)?)).filter(|names| !names.is_empty())),
        Value::Object(_) => {
            let object = node.object().map_err(Error::Key)?;
            check_keys(&object, &["ipv4", "ipv6"])?;
            read::by_family(&object)
        }
        _ => Err(Error::Key(
            node.refuse(r#"a subnet's name, a list of names, or {"ipv4": [...], "ipv6": [...]}"#),
        )),
    }
}

/// `ips` and `auto`.
fn addresses(element: &Object<'_>) -> Result<Option<Said<Wish>>> {
    let auto = element.bool("auto").map_err(Error::Key)?;
    let mut ranges = Vec::new();
    for item in element.items("ips").map_err(Error::Key)? {
        let text = item.string().map_err(Error::Key)?;
        let range = IpRange::parse(text).ok_or_else(|| {
            let allowed = "an address that an interface can have, or a range of them such as 10.0.0.10-10.0.0.20, \
                           without prefix length: the subnet has it";
            refuse(&item.path, text, allowed)
        })?;
        ranges.push(range);
    }
    let by = element.path_of("ips");
    let ips = AddressList::new(ranges).map_err(|address| twice(&by, address))?;
    if !ips.is_empty() {
        return Ok(Some(Said { by, what: Wish { ips, auto: auto.unwrap_or(false) } }));
    }
    match auto {
        None => Ok(None),
        Some(true) => Ok(Some(Said { by: element.path_of("auto"), what: Wish { ips, auto: true } })),
        Some(false) if element.text("reservation").map_err(Error::Key)?.is_some() => Ok(None),
        Some(false) => Err(Error::Key(cni::Error::config(
            &element.path_of("auto"),
            false,
            "true, or beside it ips or a reservation to choose from",
        ))),
    }
}

fn macs(element: &Object<'_>) -> Result<Option<Said<MacList>>> {
    let mut macs = Vec::new();
    for item in element.items("macs").map_err(Error::Key)? {
        let text = item.string().map_err(Error::Key)?;
        macs.push(Mac::parse(text).ok_or_else(|| refuse(&item.path, text, MAC))?);
    }
    let by = element.path_of("macs");
    let what = MacList::new(macs).map_err(|mac| mac_twice(&by, mac))?;
    Ok((!what.as_slice().is_empty()).then_some(Said { by, what }))
}

/// What a MAC may be, for messages.
pub(super) const MAC: &str = "a unicast MAC address such as 02:00:5e:10:00:01";

/// The refusal of a list with an address that comes twice.
pub(super) fn twice(path: &str, address: IpAddr) -> Error {
    Error::Key(cni::Error::config(path, format_args!("{address} twice"), "each address once"))
}

/// The refusal of a list with a MAC that comes twice.
pub(super) fn mac_twice(path: &str, mac: Mac) -> Error {
    Error::Key(cni::Error::config(path, format_args!("{mac} twice"), "each MAC once"))
}
