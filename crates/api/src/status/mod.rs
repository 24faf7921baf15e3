//! The network-status annotation, byte for byte as the reference client writes it: each element by Go's
//! `MarshalIndent` with four spaces, joined by a comma, in square brackets.

mod device;

use cni::CniResult;
use cni::json::{self, Node, Object, Value};

pub use device::DeviceInfo;

use crate::{Error, IfName, NETWORK_STATUS, Result};

/// The annotation: its elements as they stand, so that what others wrote stays as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Statuses(Vec<Value>);

/// What can be read from an element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkStatus {
    /// `namespace/name` of a definition, or a configuration's name.
    pub name: String,
    /// The interface; empty when the plugin did not tell.
    pub interface: String,
    /// Addresses without prefix length.
    pub ips: Vec<String>,
    /// The MAC address; empty when the plugin did not tell.
    pub mac: String,
    /// In bytes; 0 when the plugin did not tell (results before 1.1.0 cannot).
    pub mtu: u32,
    /// Whether it is the pod's first network.
    pub default: bool,
    /// Gateways of default routes.
    pub gateway: Vec<String>,
}

impl Statuses {
    /// Reads an annotation.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for what is no JSON list.
    pub fn parse(text: &str) -> Result<Statuses> {
        let unreadable =
            |problem: String| Error::Unreadable { what: format!("annotation {NETWORK_STATUS}"), problem };
        if text.trim().is_empty() {
            return Ok(Statuses::default());
        }
        match json::parse(text.as_bytes()).map_err(|error| unreadable(error.to_string()))? {
            Value::Array(items) => Ok(Statuses(items)),
            Value::Null => Ok(Statuses::default()),
            other => Err(unreadable(format!("is {}, expected a list", other.kind()))),
        }
    }

    /// The annotation's text.
    pub fn to_annotation(&self) -> String {
        let items: Vec<String> = self.0.iter().map(Value::to_pretty).collect();
        format!("[{}]", items.join(","))
    }

    /// Adds the elements of an attachment: one for each interface of the result that is in the pod. `first` is for the
    /// pod's first network: one of its elements is the default.
    pub fn add(&mut self, result: &CniResult, network: &str, first: bool, device: Option<&DeviceInfo>) {
        self.0.extend(elements(result, network, first, device));
    }

    /// Takes away the elements of a network that name one of these interfaces.
    pub fn remove(&mut self, network: &str, interfaces: &[&str]) {
        self.0.retain(|value| {
            let status = read(value);
            !(status.name == network && interfaces.contains(&status.interface.as_str()))
        });
    }

    /// The elements, read; what is not of the expected type counts as absent.
    pub fn elements(&self) -> Vec<NetworkStatus> {
        self.0.iter().map(read).collect()
    }

    /// Whether there is an element for the network and interface.
    pub fn has(&self, network: &str, ifname: &IfName) -> bool {
        self.0.iter().map(read).any(|status| status.name == network && status.interface == ifname.as_str())
    }
}

fn read(value: &Value) -> NetworkStatus {
    let object = Node { path: String::new(), value }.object().unwrap_or_else(|_| Object::empty());
    let text = |key: &str| object.string(key).ok().flatten().unwrap_or_default().to_owned();
    let texts = |key: &str| {
        let items = object.items(key).unwrap_or_default();
        items.iter().filter_map(|item| item.string().ok().map(str::to_owned)).collect()
    };
    NetworkStatus {
        name: text("name"),
        interface: text("interface"),
        ips: texts("ips"),
        mac: text("mac"),
        mtu: object.u32("mtu").ok().flatten().unwrap_or(0),
        default: object.bool("default").ok().flatten().unwrap_or(false),
        gateway: texts("gateway"),
    }
}

/// The names of the interfaces of a result that are in the pod.
pub fn interfaces(result: &CniResult) -> Vec<&str> {
    let inside = result.interfaces.iter().filter(|interface| !interface.sandbox.is_empty());
    inside.map(|interface| interface.name.as_str()).collect()
}

/// As the reference client makes them, its oddities included: a result with one interface is one element whatever its
/// addresses say, a result with none is no element at all.
fn elements(result: &CniResult, network: &str, first: bool, device: Option<&DeviceInfo>) -> Vec<Value> {
    let gateways = gateways(result);
    let plain = |ip: &cni::IpConfig| ip.address.addr().to_string();
    let mut found: Vec<(usize, NetworkStatus)> = Vec::new();
    if let [only] = result.interfaces.as_slice() {
        let mut status =
            NetworkStatus { name: network.to_owned(), default: first, ..NetworkStatus::default() };
        if !only.sandbox.is_empty() {
            put_interface(&mut status, only);
        }
        status.ips = result.ips.iter().map(plain).collect();
        found.push((0, status));
    } else {
        for (at, interface) in result.interfaces.iter().enumerate().filter(|(_, it)| !it.sandbox.is_empty()) {
            let mut status = NetworkStatus { name: network.to_owned(), ..NetworkStatus::default() };
            put_interface(&mut status, interface);
            found.push((at, status));
        }
        // The default is the interface of the first address with a gateway, else the first one.
        let with_gateway = result.ips.iter().find(|ip| ip.gateway.is_some() && ip.interface.is_some());
        let default = match with_gateway.and_then(|ip| ip.interface) {
            Some(at) => Some(at),
            None => found.first().map(|(at, _)| *at),
        };
        for (at, status) in &mut found {
            status.default = first && Some(*at) == default;
        }
        for ip in &result.ips {
            let status = match ip.interface {
                Some(wanted) => found.iter_mut().find(|(at, _)| *at == wanted),
                None => found.last_mut(),
            };
            if let Some((_, status)) = status {
                status.ips.push(plain(ip));
            }
        }
    }
    found.into_iter().map(|(_, status)| write(&status, result, &gateways, device)).collect()
}

fn put_interface(status: &mut NetworkStatus, interface: &cni::Interface) {
    status.interface = interface.name.clone();
    status.mac = interface.mac.clone();
    status.mtu = interface.mtu.unwrap_or(0);
}

/// Gateways of the default routes. As in Go, a destination counts as default by its address alone, and a route without
/// gateway is the text `<nil>`.
fn gateways(result: &CniResult) -> Vec<Value> {
    let defaults = result.routes.iter().filter(|route| route.dst.addr().is_unspecified());
    defaults.map(|route| route.gw.map_or("<nil>".to_owned(), |gateway| gateway.to_string()).into()).collect()
}

/// The keys in the order of Go's structure; what says nothing is left out, but for `dns`.
fn write(
    status: &NetworkStatus,
    result: &CniResult,
    gateways: &[Value],
    device: Option<&DeviceInfo>,
) -> Value {
    let mut value = Value::object([("name", status.name.as_str().into())]);
    let texts = |list: &[String]| Value::Array(list.iter().map(|text| text.as_str().into()).collect());
    if !status.interface.is_empty() {
        value.set("interface", status.interface.as_str().into());
    }
    if !status.ips.is_empty() {
        value.set("ips", texts(&status.ips));
    }
    if !status.mac.is_empty() {
        value.set("mac", status.mac.as_str().into());
    }
    if status.mtu != 0 {
        value.set("mtu", status.mtu.into());
    }
    if status.default {
        value.set("default", true.into());
    }
    let mut dns = Value::object([]);
    if !result.dns.nameservers.is_empty() {
        dns.set("nameservers", texts(&result.dns.nameservers));
    }
    if !result.dns.domain.is_empty() {
        dns.set("domain", result.dns.domain.as_str().into());
    }
    for (key, list) in [("search", &result.dns.search), ("options", &result.dns.options)] {
        if !list.is_empty() {
            dns.set(key, texts(list));
        }
    }
    value.set("dns", dns);
    if let Some(device) = device {
        value.set("device-info", device.to_value());
    }
    if !gateways.is_empty() {
        value.set("gateway", Value::Array(gateways.to_vec()));
    }
    value
}
