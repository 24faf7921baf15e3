//! The model to JSON of any version, with the reference's key order: 1.x sorts its keys (the reference sends
//! it through a map), older versions keep the order of the fields.

use std::net::IpAddr;

use super::{CniResult, Dns, Interface, IpConfig, Route};
use crate::json::Value;
use crate::{Error, Result, Version};

/// Members of an object under construction; what says nothing is left out.
struct Members(Vec<(String, Value)>);

impl Members {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.push((key.to_owned(), value.into()));
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.put(key, text);
        }
    }

    fn number(&mut self, key: &str, number: Option<u32>) {
        if let Some(number) = number {
            self.put(key, number);
        }
    }

    fn address(&mut self, key: &str, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.put(key, address.to_string());
        }
    }

    fn list(&mut self, key: &str, items: Vec<Value>) {
        if !items.is_empty() {
            self.put(key, items);
        }
    }

    /// The object; its keys sorted from 1.0.0 on.
    fn finish(mut self, version: Version) -> Value {
        if version >= Version::V100 {
            self.0.sort_by(|a, b| a.0.cmp(&b.0));
        }
        Value::Object(self.0)
    }
}

impl CniResult {
    /// The result as JSON of `version`. Before 0.3.0 only the first address of each family and routes with
    /// destination and gateway survive; without any address there is no such result, and the error (code
    /// 999) is the reference's `cannot convert: no valid IP addresses`.
    pub fn to_json(&self, version: Version) -> Result<Value> {
        let mut members = Members(Vec::with_capacity(5));
        members.put("cniVersion", version.as_str());
        if version < Version::V030 {
            self.put_families(&mut members, version)?;
            members.put("dns", dns(&self.dns, version));
            return Ok(members.finish(version));
        }
        let interfaces = self.interfaces.iter().map(|interface| interface_json(interface, version));
        members.list("interfaces", interfaces.collect());
        members.list("ips", self.ips.iter().map(|ip| ip_json(ip, version)).collect());
        members.list("routes", self.routes.iter().map(|route| route_json(route, version)).collect());
        if version < Version::V100 || !self.dns.is_empty() {
            members.put("dns", dns(&self.dns, version));
        }
        Ok(members.finish(version))
    }

    /// `ip4` and `ip6` of 0.1.0 and 0.2.0.
    fn put_families(&self, members: &mut Members, version: Version) -> Result<()> {
        let mut any = false;
        for (key, v4) in [("ip4", true), ("ip6", false)] {
            let Some(ip) = self.ips.iter().find(|ip| ip.address.addr().is_ipv4() == v4) else {
                continue;
            };
            any = true;
            let mut family = Members(Vec::new());
            family.put("ip", ip.address.to_string());
            family.address("gateway", ip.gateway);
            let routes = self.routes.iter().filter(|route| route.dst.addr().is_ipv4() == v4);
            let plain = routes.map(|route| route_json(&Route::new(route.dst, route.gw), version));
            family.list("routes", plain.collect());
            members.put(key, family.finish(version));
        }
        if any { Ok(()) } else { Err(Error::internal("cannot convert: no valid IP addresses")) }
    }
}

fn interface_json(interface: &Interface, version: Version) -> Value {
    let mut members = Members(Vec::with_capacity(4));
    members.put("name", interface.name.as_str());
    members.text("mac", &interface.mac);
    if version >= Version::V100 {
        members.number("mtu", interface.mtu);
    }
    members.text("sandbox", &interface.sandbox);
    if version >= Version::V100 {
        members.text("socketPath", &interface.socket_path);
        members.text("pciID", &interface.pci_id);
    }
    members.finish(version)
}

fn ip_json(ip: &IpConfig, version: Version) -> Value {
    let mut members = Members(Vec::with_capacity(4));
    if version < Version::V100 {
        members.put("version", if ip.address.addr().is_ipv4() { "4" } else { "6" });
    }
    members.number("interface", ip.interface.and_then(|index| u32::try_from(index).ok()));
    members.put("address", ip.address.to_string());
    members.address("gateway", ip.gateway);
    members.finish(version)
}

fn route_json(route: &Route, version: Version) -> Value {
    let mut members = Members(Vec::with_capacity(2));
    members.put("dst", route.dst.to_string());
    members.address("gw", route.gw);
    members.number("mtu", route.mtu);
    members.number("advmss", route.advmss);
    members.number("priority", route.priority);
    members.number("table", route.table);
    members.number("scope", route.scope.map(u32::from));
    members.finish(version)
}

fn dns(dns: &Dns, version: Version) -> Value {
    let list = |items: &[String]| items.iter().map(|item| Value::from(item.as_str())).collect();
    let mut members = Members(Vec::new());
    members.list("nameservers", list(&dns.nameservers));
    members.text("domain", &dns.domain);
    members.list("search", list(&dns.search));
    members.list("options", list(&dns.options));
    members.finish(version)
}
