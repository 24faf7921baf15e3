//! `type: macvlan`: the recipe from configuration to an attached pod, and back.

mod conf;
mod refusal;

use std::net::IpAddr;

use cni::{CniResult, Plugin, Request};
use kernel::{Link, LinkKind, MacAddr, MacvlanMode, NetNs, Netlink, NewLink};

pub use self::conf::{Announce, Conf};
use crate::addresses::{self, Dad};
use crate::host_access::Target;
use crate::ipam::{self, Ipam};
use crate::link::{self, LinkPolicy, PodLink};
use crate::paths::Paths;
use crate::probe::{self, Probe};
use crate::warning::warn;
use crate::{Error, Result, host_access};

/// The plugin type `macvlan`.
#[derive(Debug, Default)]
pub struct MacvlanPlugin {
    /// Where state that can be rebuilt is kept.
    pub paths: Paths,
}

impl Plugin for MacvlanPlugin {
    fn about(&self) -> String {
        "CNI macvlan plugin of Llano".to_owned()
    }

    fn add(&self, request: &Request) -> cni::Result<CniResult> {
        let conf = Conf::parse(request)?;
        let ipam = Ipam::parse(request, &self.paths)?;
        Ok(add(&self.paths, request, &conf, ipam.as_ref())?)
    }

    fn del(&self, request: &Request) -> cni::Result<()> {
        Ok(del(&self.paths, request)?)
    }

    fn check(&self, request: &Request) -> cni::Result<()> {
        let conf = Conf::parse(request)?;
        let ipam = Ipam::parse(request, &self.paths)?;
        Ok(check(request, &conf, ipam.as_ref())?)
    }

    fn status(&self, request: &Request) -> cni::Result<()> {
        let conf = Conf::parse(request)?;
        Ok(status(request, &conf, &self.paths)?)
    }

    fn gc(&self, request: &Request) -> cni::Result<()> {
        let ipam = Ipam::parse_for_removal(request, &self.paths);
        let valid = ipam::valid_attachments(request)?;
        // Both are tried: GC must not stop at the first failure.
        let routes = Netlink::open()
            .map_err(Error::from)
            .and_then(|mut host| host_access::collect(&self.paths, &mut host, &request.name, &valid));
        if let Some(ipam) = ipam? {
            ipam.gc(request)?;
        }
        Ok(routes?)
    }
}

/// Makes the attachment. Whatever was done is undone, in reverse, when a step fails.
///
/// # Errors
/// The first step that failed.
pub fn add(paths: &Paths, request: &Request, conf: &Conf, ipam: Option<&Ipam>) -> Result<CniResult> {
    let env = &request.env;
    let netns = link::open_netns(env)?;
    let mut creator = creator(conf, &netns)?;
    let parent = link::find_parent(&mut creator, &conf.master)?;
    let mut new = NewLink::new("", LinkKind::Macvlan(conf.macvlan.clone()));
    new.parent = Some(parent.index);
    new.mtu = link::check_mtu(conf.mtu, &parent)?;
    new.mac = conf.mac;
    let policy = LinkPolicy { accept_ra: conf.accept_ra, notify: conf.announce != Announce::Off };
    if conf.macvlan.mode == MacvlanMode::Passthru {
        // The kernel gives the child the parent's address, whatever is asked.
        if let Some(mac) = conf.mac.filter(|mac| Some(*mac) != parent.mac) {
            let allowed = format!("{}'s own in mode passthru", parent.name);
            return Err(cni::Error::config("mac", mac, &allowed).into());
        }
        new.mac = parent.mac;
    }
    let own_mac = conf.mac.filter(|_| asks_from_another(conf, &parent, ipam));
    if own_mac.is_some() {
        // A random one takes its place.
        new.mac = None;
    }
    let mut pod = PodLink::create(&netns, &mut creator, new, "macvlan", env, policy).map_err(|error| {
        let home = if conf.link_in_container { Ok(netns.clone()) } else { NetNs::current() };
        match home {
            Ok(home) => refusal::explain(error, &home, &mut creator, &parent, conf.macvlan.mode, &env.ifname),
            Err(_) => error,
        }
    })?;
    if pod.mtu == 0 {
        pod.mtu = parent.mtu;
    }
    if !parent.is_up() {
        warn(
            "warning",
            format!("master {} is down: {} gets no frames until it is up", parent.name, env.ifname),
        );
    }
    let (creator, pod) = (&mut creator, &mut pod);
    Attachment { paths, request, conf, ipam, parent: &parent, creator, pod, own_mac }.finish()
}

/// Whether the LAN is asked.
fn probes(conf: &Conf, parent: &Link, ipam: Option<&Ipam>) -> Option<Probe> {
    // A DHCP client has asked the LAN itself.
    let asks = parent.is_up() && ipam.is_some_and(|ipam| !ipam.probes_itself());
    conf.probe.filter(|_| asks)
}

/// Whether the LAN is asked from another MAC than the interface is to have. Whoever leases over the link does so with its own.
fn asks_from_another(conf: &Conf, parent: &Link, ipam: Option<&Ipam>) -> bool {
    conf.macvlan.mode != MacvlanMode::Passthru
        && ipam.is_some_and(|ipam| !ipam.needs_link_up())
        && probes(conf, parent, ipam).is_some_and(|how| how.temporary_mac)
}

/// Why the kernel refused a macvlan, found by a look at the children of `parent`, which is in `home`, to which `creator`
/// speaks. An error that needs no explanation comes back as it is.
pub fn explain_refusal(
    error: kernel::Error,
    home: &NetNs,
    creator: &mut Netlink,
    parent: &Link,
    mode: MacvlanMode,
    ifname: &str,
) -> Error {
    refusal::explain(error.into(), home, creator, parent, mode, ifname)
}

/// Where the parent is: on the host, or in the pod with `linkInContainer`.
fn creator(conf: &Conf, netns: &NetNs) -> Result<Netlink> {
    Ok(if conf.link_in_container { Netlink::open_in(netns)? } else { Netlink::open()? })
}

/// An ADD whose link is made.
struct Attachment<'a> {
    paths: &'a Paths,
    request: &'a Request,
    conf: &'a Conf,
    ipam: Option<&'a Ipam>,
    parent: &'a Link,
    creator: &'a mut Netlink,
    pod: &'a mut PodLink,
    /// The MAC that the interface is to have, while it asks the LAN from another one.
    own_mac: Option<MacAddr>,
}

impl Attachment<'_> {
    /// Addresses, routes, host access. On failure the address and the link are given back.
    fn finish(&mut self) -> Result<CniResult> {
        let claimed = match self.ipam {
            Some(ipam) => self.claim(ipam),
            None => self.pod.up().map(|()| CniResult::default()),
        };
        let done = claimed.and_then(|result| {
            let done = self.configure(result);
            if done.is_err() {
                self.give_back_addresses();
            }
            done
        });
        if done.is_err() {
            // The first error is the one to report; what stays is found by DEL.
            let _ = self.pod.delete();
        }
        done
    }

    fn claim(&mut self, ipam: &Ipam) -> Result<CniResult> {
        if ipam.needs_link_up() {
            self.pod.up()?;
        }
        let mut result = ipam.claim(self.request)?;
        if result.ips.is_empty() {
            ipam.release(self.request)?;
            return Err(cni::Error::internal("IPAM plugin returned missing IP config").into());
        }
        result.interfaces = vec![self.pod.interface(&self.request.env)];
        for ip in &mut result.ips {
            ip.interface = Some(0);
        }
        Ok(result)
    }

    fn configure(&mut self, mut result: CniResult) -> Result<CniResult> {
        if result.interfaces.is_empty() {
            result.interfaces = vec![self.pod.interface(&self.request.env)];
        }
        if !result.ips.is_empty() {
            let probed = match (probes(self.conf, self.parent, self.ipam), self.ipam) {
                (Some(how), Some(ipam)) => {
                    self.probe(how, ipam, &mut result)?;
                    true
                }
                _ => false,
            };
            if let Some(mac) = self.own_mac {
                self.pod.change_mac(mac)?;
                result.interfaces = vec![self.pod.interface(&self.request.env)];
            }
            addresses::configure(self.pod, &result, if probed { Dad::Done } else { Dad::Optimistic })?;
            self.announce(&result, probed || self.ipam.is_some_and(Ipam::needs_link_up))?;
            if let Some(access) = &self.conf.host_access {
                let (network, env) = (&self.request.name, &self.request.env);
                let target = Target { network, parent: self.parent, env, access };
                host_access::add(self.paths, self.creator, target, self.pod, &result)?;
            }
        }
        if !self.conf.dns.is_empty() {
            result.dns = self.conf.dns.clone();
        }
        Ok(result)
    }

    fn probe(&mut self, how: Probe, ipam: &Ipam, result: &mut CniResult) -> Result<()> {
        self.pod.up()?;
        // No probe reaches the parent's own addresses: the kernel lets nothing pass between it and a macvlan.
        let parents = self.creator.addresses(Some(self.parent.index))?;
        let is_parents = |address: IpAddr| parents.iter().any(|own| own.net.addr() == address);
        let parent_mac = self.parent.mac.unwrap_or(self.pod.mac);
        let asked: Vec<IpAddr> = result.ips.iter().map(|ip| ip.address.addr()).collect();
        let mut replace = |mut conflict: IpAddr, mut holder: MacAddr| loop {
            if self.own_mac == Some(holder) {
                // Another address would not make the MAC ours alone.
                return Err(Error::MacInUse { address: conflict, mac: holder });
            }
            let instead = ipam.replace(self.request, conflict, holder, how.quarantine)?;
            let address = instead.address.addr();
            warn(
                "warning",
                format!("address {conflict} is in use on the LAN by {holder}: {address} instead"),
            );
            if let Some(ip) = result.ips.iter_mut().find(|ip| ip.address.addr() == conflict) {
                ip.address = instead.address;
                ip.gateway = instead.gateway;
            }
            if !is_parents(address) {
                return Ok(address);
            }
            (conflict, holder) = (address, parent_mac);
        };
        let free = asked
            .into_iter()
            .map(|address| if is_parents(address) { replace(address, parent_mac) } else { Ok(address) });
        let free: Vec<IpAddr> = free.collect::<Result<_>>()?;
        probe::probe(self.pod, how, &free, replace)
    }

    /// The kernel announces when a link with addresses comes up; `was_up` before it had any, we do.
    fn announce(&mut self, result: &CniResult, was_up: bool) -> Result<()> {
        let (count, interval) = match self.conf.announce {
            Announce::Repeat { count, interval } => (count, interval),
            Announce::Kernel if was_up => (1, std::time::Duration::ZERO),
            Announce::Kernel | Announce::Off => return Ok(()),
        };
        if !self.parent.is_up() {
            return Ok(());
        }
        let all: Vec<IpAddr> = result.ips.iter().map(|ip| ip.address.addr()).collect();
        probe::announce(self.pod, &all, count, interval)
    }

    /// Undo of everything after the link, best effort.
    fn give_back_addresses(&mut self) {
        if self.conf.host_access.is_some() {
            let (name, env) = (&self.request.name, &self.request.env);
            let _ = host_access::remove(self.paths, self.creator, name, Some(&self.parent.name), env);
        }
        if let Some(ipam) = self.ipam {
            let _ = ipam.release(self.request);
        }
    }
}

fn is_macvlan(link: &Link) -> bool {
    matches!(link.kind, LinkKind::Macvlan(_) | LinkKind::Macvtap(_))
}

/// Takes the attachment away: as much as can be, whatever is missing, as often as asked.
///
/// # Errors
/// The first step that failed; the others were tried.
pub fn del(paths: &Paths, request: &Request) -> Result<()> {
    let env = &request.env;
    let ipam = Ipam::parse_for_removal(request, paths)?;
    let netns = link::open_netns_if_present(env);
    let routes = remove_host_access(paths, request);
    // Who leases over the wire needs the link to say goodbye; other addresses are given back when nothing uses them.
    let first = ipam.as_ref().filter(|ipam| ipam.needs_link_up());
    let mut released = first.map_or(Ok(()), |ipam| ipam.release(request));
    // A path that leads elsewhere is an error, but no reason to keep the address.
    let deleted = match netns {
        Ok(Some(netns)) => link::delete_in(&netns, env, is_macvlan),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    if let Some(ipam) = ipam.as_ref().filter(|ipam| !ipam.needs_link_up()) {
        released = ipam.release(request);
    }
    routes.and(deleted).and(released)
}

fn remove_host_access(paths: &Paths, request: &Request) -> Result<()> {
    // Whatever the configuration says now: it may have said otherwise at ADD. Without a name, all shims are looked at.
    let root = request.root();
    let master = root.string("master").ok().flatten();
    host_access::remove(paths, &mut Netlink::open()?, &request.name, master, &request.env)
}

/// Compares the attachment with what ADD promised.
///
/// # Errors
/// [`Error::Mismatch`] with the first difference.
pub fn check(request: &Request, conf: &Conf, ipam: Option<&Ipam>) -> Result<()> {
    let env = &request.env;
    let netns = link::open_netns(env)?;
    let mut creator = creator(conf, &netns)?;
    let parent = link::find_parent(&mut creator, &conf.master)?;
    if let Some(ipam) = ipam {
        ipam.check(request)?;
    }
    let (result, promised) = link::promised(request)?;
    let mut socket = Netlink::open_in(&netns)?;
    let link = link::check_present(&mut socket, env, &promised)?;
    let LinkKind::Macvlan(found) = &link.kind else {
        let kind = link.kind.name().unwrap_or("physical");
        return Err(Error::Mismatch(format!("interface {} is not a macvlan but of kind {kind}", env.ifname)));
    };
    if found.mode != conf.macvlan.mode {
        return Err(Error::Mismatch(format!(
            "container macvlan mode {} does not match expected value: {}",
            found.mode, conf.macvlan.mode
        )));
    }
    if link.parent != link::lower_index(&parent) {
        return Err(Error::Mismatch(format!(
            "interface {} does not sit on master {}",
            env.ifname, parent.name
        )));
    }
    link::check_promised_mtu(conf.mtu, &parent, &promised, &link)?;
    addresses::check(&mut socket, &result, link.index, &env.ifname)?;
    match &conf.host_access {
        Some(access) if !result.ips.is_empty() => {
            let pod = (&mut socket, link.index);
            let target = Target { network: &request.name, parent: &parent, env, access };
            host_access::check(&mut creator, target, pod, &result)
        }
        _ => Ok(()),
    }
}

/// Whether an ADD could succeed now.
///
/// # Errors
/// [`Error::ParentDown`] (code 50), no such parent, or what the IPAM says.
pub fn status(request: &Request, conf: &Conf, paths: &Paths) -> Result<()> {
    // With linkInContainer there is no namespace to look into yet.
    if !conf.link_in_container {
        let parent = link::find_parent(&mut Netlink::open()?, &conf.master)
            .map_err(|error| cni::Error::unavailable(error.to_string()))?;
        if !parent.is_up() || !parent.is_lower_up() {
            return Err(Error::ParentDown { parent: parent.name });
        }
    }
    match Ipam::parse(request, paths)? {
        Some(ipam) => ipam.status(request),
        None => Ok(()),
    }
}
