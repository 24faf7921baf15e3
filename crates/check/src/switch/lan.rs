//! Foreign MACs, gateways, and addresses that others use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;

use ipam::RangeSet;
use kernel::uapi::{NUD_PERMANENT, NUD_REACHABLE, NUD_STALE};
use kernel::{Errno, Link, LinkKind, MacAddr, Netlink};
use topology::{Node, Topology};

use crate::conf::{Network, Plugin};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::finding::{Finding, Status};
use crate::lan::{Answers, Station};

/// Most addresses of one network that are asked for, which takes some seconds; those that would be given next.
const MOST: usize = 256;
/// A MAC that answers for so many is a router's proxy ARP, not so many machines.
const PROXY: usize = 16;
/// So many known neighbours are asked where no gateway is known.
const NEIGHBOURS: usize = 4;

/// What a parent's LAN said to its own MAC and to another.
#[derive(Debug)]
pub(crate) struct MacProbe {
    parent: String,
    /// Those that answered the parent's own MAC.
    own: Vec<IpAddr>,
    /// Those of them that answered another MAC.
    foreign: Vec<IpAddr>,
    asked: usize,
    /// Why it could not be tried.
    error: Option<String>,
}

impl MacProbe {
    pub(crate) fn passes(&self) -> bool {
        self.error.is_none() && !self.own.is_empty() && !self.foreign.is_empty()
    }

    pub(crate) fn blocked(&self) -> bool {
        self.error.is_none() && !self.own.is_empty() && self.foreign.is_empty()
    }
}

impl Context {
    /// Asks once for each parent.
    pub(crate) fn probed_macs(&self) -> &[MacProbe] {
        self.mac_probe.get_or_init(|| {
            let parents = self.parents();
            parents.iter().map(|parent| probe(self, parent.link)).collect()
        })
    }

    /// Gateways of the host's own default routes over an interface.
    fn default_gateways(&self, link: &Link) -> Vec<IpAddr> {
        let over = |oif: Option<u32>| oif == Some(link.index);
        let defaults = self.routes.iter().filter(|route| route.dst.is_none());
        let mut found: Vec<IpAddr> = Vec::new();
        for route in defaults {
            found.extend(route.gateway.filter(|_| over(route.oif)));
            found.extend(
                route.nexthops.iter().filter(|hop| over(Some(hop.oif))).filter_map(|hop| hop.gateway),
            );
        }
        found.sort();
        found.dedup();
        found
    }
}

/// Whom to ask: gateways, else neighbours the host has talked to. Only IPv4: an answer to a DAD solicitation is multicast
/// and would pass a filter.
fn whom(context: &Context, link: &Link) -> Vec<IpAddr> {
    let mut targets = context.default_gateways(link);
    for (_, plugin, _) in context.uses().filter(|(_, _, master)| *master == link.name) {
        targets.extend(plugin.gateways.iter().copied());
    }
    if targets.iter().all(IpAddr::is_ipv6) {
        let known =
            Netlink::open_in(&context.netns).and_then(|mut netlink| netlink.neighbours(Some(link.index)));
        let alive = NUD_REACHABLE | NUD_STALE | NUD_PERMANENT;
        let known = known.unwrap_or_default();
        let known =
            known.iter().filter(|neighbour| neighbour.state & alive != 0).map(|neighbour| neighbour.address);
        targets.extend(known.filter(IpAddr::is_ipv4).take(NEIGHBOURS));
    }
    let own: BTreeSet<IpAddr> = context.addresses.iter().map(|address| address.net.addr()).collect();
    targets.retain(|target| target.is_ipv4() && !own.contains(target));
    targets.sort();
    targets.dedup();
    targets
}

fn probe(context: &Context, link: &Link) -> MacProbe {
    let targets = whom(context, link);
    let mut probe = MacProbe {
        parent: link.name.clone(),
        own: Vec::new(),
        foreign: Vec::new(),
        asked: targets.len(),
        error: None,
    };
    if targets.is_empty() || !link.is_up() {
        return probe;
    }
    let mut ask = || -> Result<()> {
        probe.own = Station::own(context, link)?.ask(&targets)?.into_keys().collect();
        if !probe.own.is_empty() {
            probe.foreign = Station::foreign(context, link)?.ask(&probe.own)?.into_keys().collect();
        }
        Ok(())
    };
    let result = ask();
    probe.error = result.err().map(|error| error.to_string());
    probe
}

pub(crate) fn foreign_macs(context: &Context) -> Result<Vec<Finding>> {
    let findings: Vec<Finding> = context.probed_macs().iter().map(of_probe).collect();
    Ok(if findings.is_empty() {
        vec![Finding::skip("no interface is used by containers, and there is no default route")]
    } else {
        findings
    })
}

fn of_probe(probe: &MacProbe) -> Finding {
    let name = &probe.parent;
    let finding = match &probe.error {
        Some(error) => Finding::skip(format!("{name}: cannot be tried: {error}")),
        None if probe.asked == 0 => {
            Finding::skip(format!("{name}: neither a gateway nor a neighbour is known that could answer"))
        }
        None if probe.own.is_empty() => {
            Finding::skip(format!("{name}: nobody answers its own MAC either (see gateways)"))
        }
        None if probe.foreign.is_empty() => Finding::fail(
            format!(
                "{name}: {} answers this host's own MAC and no other: the switch or hypervisor drops frames of containers",
                join(&probe.own)
            ),
            "allow several MACs on the switch's port (port security), or other MACs at the hypervisor (forged transmits, MAC spoofing, promiscuous mode)",
        ),
        None => {
            Finding::ok(format!("{name}: {} answers a MAC that is not this host's", join(&probe.foreign)))
        }
    };
    finding.of(name)
}

fn join(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Where containers of a network hear each other: an interface, or a VLAN of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Segment {
    master: String,
    vlan: Option<u16>,
}

impl std::fmt::Display for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.vlan {
            Some(id) => write!(f, "VLAN {id} of {}", self.master),
            None => f.write_str(&self.master),
        }
    }
}

impl Segment {
    /// Who answers, or why nobody could be asked.
    fn ask(&self, context: &Context, link: &Link, targets: &[IpAddr]) -> Result<Answers, String> {
        let station = match self.vlan {
            Some(id) => Station::vlan(context, link, id),
            None => Station::own(context, link),
        };
        station.and_then(|station| station.ask(targets)).map_err(|error| match error {
            Error::Kernel(error) if self.vlan.is_some() && error.errno() == Some(Errno::OPNOTSUPP) => {
                format!("{self}: cannot ask: this kernel has no 802.1Q (see the check vlan)")
            }
            error => format!("{self}: cannot ask: {error}"),
        })
    }
}

impl Segment {
    /// Which of the addresses containers of this host have, and which of them. They do not answer the interface that they are
    /// on: the kernel passes no frame between the two.
    fn held_here(&self, topology: &Topology, targets: &[IpAddr]) -> Vec<(IpAddr, String)> {
        let current = topology.namespaces.iter().find(|namespace| namespace.is_current);
        let Some(parent) = current.and_then(|current| topology.find(current.id, &self.master)) else {
            return Vec::new();
        };
        let is_of_it = |node: &&Node| match (&node.link.kind, self.vlan) {
            (LinkKind::Vlan(vlan), Some(id)) => vlan.id == id,
            (LinkKind::Vlan(_), None) => false,
            (_, vlan) => vlan.is_none(),
        };
        let children = topology.children_of(parent.id).filter(is_of_it);
        let elsewhere = children.filter(|node| node.id.namespace != parent.id.namespace);
        let of = |node: &Node| {
            let owner = topology.owner_of(node).to_string();
            let held = node.addresses.iter().map(|address| address.net.addr());
            held.filter(|held| targets.contains(held)).map(|held| (held, owner.clone())).collect::<Vec<_>>()
        };
        elsewhere.flat_map(of).collect()
    }
}

pub(crate) fn gateways(context: &Context) -> Result<Vec<Finding>> {
    // Each interface is asked once, whoever names it.
    let mut wanted: BTreeMap<Segment, BTreeMap<IpAddr, String>> = BTreeMap::new();
    let mut findings = Vec::new();
    for (network, plugin, master) in context.uses() {
        let segment = Segment { master, vlan: plugin.vlan };
        for gateway in &plugin.gateways {
            let who = format!("network {}", network.name);
            wanted.entry(segment.clone()).or_default().entry(*gateway).or_insert(who);
        }
    }
    for link in context.links.iter().filter(|link| link.is_up() && link.mac.is_some()) {
        for gateway in context.default_gateways(link) {
            let who = "the host's default route".to_owned();
            let segment = Segment { master: link.name.clone(), vlan: None };
            wanted.entry(segment).or_default().entry(gateway).or_insert(who);
        }
    }
    for (segment, gateways) in wanted {
        let Some(link) = context.link(&segment.master) else { continue };
        let targets: Vec<IpAddr> = gateways.keys().copied().collect();
        let answers = match segment.ask(context, link, &targets) {
            Ok(answers) => answers,
            Err(why) => {
                findings.push(Finding::skip(why).of(&segment.master));
                continue;
            }
        };
        for (gateway, who) in gateways {
            let own = context.addresses.iter().any(|address| address.net.addr() == gateway);
            findings.push(of_gateway(gateway, &segment.to_string(), &who, own, answers.get(&gateway)));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::skip("neither a configuration nor the host names a gateway"));
    }
    Ok(findings)
}

fn of_gateway(
    gateway: IpAddr,
    master: &str,
    who: &str,
    own: bool,
    macs: Option<&BTreeSet<MacAddr>>,
) -> Finding {
    let listed = macs.map(|macs| macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    let finding = match (macs, listed) {
        _ if own => Finding::ok(format!("gateway {gateway} of {who} is this host")),
        (Some(macs), Some(list)) if macs.len() > 1 => Finding::fail(
            format!("gateway {gateway} of {who} is claimed on {master} by {} machines: {list}", macs.len()),
            "take the address away from the one that is not the gateway",
        ),
        (Some(_), Some(list)) => {
            Finding::ok(format!("gateway {gateway} of {who} answers on {master} ({list})"))
        }
        _ => Finding::fail(
            format!(
                "gateway {gateway} of {who} does not answer on {master}: containers reach nothing beyond their subnet"
            ),
            "look at the address, the VLAN of the switch's port (trunk, allowed VLANs), and the gateway itself",
        ),
    };
    finding.of(gateway.to_string())
}

pub(crate) fn duplicates(context: &Context) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut read = None;
    for (network, plugin, master) in context.uses() {
        let (false, Some(link)) = (plugin.ranges.is_empty(), context.link(&master)) else { continue };
        // Once, and not where no network has ranges.
        let topology = match &mut read {
            Some(topology) => topology,
            none => none.insert(Topology::read().map_err(Error::Topology)?),
        };
        let segment = Segment { master, vlan: plugin.vlan };
        let (targets, all) = next(context, plugin);
        let asked = if all {
            format!("{} free addresses", targets.len())
        } else {
            format!("the next {} addresses", targets.len())
        };
        let here = segment.held_here(topology, &targets);
        match segment.ask(context, link, &targets) {
            Ok(answers) => {
                let of_others = of_answers(network, plugin, &segment.to_string(), &asked, answers);
                // That nobody else has one is no news where one is had here.
                findings.extend(
                    of_others.into_iter().filter(|finding| here.is_empty() || finding.status != Status::Ok),
                );
                findings.extend(
                    here.into_iter().map(|(address, owner)| of_holder(network, plugin, address, &owner)),
                );
            }
            Err(why) => findings.push(Finding::skip(why).of(&network.name)),
        }
    }
    if findings.is_empty() {
        findings.push(Finding::skip("no configuration has ranges of its own on an interface of this host"));
    }
    Ok(findings)
}

/// Addresses that may be given next, and whether these are all.
fn next(context: &Context, plugin: &Plugin) -> (Vec<IpAddr>, bool) {
    let leases = plugin.leases.as_ref().and_then(|dir| fs::read_dir(dir).ok());
    let leased: BTreeSet<IpAddr> = leases
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    let own = |ip: &IpAddr| context.addresses.iter().any(|address| address.net.addr() == *ip);
    let mut free = plugin
        .ranges
        .iter()
        .flat_map(|set: &RangeSet| set.round(None).map(|(address, _)| address))
        .filter(|ip| !leased.contains(ip) && !plugin.gateways.contains(ip) && !own(ip));
    let targets: Vec<IpAddr> = free.by_ref().take(MOST).collect();
    (targets, free.next().is_none())
}

/// How an address gets out of the way of the next ADD.
fn advice(plugin: &Plugin) -> &'static str {
    if plugin.probes {
        "the network probes, so an ADD steps over them; take them out of the range to be quick"
    } else {
        "take them out of the range, give each host a range of its own, or set probe: true in the configuration"
    }
}

fn of_holder(network: &Network, plugin: &Plugin, address: IpAddr, owner: &str) -> Finding {
    let summary =
        format!("network {}: {address} is used by {owner} on this host, and not leased to it", network.name);
    Finding::bad(!plugin.probes, summary, advice(plugin)).of(&network.name)
}

fn of_answers(
    network: &Network,
    plugin: &Plugin,
    master: &str,
    asked: &str,
    answers: Answers,
) -> Vec<Finding> {
    if answers.is_empty() {
        return vec![
            Finding::ok(format!("network {}: nobody on {master} has one of {asked}", network.name))
                .of(&network.name),
        ];
    }
    let mut by_mac: BTreeMap<MacAddr, Vec<IpAddr>> = BTreeMap::new();
    for (address, macs) in answers {
        macs.into_iter().for_each(|mac| by_mac.entry(mac).or_default().push(address));
    }
    let of = |(mac, addresses): (MacAddr, Vec<IpAddr>)| {
        let summary = if addresses.len() >= PROXY {
            format!(
                "network {}: {mac} answers for {} of {asked}: a router with proxy ARP, or a host with the same range",
                network.name,
                addresses.len()
            )
        } else {
            format!(
                "network {}: {} is used by {mac}, which is not of this host",
                network.name,
                join(&addresses)
            )
        };
        let mut finding = Finding::bad(!plugin.probes, summary, advice(plugin)).of(&network.name);
        finding.details = addresses.iter().map(|address| format!("{address} {mac}")).collect();
        finding
    };
    by_mac.into_iter().map(of).collect()
}
