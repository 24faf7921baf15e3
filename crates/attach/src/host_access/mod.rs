//! Host access without a daemon: traffic between a host and its own pods, which the kernel blocks between a macvlan
//! and its parent.
//!
//! Each network gets a shim on its parent: a macvlan in bridge mode on the host's side, which neither asks nor answers
//! ARP and has no address, so that no frame of it ever tells the LAN about a second MAC for the host's addresses.
//! What the LAN would tell is written down instead:
//!
//! - host: neighbour `POD → pod's MAC`, then route `POD/32 dev shim src HOST`;
//! - pod: neighbour `HOST → shim's MAC` for each address of the host, and `HOST dev IFNAME` where the pod's subnet does not hold it.
//!
//! **The routes on the shim are the truth.** Each carries our protocol number and, as its metric, a mark of the
//! attachment, so that DEL finds them without the namespace, without a prevResult and whatever IPAM was used. The shim
//! goes with its last route. One lock per shim orders ADDs and DELs.

mod hosts;
mod lock;
mod shim;

use std::net::IpAddr;

use cni::{CniResult, Env, ValidAttachment};
use ipnet::IpNet;
use kernel::uapi::NUD_PERMANENT;
use kernel::{Change, Link, Neighbour, Netlink, Route, RouteFilter};

use self::lock::Lock;
use crate::link::{PodLink, fnv1a};
use crate::paths::Paths;
use crate::{Error, Result};

/// The routing protocol number of our routes (`/etc/iproute2/rt_protos` leaves it free).
pub const PROTOCOL: u8 = 76;

/// What the configuration says about host access.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostAccess {
    /// Addresses of the host that pods must not reach this way.
    pub exclude: Vec<IpNet>,
}

/// The mark of an attachment on its routes: their metric. Never 0, which the kernel reads as "none".
fn mark(container_id: &str, ifname: &str) -> u32 {
    let hash = fnv1a(&[container_id.as_bytes(), ifname.as_bytes()]);
    let folded = (hash ^ (hash >> 32)) & 0xffff_ffff;
    u32::try_from(folded).unwrap_or(u32::MAX).max(1)
}

fn full(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// Whose host access, and on what.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The network's name.
    pub network: &'a str,
    /// The parent, on the host.
    pub parent: &'a Link,
    /// The attachment.
    pub env: &'a Env,
    /// What is configured.
    pub access: &'a HostAccess,
}

/// Lets the host and the pod of `link` talk. Safe to repeat; on failure the caller's undo is [`remove`].
///
/// # Errors
/// What the kernel said, or [`Error::State`] for the lock.
pub fn add(
    paths: &Paths,
    host: &mut Netlink,
    target: Target<'_>,
    link: &mut PodLink,
    result: &CniResult,
) -> Result<()> {
    let Target { network, parent, env, access } = target;
    let _lock = Lock::acquire(paths, &shim::name(network, &parent.name))?;
    let shim = shim::ensure(host, parent, network)?;
    let hosts = hosts::addresses(host, access)?;
    let pods: Vec<IpAddr> = result.ips.iter().map(|ip| ip.address.addr()).collect();

    // The pod's side first: it dies with the link.
    let mut changes = Vec::new();
    let elsewhere = hosts::subnets_of_other_links(&mut link.socket, link.index)?;
    for address in hosts.iter().map(|host| host.net.addr()) {
        let family = |pod: &IpAddr| pod.is_ipv4() == address.is_ipv4();
        if !pods.iter().any(family) || elsewhere.iter().any(|net| net.contains(&address)) {
            continue;
        }
        changes.push(Change::SetNeighbour(Neighbour::permanent(link.index, address, shim.mac)));
        if !result.ips.iter().any(|ip| ip.address.contains(&address)) {
            let mut route = Route::to(full(address));
            route.oif = Some(link.index);
            route.protocol = PROTOCOL;
            changes.push(Change::ReplaceRoute(route));
        }
    }
    link.socket.apply_all(&changes).map_err(|(_, error)| error)?;

    let stale = routes(host, shim.index)?;
    let own = mark(&env.container_id, &env.ifname);
    let mut changes = Vec::new();
    // A route to one of our addresses with another's mark belonged to a pod that is gone: the address is ours now.
    for route in stale.into_iter().filter(|route| pods.iter().any(|pod| route.dst == Some(full(*pod)))) {
        if route.priority != Some(own) {
            changes.push(Change::DeleteRoute(route));
        }
    }
    for pod in &pods {
        let Some(source) = hosts::source_for(&hosts, parent.index, result, *pod) else { continue };
        // Neighbour before route: never a moment in which the shim would have to ask.
        changes.push(Change::SetNeighbour(Neighbour::permanent(shim.index, *pod, link.mac)));
        let mut route = Route::to(full(*pod));
        route.oif = Some(shim.index);
        route.src = Some(source);
        route.protocol = PROTOCOL;
        route.priority = Some(own);
        changes.push(Change::ReplaceRoute(route));
    }
    host.apply_all(&changes).map_err(|(_, error)| error)?;
    Ok(())
}

/// Takes back what [`add`] did for this attachment, and the shim with the last one. Nothing there is success.
/// `parent` is the configured name; without one every shim of the network is looked at.
///
/// # Errors
/// What the kernel said, or [`Error::State`] for the lock.
pub fn remove(
    paths: &Paths,
    host: &mut Netlink,
    network: &str,
    parent: Option<&str>,
    env: &Env,
) -> Result<()> {
    let own = mark(&env.container_id, &env.ifname);
    each_shim(paths, host, network, parent, |route| route.priority != Some(own))
}

/// GC: takes back what belongs to no attachment in `valid`.
///
/// # Errors
/// What the kernel said, or [`Error::State`] for the lock.
pub fn collect(paths: &Paths, host: &mut Netlink, network: &str, valid: &[ValidAttachment]) -> Result<()> {
    let marks: Vec<u32> =
        valid.iter().map(|attachment| mark(&attachment.container_id, &attachment.ifname)).collect();
    each_shim(paths, host, network, None, |route| route.priority.is_some_and(|mark| marks.contains(&mark)))
}

/// Whether the shim still has what [`add`] promised.
///
/// # Errors
/// [`Error::Mismatch`] naming the first thing that is missing, or what the kernel said.
pub fn check(
    host: &mut Netlink,
    target: Target<'_>,
    link: (&mut Netlink, u32),
    result: &CniResult,
) -> Result<()> {
    let Target { network, parent, env, access } = target;
    let name = shim::name(network, &parent.name);
    let missing = |what: String| Error::Mismatch(format!("host access: {what}"));
    let shim = host.link_by_name(&name)?.filter(|link| link.is_up() && link.no_arp()).ok_or_else(|| {
        missing(format!("the shim {name} on {} is gone or not as it was made", parent.name))
    })?;
    let own = mark(&env.container_id, &env.ifname);
    let routes = routes(host, shim.index)?;
    let known = host.neighbours(Some(shim.index))?;
    let hosts = hosts::addresses(host, access)?;
    let (pod, index) = link;
    let neighbours = pod.neighbours(Some(index))?;
    let permanent =
        neighbours.iter().filter(|neighbour| is_permanent(neighbour) && neighbour.mac == shim.mac);
    let permanent: Vec<IpAddr> = permanent.map(|neighbour| neighbour.address).collect();
    let elsewhere = hosts::subnets_of_other_links(pod, index)?;
    for ip in &result.ips {
        let address = ip.address.addr();
        if hosts::source_for(&hosts, parent.index, result, address).is_none() {
            continue;
        }
        if !routes.iter().any(|route| route.dst == Some(full(address)) && route.priority == Some(own)) {
            return Err(missing(format!("the route to {address} on {name} is gone")));
        }
        if !known.iter().any(|neighbour| neighbour.address == address && is_permanent(neighbour)) {
            return Err(missing(format!("the neighbour entry for {address} on {name} is gone")));
        }
        let reachable =
            hosts.iter().map(|host| host.net.addr()).filter(|host| host.is_ipv4() == address.is_ipv4());
        for host in reachable.filter(|host| !elsewhere.iter().any(|net| net.contains(host))) {
            if !permanent.contains(&host) {
                return Err(missing(format!("the pod's neighbour entry for the host's {host} is gone")));
            }
        }
    }
    Ok(())
}

fn is_permanent(neighbour: &Neighbour) -> bool {
    neighbour.state & NUD_PERMANENT != 0
}

/// Our routes on a shim.
fn routes(host: &mut Netlink, shim: u32) -> Result<Vec<Route>> {
    Ok(host.routes(&RouteFilter { oif: Some(shim), protocol: Some(PROTOCOL), ..RouteFilter::default() })?)
}

/// On each shim of the network: keeps the routes that `keep` says, removes the others and every neighbour without a
/// route, and the shim itself when no route is left.
fn each_shim(
    paths: &Paths,
    host: &mut Netlink,
    network: &str,
    parent: Option<&str>,
    keep: impl Fn(&Route) -> bool,
) -> Result<()> {
    for name in shim::names(host, network, parent, &lock::dir(paths))? {
        let _lock = Lock::acquire(paths, &name)?;
        // Under the lock the shim may be another one than before it, or gone.
        let Some(shim) = host.link_by_name(&name)? else { continue };
        let (kept, gone): (Vec<Route>, Vec<Route>) = routes(host, shim.index)?.into_iter().partition(&keep);
        if kept.is_empty() {
            shim::delete(host, shim.index)?;
            continue;
        }
        let mut changes = Vec::new();
        for neighbour in host.neighbours(Some(shim.index))? {
            let wanted = kept.iter().any(|route| route.dst == Some(full(neighbour.address)));
            if is_permanent(&neighbour) && !wanted {
                changes.push(Change::DeleteNeighbour(neighbour));
            }
        }
        // Routes last: as long as one is there, a killed DEL is finished by the next.
        changes.extend(gone.into_iter().map(Change::DeleteRoute));
        host.apply_all(&changes).map_err(|(_, error)| error)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_tell_attachments_apart_and_are_never_zero() {
        let mut seen = std::collections::BTreeSet::new();
        for container in 0..2000 {
            for ifname in ["eth0", "net1"] {
                let mark = mark(&format!("{container:064x}"), ifname);
                assert_ne!(mark, 0);
                assert!(seen.insert(mark), "two attachments with mark {mark}");
            }
        }
        // The parts do not run into each other.
        assert_ne!(mark("ab", "c"), mark("a", "bc"));
    }
}
