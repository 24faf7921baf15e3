//! One element of the JSON form, read and written.

use std::net::IpAddr;

use cni::json::{Node, Object, Value};

use super::hardware;
use super::{Bandwidth, PortMapping, Selection, refuse};
use crate::name::{self, IFNAME, LABEL, SUBDOMAIN};
use crate::{Error, IfName, NetworkRef, Result};

/// Most addresses or port mappings of one element.
const MOST_ITEMS: usize = 256;

const KEYS: [&str; 13] = [
    "name",
    "namespace",
    "ips",
    "mac",
    "interface",
    "interfaceRequest",
    "cni-args",
    "portMappings",
    "bandwidth",
    "infiniband-guid",
    "default-route",
    "deviceID",
    "ipam-claim-reference",
];

/// `ignored` gains a sentence for each key that nobody knows.
pub(super) fn read(node: &Node<'_>, default_namespace: &str, ignored: &mut Vec<String>) -> Result<Selection> {
    let object = node.object().map_err(Error::Key)?;
    let mut selection = Selection::of(network(&object, default_namespace)?);
    selection.interface = interface(&object)?;
    selection.ips = addresses(&object)?;
    selection.mac = mac(&object)?;
    selection.infiniband_guid = guid(&object)?;
    for item in items(&object, "portMappings")? {
        selection.port_mappings.push(PortMapping::read(&item)?);
    }
    if let Some(bandwidth) = object.object("bandwidth").map_err(Error::Key)? {
        selection.bandwidth = Some(Bandwidth::read(&bandwidth)?);
    }
    if let Some(args) = object.get("cni-args") {
        args.object().map_err(Error::Key)?;
        selection.cni_args = Some(args.value.clone());
    }
    selection.default_route = default_route(&object)?;
    selection.device_id = device(&object)?;
    if let Some(claim) = text(&object, "ipam-claim-reference")? {
        let path = object.path_of("ipam-claim-reference");
        if !name::is_subdomain(claim) {
            return Err(refuse(&path, claim, SUBDOMAIN));
        }
        if !selection.ips.is_empty() {
            return Err(refuse(&path, claim, "only without ips: the claim holds the addresses"));
        }
        selection.ipam_claim = Some(claim.to_owned());
    }
    for (key, _) in object.raw() {
        // The specification gives keys with a dot to vendors.
        if !key.contains('.') && !KEYS.iter().any(|known| known.eq_ignore_ascii_case(key)) {
            let key = crate::error::shorten(key);
            ignored.push(format!("{}: unknown key, ignored", object.path_of(&key)));
        }
    }
    Ok(selection)
}

fn text<'a>(object: &Object<'a>, key: &str) -> Result<Option<&'a str>> {
    object.text(key).map_err(Error::Key)
}

fn items<'a>(object: &Object<'a>, key: &str) -> Result<Vec<Node<'a>>> {
    let items = object.items(key).map_err(Error::Key)?;
    if items.len() > MOST_ITEMS {
        return Err(Error::TooMany { what: object.path_of(key), count: items.len(), most: MOST_ITEMS });
    }
    Ok(items)
}

/// Differs: Multus checks neither name in this form.
fn network(object: &Object<'_>, default_namespace: &str) -> Result<NetworkRef> {
    let network = text(object, "name")?
        .ok_or_else(|| Error::Key(object.missing("name", "the name of a network-attachment-definition")))?;
    let namespace = text(object, "namespace")?.unwrap_or(default_namespace);
    NetworkRef::new(namespace, network).ok_or_else(|| {
        if name::is_label(namespace) {
            refuse(&object.path_of("name"), network, SUBDOMAIN)
        } else {
            refuse(&object.path_of("namespace"), namespace, LABEL)
        }
    })
}

fn interface(object: &Object<'_>) -> Result<Option<IfName>> {
    for key in ["interface", "interfaceRequest"] {
        if let Some(name) = text(object, key)? {
            return match IfName::new(name) {
                Some(name) => Ok(Some(name)),
                None => Err(refuse(&object.path_of(key), name, IFNAME)),
            };
        }
    }
    Ok(None)
}

/// `ips`: texts as they stand, since plugins differ in what they want.
fn addresses(object: &Object<'_>) -> Result<Vec<String>> {
    let mut found: Vec<(IpAddr, String)> = Vec::new();
    for item in items(object, "ips")? {
        let text = item.string().map_err(Error::Key)?;
        let address = parse_address(text)
            .ok_or_else(|| Error::Key(item.refuse("an IP address, with or without prefix length")))?;
        if found.iter().any(|(other, _)| *other == address) {
            return Err(Error::Key(item.refuse("each address once")));
        }
        found.push((address, text.to_owned()));
    }
    Ok(found.into_iter().map(|(_, text)| text).collect())
}

/// The address of `10.1.2.3` or `10.1.2.3/24`.
pub(crate) fn parse_address(text: &str) -> Option<IpAddr> {
    let address = match text.split_once('/') {
        Some(_) => text.parse::<ipnet::IpNet>().ok()?.addr(),
        None => text.parse::<IpAddr>().ok()?,
    };
    Some(address.to_canonical())
}

fn mac(object: &Object<'_>) -> Result<Option<String>> {
    let Some(mac) = text(object, "mac")? else { return Ok(None) };
    let allowed = "a unicast MAC address such as 02:00:5e:10:00:01";
    match hardware::parse(mac) {
        // Differs: Multus lets a group's address pass, and the kernel says "cannot assign requested address".
        Some(bytes) if hardware::is_usable(&bytes) => Ok(Some(mac.to_owned())),
        _ => Err(refuse(&object.path_of("mac"), mac, allowed)),
    }
}

fn guid(object: &Object<'_>) -> Result<Option<String>> {
    let Some(guid) = text(object, "infiniband-guid")? else { return Ok(None) };
    match hardware::parse(guid) {
        Some(bytes) if bytes.len() == 8 => Ok(Some(guid.to_owned())),
        _ => Err(refuse(&object.path_of("infiniband-guid"), guid, "8 bytes such as c2:11:22:33:44:55:66:77")),
    }
}

fn default_route(object: &Object<'_>) -> Result<Option<Vec<IpAddr>>> {
    if object.get("default-route").is_none() {
        return Ok(None);
    }
    let mut gateways: Vec<IpAddr> = Vec::new();
    for item in items(object, "default-route")? {
        let gateway = item.address().map_err(Error::Key)?;
        if gateway.is_unspecified() || gateway.is_multicast() || gateway.is_loopback() {
            return Err(Error::Key(item.refuse("the address of a gateway")));
        }
        if let Some(other) = gateways.iter().find(|other| other.is_ipv4() == gateway.is_ipv4()) {
            let problem = format!("{} has {other} and {gateway}", object.path_of("default-route"));
            return Err(Error::ManyDefaultRoutes { problem });
        }
        gateways.push(gateway);
    }
    Ok(Some(gateways))
}

fn device(object: &Object<'_>) -> Result<Option<String>> {
    let Some(device) = text(object, "deviceID")? else { return Ok(None) };
    // It becomes part of a file's name.
    if device.len() > 128 || device.contains("..") || device.contains(|c: char| !c.is_ascii_graphic()) {
        let allowed = "a device of at most 128 characters, without .. and white space";
        return Err(refuse(&object.path_of("deviceID"), device, allowed));
    }
    Ok(Some(device.to_owned()))
}

impl Selection {
    /// An element of the JSON form with the same meaning, for records.
    pub fn to_value(&self) -> Value {
        let mut value = Value::object([
            ("name", self.network.name().into()),
            ("namespace", self.network.namespace().into()),
        ]);
        let mut put = |key: &str, item: Option<Value>| {
            if let Some(item) = item {
                value.set(key, item);
            }
        };
        let list = |items: Vec<Value>| (!items.is_empty()).then_some(Value::Array(items));
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        put("interface", self.interface.as_ref().map(|name| name.as_str().into()));
        put("ips", list(self.ips.iter().map(|ip| ip.as_str().into()).collect()));
        put("mac", text(&self.mac));
        put("infiniband-guid", text(&self.infiniband_guid));
        put("portMappings", list(self.port_mappings.iter().map(PortMapping::to_value).collect()));
        put("bandwidth", self.bandwidth.map(Bandwidth::to_value));
        put("cni-args", self.cni_args.clone());
        let texts = |ips: &Vec<IpAddr>| ips.iter().map(|ip| ip.to_string().into()).collect::<Vec<Value>>();
        put("default-route", self.default_route.as_ref().map(|gateways| Value::Array(texts(gateways))));
        put("deviceID", text(&self.device_id));
        put("ipam-claim-reference", text(&self.ipam_claim));
        value
    }

    /// What [`Self::to_value`] wrote.
    ///
    /// # Errors
    /// As [`super::Selections::parse`].
    pub fn from_value(value: &Value) -> Result<Selection> {
        read(&Node { path: "record".to_owned(), value }, "", &mut Vec::new())
    }
}
