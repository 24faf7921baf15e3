//! `type: vlan`: a pod gets a VLAN of the parent as its interface.
//!
//! The kernel has one link per parent and VLAN number, so one pod per node can have it; many pods in one VLAN are
//! macvlans on a VLAN interface of the host.

use cni::{CniResult, Dns, Plugin, Request};
use kernel::{Errno, Link, LinkKind, Netlink, NewLink, Vlan};

use crate::addresses::{self, Dad};
use crate::ipam::{self, Ipam};
use crate::link::{self, LinkPolicy, PodLink};
use crate::paths::Paths;
use crate::{Error, Result};

/// The plugin type `vlan`.
#[derive(Debug, Default)]
pub struct VlanPlugin {
    /// Where state that can be rebuilt is kept.
    pub paths: Paths,
}

impl Plugin for VlanPlugin {
    fn about(&self) -> String {
        concat!("CNI vlan plugin llano-cni ", env!("CARGO_PKG_VERSION")).to_owned()
    }

    fn add(&self, request: &Request) -> cni::Result<CniResult> {
        let conf = Conf::parse(request)?;
        let ipam = self.ipam(request)?;
        Ok(add(request, &conf, &ipam)?)
    }

    fn del(&self, request: &Request) -> cni::Result<()> {
        Ok(del(&self.paths, request)?)
    }

    fn check(&self, request: &Request) -> cni::Result<()> {
        let conf = Conf::parse(request)?;
        let ipam = self.ipam(request)?;
        Ok(check(request, &conf, &ipam)?)
    }

    fn status(&self, request: &Request) -> cni::Result<()> {
        let conf = Conf::parse(request)?;
        let ipam = self.ipam(request)?;
        Ok(status(request, &conf, &ipam)?)
    }

    fn gc(&self, request: &Request) -> cni::Result<()> {
        ipam::valid_attachments(request)?;
        match Ipam::parse_for_removal(request, &self.paths)? {
            Some(ipam) => Ok(ipam.gc(request)?),
            None => Ok(()),
        }
    }
}

impl VlanPlugin {
    /// Unlike a macvlan, a VLAN of this type is never without addresses: so the reference has it.
    fn ipam(&self, request: &Request) -> cni::Result<Ipam> {
        Ipam::parse(request, &self.paths)?.ok_or_else(|| {
            cni::Error::config("ipam.type", "nothing", "the name of an IPAM plugin, such as host-local")
        })
    }
}

/// A VLAN network as configured.
#[derive(Debug, Clone, PartialEq)]
struct Conf {
    master: String,
    /// 0, when absent, is a priority tag without a VLAN.
    id: u16,
    /// As written, in bytes; checked against the parent later.
    mtu: Option<i64>,
    link_in_container: bool,
    /// The key `ipv6.acceptRA`, as for macvlan.
    accept_ra: bool,
    dns: Dns,
}

impl Conf {
    fn parse(request: &Request) -> cni::Result<Self> {
        let root = request.root();
        let master = root.text("master")?.ok_or_else(|| {
            root.missing("master", "\"master\" field is required: the interface to create the VLAN for")
        })?;
        let accept_ra = match root.object("ipv6")? {
            Some(ipv6) => ipv6.bool("acceptRA")?.unwrap_or(false),
            None => false,
        };
        let id = root.integer("vlanId", 0..=4094)?.unwrap_or(0);
        Ok(Self {
            master: master.to_owned(),
            id: u16::try_from(id).unwrap_or_default(),
            mtu: root.i64("mtu")?,
            link_in_container: root.bool("linkInContainer")?.unwrap_or(false),
            accept_ra,
            dns: request.dns()?,
        })
    }

    /// The link to make on `parent`; [`PodLink::create`] names it.
    fn plan(&self, parent: &Link) -> Result<NewLink> {
        let vlan = Vlan::new(self.id);
        Ok(NewLink {
            parent: Some(parent.index),
            mtu: link::check_mtu(self.mtu, parent)?,
            // What the kernel gives it as well: another MAC would make the parent promiscuous on simple hardware.
            mac: parent.mac,
            ..NewLink::new("", LinkKind::Vlan(vlan))
        })
    }

    /// Whether `link` is this VLAN, on this parent.
    fn is_of(&self, link: &Link, parent: &Link) -> bool {
        link.kind.as_vlan().is_some_and(|vlan| vlan.id == self.id) && link.parent == Some(parent.index)
    }
}

fn is_vlan(link: &Link) -> bool {
    link.kind.as_vlan().is_some()
}

fn add(request: &Request, conf: &Conf, ipam: &Ipam) -> Result<CniResult> {
    let env = &request.env;
    let netns = link::open_netns(env)?;
    let mut creator = if conf.link_in_container { Netlink::open_in(&netns)? } else { Netlink::open()? };
    let parent = link::find_parent(&mut creator, &conf.master)?;
    let refused = |reason: String| Error::Refused {
        kind: "vlan",
        ifname: env.ifname.clone(),
        parent: parent.name.clone(),
        reason,
    };
    let new = conf.plan(&parent)?;
    if !parent.is_up() {
        // The kernel would refuse to set the VLAN up, when an address is already claimed.
        return Err(refused(format!(
            "{} is down, and a VLAN cannot be up before its master is",
            parent.name
        )));
    }
    let policy = LinkPolicy { accept_ra: conf.accept_ra, notify: true };
    let mut pod = PodLink::create(&netns, &mut creator, new, "vlan", env, policy).map_err(|error| {
        match explain(&error, conf, &parent, &mut creator) {
            Some(reason) => refused(reason),
            None => error,
        }
    })?;
    if pod.mtu == 0 {
        pod.mtu = parent.mtu;
    }
    let done = configure(request, conf, ipam, &mut pod);
    if done.is_err() {
        // The first error is the one to report; what stays is found by DEL.
        let _ = pod.delete();
    }
    done
}

/// Why the kernel refused the link, when we know better than its error number.
fn explain(error: &Error, conf: &Conf, parent: &Link, creator: &mut Netlink) -> Option<String> {
    let Error::Kernel(kernel @ kernel::Error::Refused { errno, .. }) = error else { return None };
    match *errno {
        Errno::EXIST => {
            let links = creator.links().unwrap_or_default();
            let holder = links.iter().find(|link| conf.is_of(link, parent) && link.parent_nsid.is_none());
            let place = match holder {
                Some(link) => format!("it is {}", link.name),
                None => "it is in another network namespace".to_owned(),
            };
            Some(format!(
                "VLAN {id} of {master} exists already ({place}): the kernel allows only one link per (master, id). \
                 For many pods in VLAN {id}, use macvlan with a VLAN interface of the host as master",
                id = conf.id,
                master = parent.name,
            ))
        }
        Errno::OPNOTSUPP => Some(format!(
            "this kernel has no VLANs (module 8021q), or {} cannot carry one: {kernel}",
            parent.name
        )),
        _ => None,
    }
}

/// Addresses and routes. On failure the addresses are given back.
fn configure(request: &Request, conf: &Conf, ipam: &Ipam, pod: &mut PodLink) -> Result<CniResult> {
    if ipam.needs_link_up() {
        pod.up()?;
    }
    let mut result = ipam.claim(request)?;
    let interface = pod.interface(&request.env);
    let done = if result.ips.is_empty() {
        Err(cni::Error::internal("IPAM plugin returned missing IP config").into())
    } else {
        result.ips.iter_mut().for_each(|ip| ip.interface = Some(0));
        result.interfaces = vec![interface];
        if !conf.dns.is_empty() {
            result.dns = conf.dns.clone();
        }
        addresses::configure(pod, &result, Dad::Optimistic)
    };
    if let Err(error) = done {
        let _ = ipam.release(request);
        return Err(error);
    }
    Ok(result)
}

/// Needs neither the master nor a right configuration: what is there is taken away.
fn del(paths: &Paths, request: &Request) -> Result<()> {
    let ipam = Ipam::parse_for_removal(request, paths)?;
    let netns = link::open_netns_if_present(&request.env);
    let release = || ipam.as_ref().map_or(Ok(()), |ipam| ipam.release(request));
    // Who leases over the wire needs the link to say goodbye; other addresses are given back when nothing uses them.
    let first = ipam.as_ref().is_some_and(Ipam::needs_link_up);
    let early = if first { release() } else { Ok(()) };
    // A path that leads elsewhere is an error, but no reason to keep the address.
    let deleted = match netns {
        Ok(Some(netns)) => link::delete_in(&netns, &request.env, is_vlan),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    let late = if first { Ok(()) } else { release() };
    deleted.and(early).and(late)
}

fn check(request: &Request, conf: &Conf, ipam: &Ipam) -> Result<()> {
    let env = &request.env;
    let netns = link::open_netns(env)?;
    let mut creator = if conf.link_in_container { Netlink::open_in(&netns)? } else { Netlink::open()? };
    let parent = link::find_parent(&mut creator, &conf.master)?;
    ipam.check(request)?;
    let (result, promised) = link::promised(request)?;
    let mut socket = Netlink::open_in(&netns)?;
    let link = link::check_present(&mut socket, env, &promised)?;
    differences(conf, &parent, &link)?;
    link::check_promised_mtu(conf.mtu, &parent, &promised, &link)?;
    addresses::check(&mut socket, &result, link.index, &env.ifname)
}

/// CHECK of the link itself.
fn differences(conf: &Conf, parent: &Link, link: &Link) -> Result<()> {
    let name = &link.name;
    let differs = |text: String| Err(Error::Mismatch(text));
    let Some(vlan) = link.kind.as_vlan() else {
        let kind = link.kind.name().unwrap_or("physical");
        return differs(format!("interface {name} is not a vlan but of kind {kind}"));
    };
    if vlan.id != conf.id {
        return differs(format!("interface {name} has VLAN id {}, expected {}", vlan.id, conf.id));
    }
    if link.parent != Some(parent.index) {
        return differs(format!("interface {name} does not sit on master {}", parent.name));
    }
    Ok(())
}

fn status(request: &Request, conf: &Conf, ipam: &Ipam) -> Result<()> {
    // With linkInContainer there is no namespace to look into yet.
    if !conf.link_in_container {
        let parent = link::find_parent(&mut Netlink::open()?, &conf.master)
            .map_err(|error| cni::Error::unavailable(error.to_string()))?;
        if !parent.is_up() || !parent.is_lower_up() {
            return Err(Error::ParentDown { parent: parent.name });
        }
    }
    ipam.status(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(keys: &str) -> Request {
        let conf = format!(r#"{{"cniVersion":"1.1.0","name":"n","type":"vlan"{keys}}}"#);
        let env = [
            ("CNI_COMMAND", "ADD"),
            ("CNI_CONTAINERID", "c"),
            ("CNI_NETNS", "/nonexistent/netns"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/x"),
        ];
        Request::from_texts(&env, &conf).unwrap()
    }

    fn parse(keys: &str) -> cni::Result<Conf> {
        Conf::parse(&request(keys))
    }

    /// The only link that every machine has; it is only read.
    fn lo() -> Link {
        Netlink::open().unwrap().link_by_name("lo").unwrap().unwrap()
    }

    #[test]
    fn keys_are_read() {
        let conf = parse(r#","master":"eth0""#).unwrap();
        assert_eq!((conf.id, conf.mtu, conf.link_in_container, conf.accept_ra), (0, None, false, false));
        let keys = r#","Master":"eth0","VLANID":4094,"mtu":1400,"linkInContainer":true,"ipv6":{"acceptRA":true},
            "dns":{"domain":"example.org"}"#;
        let conf = parse(keys).unwrap();
        assert_eq!(
            (conf.id, conf.mtu, conf.link_in_container, conf.accept_ra),
            (4094, Some(1400), true, true)
        );
        assert_eq!(conf.dns.domain, "example.org");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (keys, words) in [
            ("", "master"),
            (r#","master":"""#, "master"),
            (r#","master":7"#, "master"),
            (r#","master":"eth0","vlanId":4095"#, "vlanId: 4095, expected an integer from 0 to 4094"),
            (r#","master":"eth0","vlanId":-1"#, "vlanId"),
            (r#","master":"eth0","vlanId":"5""#, "vlanId"),
            (r#","master":"eth0","mtu":"x""#, "mtu"),
            (r#","master":"eth0","linkInContainer":1"#, "linkInContainer"),
        ] {
            let error = parse(keys).unwrap_err();
            assert_eq!(error.code(), 7, "{keys}");
            assert!(error.to_string().contains(words), "{keys}: {error}");
        }
    }

    #[test]
    fn the_plan_follows_the_parent() {
        let parent = lo();
        let new = parse(r#","master":"lo","vlanId":5"#).unwrap().plan(&parent).unwrap();
        assert_eq!((new.parent, new.mtu, new.mac), (Some(parent.index), None, parent.mac));
        assert_eq!(new.kind.as_vlan(), Some(Vlan::new(5)));
        for mtu in ["-1", "70000"] {
            let conf = parse(&format!(r#","master":"lo","mtu":{mtu}"#)).unwrap();
            assert!(matches!(conf.plan(&parent), Err(Error::Mtu { .. })), "{mtu}");
        }
    }

    #[test]
    fn another_link_is_told_by_its_kind() {
        let link = lo();
        let error = differences(&parse(r#","master":"lo""#).unwrap(), &link, &link).unwrap_err();
        assert!(error.to_string().contains("lo is not a vlan"), "{error}");
    }

    #[test]
    fn a_link_that_is_taken_is_explained() {
        let refused = |errno| {
            let text = "cannot create link".to_owned();
            Error::Kernel(kernel::Error::Refused { op: "create", object: text, errno, text: None })
        };
        let conf = parse(r#","master":"lo","vlanId":5"#).unwrap();
        let mut socket = Netlink::open().unwrap();
        let reason = explain(&refused(Errno::EXIST), &conf, &lo(), &mut socket).unwrap();
        assert!(reason.contains("VLAN 5 of lo exists already"), "{reason}");
        assert!(reason.contains("only one link per (master, id)"), "{reason}");
        assert!(explain(&refused(Errno::OPNOTSUPP), &conf, &lo(), &mut socket).unwrap().contains("8021q"));
        assert!(explain(&refused(Errno::PERM), &conf, &lo(), &mut socket).is_none());
    }
}
