//! VXLANs: does each send to the right places over the right link, and do these answer? Such as flannel's `flannel.1`, whose
//! forwarding database must name addresses of the link that was meant.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use kernel::{Forwarding, Link, LinkKind, Netlink, Vxlan};
use wire::Ping;

use crate::context::Context;
use crate::error::Result;
use crate::finding::{Finding, Group};
use crate::interfaces::{effective, under_vxlan, vxlan_overhead};

/// What flannel wrote for its plugin.
const SUBNET_ENV: &str = "/run/flannel/subnet.env";
/// The kernel's own port where a VXLAN names none.
const PORT: u16 = 8472;
const PATIENCE: Duration = Duration::from_millis(500);

/// Checks every VXLAN of this namespace. `peers` are the addresses of the other nodes, when they are known: then no
/// destination may be another, and none of them may be missing.
///
/// # Errors
/// When the kernel refuses to tell.
pub fn overlay(context: &Context, peers: &[IpAddr]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut netlink = Netlink::open_in(&context.netns)?;
    for link in &context.links {
        let LinkKind::Vxlan(vxlan) = &link.kind else { continue };
        if let Some(why) = not_ours(link, vxlan) {
            findings.push(stamp("overlay-link", Finding::skip(why).of(&link.name)));
            continue;
        }
        let entries = netlink.forwarding(link.index)?;
        let device =
            Device { context, link, vxlan, under: under_vxlan(context, link).map(|(link, ..)| link) };
        findings.extend(device.check(&entries, peers));
    }
    if findings.is_empty() {
        findings.push(stamp("overlay-link", Finding::skip("there is no VXLAN on this host")));
    }
    Ok(findings)
}

/// Why nothing can be told of a VXLAN from here.
fn not_ours(link: &Link, vxlan: &Vxlan) -> Option<String> {
    let name = &link.name;
    if link.parent_nsid.is_some() {
        return Some(format!("{name} sends from another namespace: check the overlay there"));
    }
    vxlan.collect_metadata.then(|| {
        format!("{name} is steered by a program (Cilium, OVN): its destinations are not in its forwarding database")
    })
}

fn stamp(id: &'static str, mut finding: Finding) -> Finding {
    finding.id = id;
    finding.group = Group::Overlay;
    finding
}

/// One VXLAN.
struct Device<'a> {
    context: &'a Context,
    link: &'a Link,
    vxlan: &'a Vxlan,
    /// The link of the outer packets.
    under: Option<&'a Link>,
}

impl Device<'_> {
    fn check(&self, entries: &[Forwarding], peers: &[IpAddr]) -> Vec<Finding> {
        let name = &self.link.name;
        let mut findings = vec![stamp("overlay-link", self.outgoing()), stamp("overlay-mtu", self.size())];
        // Several MACs may be behind one address; it is told once.
        let mut destinations: BTreeMap<IpAddr, (u16, Vec<String>)> = BTreeMap::new();
        for entry in entries {
            if let Some(dst) = entry.dst.filter(|dst| !dst.is_unspecified() && !dst.is_multicast()) {
                let (port, macs) = destinations.entry(dst).or_default();
                *port = entry.port.unwrap_or(self.port());
                macs.push(entry.mac.to_string());
            }
        }
        if destinations.is_empty() {
            findings.push(stamp("overlay-fdb", self.alone(peers)));
        }
        let mut reached = Vec::new();
        for (dst, (port, macs)) in &destinations {
            let finding = self.destination(*dst, peers).detail(format!("for {}", macs.join(", ")));
            let right = finding.status == crate::Status::Ok;
            findings.push(stamp("overlay-fdb", finding.of(format!("{name}/{dst}"))));
            if right {
                reached.push((*dst, *port));
            }
        }
        // A group reaches every node that has joined it, without an entry.
        let by_group = self.vxlan.remote.is_some_and(|remote| remote.is_multicast());
        let is_missing = |peer: &IpAddr| !by_group && !destinations.contains_key(peer) && !self.is_own(*peer);
        for peer in peers.iter().filter(|peer| is_missing(peer)) {
            let finding = Finding::warn(
                format!("{name} has no entry for node {peer}: its pods cannot be reached from here"),
                "look at the overlay's agent on that node: what address does it announce?",
            );
            findings.push(stamp("overlay-fdb", finding.of(format!("{name}/{peer}"))));
        }
        // Side by side: a dead node takes seconds.
        std::thread::scope(|scope| {
            let ask = |(dst, port)| scope.spawn(move || self.reach(dst, port));
            let asked: Vec<_> = reached.iter().copied().map(ask).collect();
            for ((dst, _), thread) in reached.iter().zip(asked) {
                let finding = thread.join().unwrap_or_else(|_| Finding::skip("could not be asked"));
                findings.push(stamp("overlay-reach", finding.of(format!("{name}/{dst}"))));
            }
        });
        findings.push(stamp("overlay-rp-filter", self.rp_filter(destinations.keys().copied())));
        for finding in &mut findings {
            finding.object.get_or_insert_with(|| name.clone());
        }
        findings
    }

    fn is_own(&self, address: IpAddr) -> bool {
        self.context.addresses.iter().any(|own| own.net.addr() == address)
    }

    fn outgoing(&self) -> Finding {
        let name = &self.link.name;
        let local = self.vxlan.local.filter(|local| !local.is_unspecified());
        let Some(under) = self.under else {
            return match local {
                Some(local) => Finding::fail(
                    format!("{name} sends from {local}, which no interface has"),
                    "restart the overlay's agent, or give the address back",
                ),
                None => Finding::warn(
                    format!("{name} is bound to no link and no address: the route to each node decides"),
                    "name the link where the host has several (flannel: --iface)",
                ),
            };
        };
        let elsewhere = local.filter(|local| {
            !self.context.addresses_of(under.index).any(|address| address.net.addr() == *local)
        });
        if let Some(local) = elsewhere {
            return Finding::fail(
                format!("{name} sends over {} from {local}, which is not an address of it", under.name),
                "restart the overlay's agent with the right interface (flannel: --iface)",
            );
        }
        if !self.link.is_up() || !under.is_up() || !under.carrier {
            return Finding::fail(
                format!("{name} is {}, {} is {}", state(self.link), under.name, state(under)),
                format!("ip link set {name} up, and look at the cable of {}", under.name),
            );
        }
        let from = local.map_or_else(String::new, |local| format!(" from {local}"));
        Finding::ok(format!(
            "{name} sends over {}{from}, VNI {}, UDP port {}",
            under.name,
            self.vxlan.id,
            self.port()
        ))
    }

    fn port(&self) -> u16 {
        self.vxlan.port.unwrap_or(PORT)
    }

    fn size(&self) -> Finding {
        let (name, mtu) = (&self.link.name, self.link.mtu);
        let v6 = self.vxlan.local.or(self.vxlan.remote).is_some_and(|ip| ip.is_ipv6());
        let overhead = vxlan_overhead(v6);
        if let Some(under) = self.under.filter(|under| mtu.saturating_add(overhead) > under.mtu) {
            return Finding::fail(
                format!(
                    "{name} has MTU {mtu} and adds {overhead} bytes, {} carries {}: large packets are lost",
                    under.name, under.mtu
                ),
                format!(
                    "ip link set {name} mtu {}, in the pods too, or raise {}",
                    under.mtu.saturating_sub(overhead),
                    under.name
                ),
            );
        }
        let flannel = env("FLANNEL_MTU").and_then(|mtu| mtu.parse::<u32>().ok());
        match flannel.filter(|_| name.starts_with("flannel")) {
            Some(told) if told != mtu => Finding::fail(
                format!("{name} has MTU {mtu}, {SUBNET_ENV} tells pods {told}"),
                "restart flannel, then the pods that were made with the other value",
            ),
            _ => Finding::ok(format!("{name}: MTU {mtu}, {overhead} bytes around it")),
        }
    }

    fn alone(&self, peers: &[IpAddr]) -> Finding {
        let name = &self.link.name;
        match self.vxlan.remote {
            Some(remote) => Finding::ok(format!("{name} sends to {remote}")),
            None => Finding::bad(
                !peers.is_empty(),
                format!("{name} has no destination: frames for other nodes go nowhere"),
                "look at the overlay's agent: does it run, does it see the other nodes?",
            ),
        }
    }

    /// Where the main table would send it: the longest prefix, then the lowest metric.
    fn route(&self, to: IpAddr) -> Option<&Link> {
        let matching = self.context.routes.iter().filter(|route| {
            route.table == kernel::uapi::RT_TABLE_MAIN
                && route.family == kernel::Family::of(to)
                && route.dst.is_none_or(|net| net.contains(&to))
        });
        let best = matching.max_by_key(|route| {
            (route.dst.map_or(0, |net| net.prefix_len()), std::cmp::Reverse(route.priority.unwrap_or(0)))
        })?;
        self.context.link_at(best.oif.or(best.nexthops.first().map(|hop| hop.oif))?)
    }

    /// Is it an address of the link that was meant?
    fn destination(&self, dst: IpAddr, peers: &[IpAddr]) -> Finding {
        let name = &self.link.name;
        let advice = "the node announces the wrong address: restart its agent with the right interface (flannel: --iface)";
        if self.is_own(dst) {
            return Finding::fail(format!("{name} sends to {dst}, which is this host itself"), advice);
        }
        if !peers.is_empty() && !peers.contains(&dst) {
            let list = peers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Finding::fail(
                format!("{name} sends to {dst}, which is none of the nodes {list}"),
                advice,
            );
        }
        let Some(over) = self.route(dst) else {
            return Finding::fail(format!("{name} sends to {dst}, and there is no route to it"), advice);
        };
        if over.index == self.link.index {
            return Finding::fail(
                format!("{name} sends to {dst}, and the route to it leads into {name} itself"),
                advice,
            );
        }
        match self.under {
            Some(under) if under.index != over.index => Finding::fail(
                format!(
                    "{name} sends over {}, but {dst} is reached over {}: an address of another network",
                    under.name, over.name
                ),
                advice,
            ),
            _ => Finding::ok(format!("{name} sends to {dst} over {}", over.name)),
        }
    }

    fn reach(&self, dst: IpAddr, port: u16) -> Finding {
        let name = &self.link.name;
        let ping = |ping: Ping| ping.count(2).timeout(PATIENCE).run(&self.context.netns);
        let small = match ping(Ping::new(dst)) {
            Ok(echo) => echo,
            Err(error) => {
                return Finding::fail(
                    format!("{name}: {dst} does not answer a ping: {error}"),
                    "is the node up, and does a firewall let ICMP and the overlay's UDP port pass?",
                );
            }
        };
        if closed(&self.context.netns, dst, port) {
            return Finding::fail(
                format!("{name}: {dst} answers, but nothing listens on its UDP port {}", port),
                "is the overlay's agent running there, with the same port?",
            );
        }
        let packet = self.link.mtu.saturating_add(vxlan_overhead(dst.is_ipv6()));
        if let Err(error) = ping(Ping::new(dst).whole(packet)) {
            return Finding::fail(
                format!(
                    "{name}: {dst} answers, but not packets of {packet} bytes, which a full inner packet makes: {error}"
                ),
                "lower the overlay's MTU, or raise the LAN's on the whole path",
            );
        }
        Finding::ok(format!(
            "{name}: {dst} answers in {} µs, packets of {packet} bytes too; its UDP port {} is not refused",
            small.best.as_micros(),
            port
        ))
    }

    fn rp_filter(&self, destinations: impl Iterator<Item = IpAddr>) -> Finding {
        let name = &self.link.name;
        let Some(under) = self.under else {
            return Finding::skip(format!("{name} is bound to no link"));
        };
        let mode = effective(&under.name, "rp_filter").unwrap_or(0);
        let elsewhere: Vec<String> = destinations
            .filter(|dst| self.route(*dst).is_some_and(|over| over.index != under.index))
            .map(|dst| dst.to_string())
            .collect();
        if mode == 1 && !elsewhere.is_empty() {
            return Finding::fail(
                format!(
                    "{} has strict rp_filter, and the routes to {} lead elsewhere: what they send is dropped",
                    under.name,
                    elsewhere.join(", ")
                ),
                format!("sysctl net.ipv4.conf.{}.rp_filter=2, or correct the routes", under.name),
            );
        }
        Finding::ok(format!("{name}: rp_filter {mode} on {} drops nothing of it", under.name))
    }
}

fn state(link: &Link) -> &'static str {
    match (link.is_up(), link.carrier) {
        (false, _) => "down",
        (true, false) => "without carrier",
        (true, true) => "up",
    }
}

/// A value of flannel's file.
fn env(name: &str) -> Option<String> {
    let text = fs::read_to_string(SUBNET_ENV).ok()?;
    let mut values = text.lines().filter_map(|line| line.split_once('='));
    values.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

/// Whether the node refuses the port. Silence is what a VXLAN answers to a datagram that is none of it.
fn closed(netns: &kernel::NetNs, dst: IpAddr, port: u16) -> bool {
    let ask = || -> std::io::Result<()> {
        let any: IpAddr = if dst.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(SocketAddr::new(dst, port))?;
        socket.send(&[])?;
        socket.recv(&mut [0; 16]).map(drop)
    };
    matches!(netns.run(ask), Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// The ids that an overlay's report may have.
pub const OVERLAY_IDS: [&str; 5] =
    ["overlay-link", "overlay-mtu", "overlay-fdb", "overlay-reach", "overlay-rp-filter"];
