//! `/proc/sys/net`. Of rp_filter, arp_ignore and arp_announce the kernel takes the larger of `all` and the interface's.

use kernel::{Link, LinkKind, sysctl};

use crate::context::Context;
use crate::error::Result;
use crate::finding::Finding;
use crate::fix::{Action, Fix};

fn value(key: &str) -> Option<i64> {
    sysctl::read(key).ok()?.trim().parse().ok()
}

fn key(interface: &str, name: &str) -> String {
    format!("net/ipv4/conf/{interface}/{name}")
}

/// What counts for an interface.
pub(crate) fn effective(interface: &str, name: &str) -> Option<i64> {
    Some(value(&key("all", name))?.max(value(&key(interface, name))?))
}

/// Raises the interface's own value: the larger one counts.
fn raise(interface: &str, name: &str, to: i64) -> Option<Action> {
    let key = key(interface, name);
    let before = value(&key)?;
    Some(Action::Sysctl { key, before: before.to_string(), value: to.to_string() })
}

/// Interfaces that are up with a subnet, and the other interfaces with an address in the same one.
fn shared<'a>(context: &'a Context, link: &Link) -> Vec<&'a Link> {
    let mut others: Vec<&Link> = Vec::new();
    for mine in context.addresses_of(link.index).filter(|address| address.net.addr().is_ipv4()) {
        for theirs in context.addresses.iter().filter(|address| address.index != link.index) {
            let overlap = mine.net.prefix_len() < 32
                && theirs.net.prefix_len() < 32
                && (mine.net.contains(&theirs.net.addr()) || theirs.net.contains(&mine.net.addr()));
            if let Some(other) = context.link_at(theirs.index).filter(|other| overlap && other.is_up())
                && !others.iter().any(|known| known.index == other.index)
            {
                others.push(other);
            }
        }
    }
    others
}

fn addressed(context: &Context) -> impl Iterator<Item = &Link> {
    context.links.iter().filter(|link| {
        link.is_up()
            && !link.is_loopback()
            && context.addresses_of(link.index).any(|address| address.net.addr().is_ipv4())
    })
}

fn names(links: &[&Link]) -> String {
    links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ")
}

pub(crate) fn rp_filter(context: &Context) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for link in addressed(context) {
        let name = &link.name;
        let Some(mode) = effective(name, "rp_filter") else { continue };
        let others = shared(context, link);
        findings.push(
            if mode == 1 && !others.is_empty() {
                let actions = raise(name, "rp_filter", 2).into_iter().collect();
                Finding::fail(
                    format!("{name} has strict rp_filter and shares its subnet with {}: what comes in by the interface that the route does not name is dropped", names(&others)),
                    format!("sysctl net.ipv4.conf.{name}.rp_filter=2 (loose), or keep the subnet on one interface only"),
                )
                .fix(Fix { actions })
            } else {
                let word = ["off", "strict", "loose"].get(usize::try_from(mode).unwrap_or(9)).unwrap_or(&"?");
                Finding::ok(format!("{name}: rp_filter {mode} ({word})"))
            }
            .of(name),
        );
    }
    Ok(or_skip(findings))
}

fn or_skip(findings: Vec<Finding>) -> Vec<Finding> {
    if findings.is_empty() { vec![Finding::skip("no interface has an IPv4 address")] } else { findings }
}

pub(crate) fn arp(context: &Context) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for link in addressed(context) {
        let name = &link.name;
        let (Some(ignore), Some(announce)) = (effective(name, "arp_ignore"), effective(name, "arp_announce"))
        else {
            continue;
        };
        let others = shared(context, link);
        findings.push(
            if link.no_arp() {
                Finding::ok(format!("{name} does no ARP"))
            } else if ignore >= 8 {
                Finding::fail(
                    format!("{name} answers no ARP at all (arp_ignore {ignore}): nobody finds its addresses"),
                    format!("sysctl net.ipv4.conf.{name}.arp_ignore=0, and of all likewise"),
                )
            } else if !others.is_empty() && (ignore == 0 || announce < 2) {
                let actions = [("arp_ignore", 1), ("arp_announce", 2)];
                let lower = |(setting, to): &(&str, i64)| {
                    effective(name, setting).is_some_and(|value| value < *to)
                };
                let actions = actions.iter().filter(|pair| lower(pair)).filter_map(|(s, to)| raise(name, s, *to));
                Finding::warn(
                    format!("{name} shares its subnet with {} and answers for its addresses (arp_ignore {ignore}, arp_announce {announce}): peers learn now one MAC, now the other", names(&others)),
                    format!("sysctl net.ipv4.conf.{name}.arp_ignore=1 and net.ipv4.conf.{name}.arp_announce=2, on each of them"),
                )
                .fix(Fix { actions: actions.collect() })
            } else {
                Finding::ok(format!("{name}: arp_ignore {ignore}, arp_announce {announce}"))
            }
            .of(name),
        );
    }
    Ok(or_skip(findings))
}

/// Plugins whose pods reach others only when the host forwards.
const ROUTED: [&str; 6] = ["bridge", "ptp", "flannel", "calico", "cilium-cni", "portmap"];

fn needs_forwarding(context: &Context) -> Option<String> {
    let plugin = context.networks().find_map(|(_, network)| {
        let routed = network.plugins.iter().find(|plugin| ROUTED.contains(&plugin.kind.as_str()))?;
        Some(format!("network {} ({}) routes through the host", network.name, routed.kind))
    });
    let vxlan = || {
        // One without an address, or a bridge's port, carries frames and routes nothing.
        let routes = |link: &&Link| {
            let mut addresses = context.addresses_of(link.index);
            matches!(link.kind, LinkKind::Vxlan(_))
                && link.master.is_none()
                && addresses.any(|address| address.scope == kernel::uapi::RT_SCOPE_UNIVERSE)
        };
        let link = context.links.iter().find(routes)?;
        Some(format!("the overlay {} routes through the host", link.name))
    };
    let node = || context.kubernetes.as_ref().map(|_| "this is a node of Kubernetes".to_owned());
    plugin.or_else(vxlan).or_else(node)
}

pub(crate) fn forwarding(context: &Context) -> Result<Vec<Finding>> {
    const V4: &str = "net/ipv4/ip_forward";
    const V6: &str = "net/ipv6/conf/all/forwarding";
    let mut findings = Vec::new();
    let on = value(V4).unwrap_or(0);
    findings.push(
        match needs_forwarding(context) {
            Some(why) if on == 0 => {
                Finding::fail(format!("IPv4 forwarding is off, and {why}"), "sysctl net.ipv4.ip_forward=1")
                    .fix(Fix::sysctl(V4, "0", "1"))
            }
            Some(why) => Finding::ok(format!("IPv4 forwarding is on; {why}")),
            None => Finding::ok(format!(
                "IPv4 forwarding is {}; containers on a macvlan do not need it",
                if on == 0 { "off" } else { "on" }
            )),
        }
        .of("IPv4"),
    );
    if value(V6) == Some(1) {
        for link in context.links.iter().filter(|link| link.is_up() && !link.is_loopback()) {
            let name = &link.name;
            let learned = context.routes.iter().any(|route| {
                route.oif == Some(link.index)
                    && route.protocol == kernel::uapi::RTPROT_RA
                    && route.dst.is_none()
            });
            let accept = format!("net/ipv6/conf/{name}/accept_ra");
            if learned && value(&accept) == Some(1) {
                findings.push(
                    Finding::warn(
                        format!("IPv6 forwarding is on and {name} has its default route from a router advertisement: with accept_ra 1 no other is taken, the route runs out"),
                        format!("sysctl net.ipv6.conf.{name}.accept_ra=2"),
                    )
                    .fix(Fix::sysctl(accept, "1", "2"))
                    .of(name),
                );
            }
        }
    }
    Ok(findings)
}

pub(crate) fn bridge_nf(context: &Context) -> Result<Vec<Finding>> {
    const KEY: &str = "net/bridge/bridge-nf-call-iptables";
    let bridged = context.networks().find_map(|(_, network)| {
        let plugin =
            network.plugins.iter().find(|plugin| matches!(plugin.kind.as_str(), "bridge" | "flannel"))?;
        Some(format!("network {} ({})", network.name, plugin.kind))
    });
    let bridged = bridged.filter(|_| context.kubernetes.is_some());
    let parent =
        context.parents().into_iter().find(|parent| !parent.guessed && parent.link.kind == LinkKind::Bridge);
    Ok(vec![match (value(KEY), bridged, parent) {
        (None, Some(who), _) => Finding::warn(
            format!("br_netfilter is not loaded, and {who} bridges pods of Kubernetes: a Service's answer within one node is not translated back"),
            "modprobe br_netfilter, kept by a file in /etc/modules-load.d",
        ),
        (Some(0), Some(who), _) => Finding::fail(
            format!("bridge-nf-call-iptables is 0, and {who} bridges pods of Kubernetes: a Service's answer within one node is not translated back"),
            "sysctl net.bridge.bridge-nf-call-iptables=1",
        )
        .fix(Fix::sysctl(KEY, "0", "1")),
        (Some(1), _, Some(parent)) => Finding::warn(
            format!("containers stand on the bridge {}, and bridged frames pass iptables (bridge-nf-call-iptables 1): a FORWARD policy of DROP cuts them off", parent.link.name),
            "sysctl net.bridge.bridge-nf-call-iptables=0 where nothing else needs it, or let the frames pass in FORWARD",
        ),
        (None, ..) => Finding::ok("br_netfilter is not loaded: bridged frames do not pass iptables"),
        (Some(value), ..) => Finding::ok(format!("bridge-nf-call-iptables {value}, no container stands on a bridge")),
    }])
}
