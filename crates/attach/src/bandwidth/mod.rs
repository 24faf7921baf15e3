//! `bandwidth`: limits what a pod sends and receives.
//!
//! On a veth pair whose other end is on this host the limits are set on that end, as the reference does, out of the
//! pod's reach. Every other kind of link (a macvlan, a VLAN) has no such end: there they are set inside the pod's
//! namespace, on the interface itself.

mod config;
mod sha512;
mod shape;

use cni::{CniResult, Interface, Plugin, Request, Version};
use kernel::{Link, LinkKind, NetNs, Netlink};

use self::config::Limits;
use self::shape::{Shape, alias, delete_link, ifb_name, reference_ifb_name};
use crate::link::{open_netns, open_netns_if_present};
use crate::{Error, Result};

/// The plugin type `bandwidth`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bandwidth;

const NOT_CHAINED: &str = "must be called as chained plugin";

impl Plugin for Bandwidth {
    fn about(&self) -> String {
        concat!("CNI bandwidth plugin llano-cni ", env!("CARGO_PKG_VERSION")).to_owned()
    }

    /// From 0.3.0: earlier results have no interfaces to add the ifb to.
    fn versions(&self) -> &'static [Version] {
        Version::ALL.split_at(2).1
    }

    fn add(&self, request: &Request) -> cni::Result<CniResult> {
        let limits = Limits::read(request)?;
        let mut result = request.required_prev_result(NOT_CHAINED)?;
        if limits.is_none() {
            return Ok(result);
        }
        let env = &request.env;
        let mut place = Place::find(&open_netns(env)?, &env.ifname)?;
        let name = ifb_name(&request.name, env);
        let ifb = (name.as_str(), alias(&request.name, &env.container_id, &env.ifname));
        let (shape, socket) = place.shape(&limits);
        let mac = shape.apply(socket, ifb)?;
        if let Some(mac) = mac {
            let sandbox = match &env.netns {
                Some(path) if place.is_inside() => path.display().to_string(),
                _ => String::new(),
            };
            result.interfaces.push(Interface { name, mac: mac.to_string(), sandbox, ..Interface::default() });
        }
        Ok(result)
    }

    fn del(&self, request: &Request) -> cni::Result<()> {
        let env = &request.env;
        let mut names = vec![ifb_name(&request.name, env)];
        // Of the reference plugin, unless this attachment's result says that it has none: it may be another's.
        let theirs = reference_ifb_name(&request.name, env);
        let promised = request.prev_result().ok().flatten();
        if promised.is_none_or(|result| result.interfaces.iter().any(|interface| interface.name == theirs)) {
            names.push(theirs);
        }
        let mut host = Netlink::open().map_err(Error::from)?;
        for name in &names {
            delete_link(&mut host, name)?;
        }
        let Some(netns) = open_netns_if_present(env)? else { return Ok(()) };
        let mut pod = Netlink::open_in(&netns).map_err(Error::from)?;
        if let Ok(limits) = Limits::read(request)
            && !limits.is_none()
            && let Some(link) = pod.link_by_name(&env.ifname).map_err(Error::from)?
        {
            Shape { link: &link, sends: limits.egress, receives: limits.ingress }.remove(&mut pod)?;
        }
        delete_link(&mut pod, &names[0])?;
        Ok(())
    }

    fn check(&self, request: &Request) -> cni::Result<()> {
        let limits = Limits::read(request)?;
        request.required_prev_result(NOT_CHAINED)?;
        let env = &request.env;
        let netns = open_netns(env)?;
        if limits.is_none() {
            return Ok(());
        }
        let mut place = Place::find(&netns, &env.ifname)?;
        let names = [ifb_name(&request.name, env), reference_ifb_name(&request.name, env)];
        let (shape, socket) = place.shape(&limits);
        Ok(shape.check(socket, &names)?)
    }

    fn status(&self, request: &Request) -> cni::Result<()> {
        Limits::read(request).map(|_| ())
    }

    /// Removes the host's ifbs of attachments that are no more; those inside a pod go with its namespace.
    fn gc(&self, request: &Request) -> cni::Result<()> {
        let Some(valid) = request.valid_attachments()? else { return Ok(()) };
        let valid: Vec<String> = valid
            .iter()
            .map(|attachment| alias(&request.name, &attachment.container_id, &attachment.ifname))
            .collect();
        let mut host = Netlink::open().map_err(Error::from)?;
        let ours = alias(&request.name, "", "").trim_end_matches('/').to_owned() + "/";
        let is_dead = |link: &Link| {
            let alias = link.alias.as_deref().unwrap_or_default();
            link.kind == LinkKind::Ifb
                && alias.starts_with(&ours)
                && !valid.iter().any(|valid| valid == alias)
        };
        // Goes on after a failure: the others must not wait for it.
        let mut first = Ok(());
        for link in host.links().map_err(Error::from)?.iter().filter(|link| is_dead(link)) {
            let done = delete_link(&mut host, &link.name);
            if first.is_ok() {
                first = done;
            }
        }
        Ok(first?)
    }
}

/// Where the limits of an interface are set.
enum Place {
    /// On the host's end of the veth pair.
    Host { socket: Netlink, end: Link },
    /// On the interface itself, in the pod.
    Pod { socket: Netlink, link: Link },
}

impl Place {
    fn find(netns: &NetNs, ifname: &str) -> Result<Self> {
        let mut pod = Netlink::open_in(netns)?;
        let absent = || Error::Mismatch(format!("the container has no interface {ifname}"));
        let link = pod.link_by_name(ifname)?.ok_or_else(absent)?;
        if let (LinkKind::Veth(_), Some(other)) = (&link.kind, link.parent) {
            let mut host = Netlink::open()?;
            // The number is the other end's in its own namespace: only a veth whose other end is this one is it.
            let is_end = |end: &Link| matches!(end.kind, LinkKind::Veth(_)) && end.parent == Some(link.index);
            if let Some(end) = host.link_by_index(other)?.filter(is_end) {
                return Ok(Self::Host { socket: host, end });
            }
        }
        Ok(Self::Pod { socket: pod, link })
    }

    fn is_inside(&self) -> bool {
        matches!(self, Self::Pod { .. })
    }

    /// The limits as the link sees them: what the pod receives, the host's end sends.
    fn shape(&mut self, limits: &Limits) -> (Shape<'_>, &mut Netlink) {
        match self {
            Self::Host { socket, end } => {
                (Shape { link: end, sends: limits.ingress, receives: limits.egress }, socket)
            }
            Self::Pod { socket, link } => {
                (Shape { link, sends: limits.egress, receives: limits.ingress }, socket)
            }
        }
    }
}
