//! `MacvlanSubnet`, parsed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipam::Addresses;
use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};

use super::object::Object;
use crate::Result;
use crate::kinds::{MacvlanSubnet, MacvlanSubnetSpec, RouteVia};

/// A subnet whose addresses are worked out.
#[derive(Debug, Clone, PartialEq)]
pub struct Subnet {
    /// Its name, a DNS label.
    pub name: String,
    /// The network's name, a DNS label.
    pub network: String,
    /// Without host bits.
    pub cidr: IpNet,
    /// The name of the subnet of the other family.
    pub pair_with: Option<String>,
    /// In `cidr`, or a link-local address for IPv6.
    pub gateway: Option<IpAddr>,
    /// What pods can get, all in `cidr`.
    usable: Addresses,
    /// Of the family of `cidr`; no destination is twice.
    pub routes: Vec<SubnetRoute>,
    /// For resolv.conf.
    pub dns: cni::Dns,
    /// Which namespaces; none is every.
    pub namespaces: Option<Selector>,
    /// Which pods; none is every.
    pub pods: Option<Selector>,
    /// Which nodes; none is every.
    pub nodes: Option<Selector>,
    /// Whether pods that name no subnet get addresses here.
    pub default: bool,
    /// How long an address rests, at most 720 hours.
    pub reuse_delay: Duration,
    /// Gives no new addresses.
    pub disabled: bool,
    /// `metadata.deletionTimestamp`: it goes when its last address is free.
    pub deleting: bool,
}

/// A route of the subnet's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubnetRoute {
    /// Where to, without host bits.
    pub dst: IpNet,
    /// Through which router; none is on the LAN itself.
    pub gateway: Option<IpAddr>,
}

impl Subnet {
    /// Reads the object.
    ///
    /// # Errors
    /// [`crate::Error::Object`] with the field, its value and what is allowed.
    pub fn parse(object: &MacvlanSubnet) -> Result<Subnet> {
        let spec = &object.spec;
        let at = Object::new("MacvlanSubnet", &object.metadata);
        let name = at.label("metadata.name", at.name())?;
        let cidr = at.net("spec.cidr", &spec.cidr)?;
        if cidr.prefix_len() < 8 || !is_of_interfaces(cidr.addr()) {
            let problem = format!(
                "{cidr} must be /8 or smaller, and not loopback, link-local, multicast or unspecified"
            );
            return Err(at.refuse("spec.cidr", problem));
        }
        let pair_with = spec.pair_with.as_ref().map(|pair| at.label("spec.pairWith", pair)).transpose()?;
        if pair_with.as_ref() == Some(&name) {
            return Err(at.refuse("spec.pairWith", "must name another subnet, of the other family"));
        }
        let gateway = read_gateway(at, "spec.gateway", spec.gateway.as_deref(), cidr)?;
        if let (Some(gateway), IpNet::V4(_)) = (gateway, cidr)
            && own_addresses(cidr).contains(&gateway)
        {
            let problem = format!(
                "{gateway} must not be the first or last address of {cidr}, which no interface can have"
            );
            return Err(at.refuse("spec.gateway", problem));
        }
        let selector = |path: &str, selector: &Option<LabelSelector>| {
            selector.as_ref().map(|selector| at.selector(path, selector)).transpose()
        };
        Ok(Subnet {
            network: at.label("spec.network", &spec.network)?,
            pair_with,
            gateway,
            usable: read_usable(at, spec, cidr, gateway)?,
            routes: read_routes(at, &spec.routes, cidr, gateway)?,
            dns: read_dns(at, spec)?,
            namespaces: selector("spec.namespaceSelector", &spec.namespace_selector)?,
            pods: selector("spec.podSelector", &spec.pod_selector)?,
            nodes: selector("spec.nodeSelector", &spec.node_selector)?,
            default: spec.default,
            reuse_delay: at.duration("spec.reuseDelay", &spec.reuse_delay)?,
            disabled: spec.disabled,
            deleting: object.metadata.deletion_timestamp.is_some(),
            name,
            cidr,
        })
    }

    /// What pods can get: ranges, or the whole subnet, without exclude and without the gateway; without the own and the broadcast
    /// address of an IPv4 subnet (RFC 3021: a /31 has neither); without the first address of an IPv6 subnet, its routers' anycast
    /// address (RFC 4291, 2.6.1; RFC 6164: a /127 has none).
    pub fn usable(&self) -> &Addresses {
        &self.usable
    }

    /// Why it gives no new addresses; `None` when it does.
    pub fn closed(&self) -> Option<&'static str> {
        match (self.deleting, self.disabled) {
            (true, _) => Some("is being deleted"),
            (false, true) => Some("is disabled"),
            (false, false) => None,
        }
    }

    /// How many addresses pods can get, as a status counts: at most `i64::MAX`.
    pub fn total(&self) -> i64 {
        i64::try_from(self.usable.len()).unwrap_or(i64::MAX)
    }

    /// Whether a pod with these labels in a namespace and on a node with these may have an address here.
    pub fn is_for(
        &self,
        namespace: &BTreeMap<String, String>,
        pod: &BTreeMap<String, String>,
        node: &BTreeMap<String, String>,
    ) -> bool {
        let matches = |selector: &Option<Selector>, labels| {
            selector.as_ref().is_none_or(|selector| selector.matches(labels))
        };
        matches(&self.namespaces, namespace) && matches(&self.pods, pod) && matches(&self.nodes, node)
    }
}

/// Whether interfaces on a LAN have such addresses.
fn is_of_interfaces(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(link_local || address.is_loopback() || address.is_multicast() || address.is_unspecified())
}

/// The addresses of a subnet that no pod's interface can have.
fn own_addresses(cidr: IpNet) -> Vec<IpAddr> {
    match cidr {
        IpNet::V4(net) if net.prefix_len() < 31 => vec![cidr.network(), cidr.broadcast()],
        IpNet::V6(net) if net.prefix_len() < 127 => vec![cidr.network()],
        _ => Vec::new(),
    }
}

fn read_usable(
    at: Object<'_>,
    spec: &MacvlanSubnetSpec,
    cidr: IpNet,
    gateway: Option<IpAddr>,
) -> Result<Addresses> {
    let inside = |path: &str, text: &str, (from, to): (IpAddr, IpAddr)| {
        if cidr.contains(&from) && cidr.contains(&to) {
            return Ok((from, to));
        }
        Err(at.refuse(path, format!("{text} must be within spec.cidr, which is {cidr}")))
    };
    let mut usable = Addresses::new();
    for (n, text) in spec.ranges.iter().enumerate() {
        let path = format!("spec.ranges[{n}]");
        let (from, to) = inside(&path, text, at.run(&path, text)?)?;
        usable.insert_run(from, to);
    }
    if spec.ranges.is_empty() {
        usable.insert_net(cidr);
    }
    for (n, text) in spec.exclude.iter().enumerate() {
        let path = format!("spec.exclude[{n}]");
        let (from, to) = inside(&path, text, at.run_or_net(&path, text)?)?;
        usable.remove_run(from, to);
    }
    for address in own_addresses(cidr).into_iter().chain(gateway) {
        usable.remove(address);
    }
    Ok(usable)
}

/// An address through which a pod of the subnet can send.
fn read_gateway(at: Object<'_>, path: &str, text: Option<&str>, cidr: IpNet) -> Result<Option<IpAddr>> {
    let Some(text) = text else { return Ok(None) };
    let gateway = at.address(path, text)?;
    let link_local = matches!((cidr, gateway), (IpNet::V6(_), IpAddr::V6(ip)) if ip.is_unicast_link_local());
    if !cidr.contains(&gateway) && !link_local {
        let problem = format!("{gateway} must be an address of {cidr}, or for IPv6 a link-local one");
        return Err(at.refuse(path, problem));
    }
    Ok(Some(gateway))
}

fn read_routes(
    at: Object<'_>,
    routes: &[RouteVia],
    cidr: IpNet,
    gateway: Option<IpAddr>,
) -> Result<Vec<SubnetRoute>> {
    let mut read: Vec<SubnetRoute> = Vec::with_capacity(routes.len());
    for (n, route) in routes.iter().enumerate() {
        let path = format!("spec.routes[{n}].dst");
        let dst = at.net(&path, &route.dst)?;
        if dst.addr().is_ipv4() != cidr.addr().is_ipv4() {
            return Err(
                at.refuse(path, format!("{dst} must be of the same family as spec.cidr, which is {cidr}"))
            );
        }
        if read.iter().any(|other| other.dst == dst) {
            return Err(at.refuse(path, format!("{dst} is there twice")));
        }
        let own = read_gateway(at, &format!("spec.routes[{n}].gw"), route.gw.as_deref(), cidr)?;
        read.push(SubnetRoute { dst, gateway: own.or(gateway) });
    }
    Ok(read)
}

fn read_dns(at: Object<'_>, spec: &MacvlanSubnetSpec) -> Result<cni::Dns> {
    let Some(dns) = &spec.dns else { return Ok(cni::Dns::default()) };
    for (n, server) in dns.nameservers.iter().enumerate() {
        at.address(format!("spec.dns.nameservers[{n}]"), server)?;
    }
    if let Some(domain) = &dns.domain {
        at.subdomain("spec.dns.domain", domain)?;
    }
    for (n, domain) in dns.search.iter().enumerate() {
        at.subdomain(format!("spec.dns.search[{n}]"), domain)?;
    }
    Ok(cni::Dns {
        nameservers: dns.nameservers.clone(),
        domain: dns.domain.clone().unwrap_or_default(),
        search: dns.search.clone(),
        options: dns.options.clone(),
    })
}
