//! VLAN links that pods stand on: made where a pod needs one, taken away when nobody does any more.
//!
//! **The alias is the record**: a link of ours has [`ALIAS`], every other is an operator's, is used as it is, and stays. The kernel
//! takes no alias at birth, so a link is born under a name that nobody else gives, gets its alias, and then its own name: whatever
//! moment we are killed at, the next call finds it by one or the other, and goes on.
//!
//! A link of ours has no IPv6 address and takes none from routers: the host is not on the pods' VLAN. On it, and on an operator's, no
//! address and no route is touched.

use attach::link::{fnv1a, unless_absent};
use attach::paths::Paths;
use kernel::uapi::RT_SCOPE_UNIVERSE;
use kernel::{Change, Errno, Link, LinkKind, Netlink, NewLink, SetLink, Vlan, VlanProtocol, sysctl};
use topology::Topology;

use crate::keep::{Lock, Places, declared_state};
use crate::{Error, Result};

/// The alias of a link that we made.
pub const ALIAS: &str = "llano VLAN for pods: goes with the last; another alias keeps it";
/// The longest name that the kernel takes.
const NAME_MAX: usize = 15;

/// A VLAN of an interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodVlan {
    /// The interface under it.
    pub parent: String,
    /// Its tag, 1 to 4094.
    pub id: u16,
}

impl PodVlan {
    /// The name of a link that we make: `eth0.100`, and where that is too long `v100-` with eight hex digits of the parent.
    pub fn name(&self) -> String {
        let name = format!("{}.{}", self.parent, self.id);
        if name.len() <= NAME_MAX {
            return name;
        }
        format!("v{}-{:08x}", self.id, fnv1a(&[self.parent.as_bytes()]) & 0xffff_ffff)
    }

    /// The name it is born under.
    fn first_name(&self) -> String {
        let id = self.id.to_be_bytes();
        format!("llv{:012x}", fnv1a(&[self.parent.as_bytes(), &id]) & 0xffff_ffff_ffff)
    }

    fn refuse(&self, why: String) -> Error {
        Error::PodVlan { parent: self.parent.clone(), id: self.id, why }
    }

    fn is(&self, link: &Link, parent: &Link) -> bool {
        let tagged = |vlan: Vlan| vlan.id == self.id && vlan.protocol == VlanProtocol::Ieee8021Q;
        link.kind.as_vlan().is_some_and(tagged)
            && link.parent == Some(parent.index)
            && link.parent_nsid.is_none()
    }
}

/// What [`ensure`] found or made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ensured {
    /// The link's name.
    pub name: String,
    /// Whether it is ours to take away.
    pub ours: bool,
}

/// Makes sure of the VLAN's link, and that it and its parent are up. A link with this tag on this parent is used whatever its name.
///
/// # Errors
/// [`Error::PodVlan`] when there can be none, or what the kernel refused.
pub fn ensure(paths: &Paths, netlink: &mut Netlink, vlan: &PodVlan) -> Result<Ensured> {
    let _lock = lock(paths)?;
    let parent = netlink.link_by_name(&vlan.parent)?.ok_or_else(|| {
        vlan.refuse(format!(
            "there is no interface {} on this node; ip link shows which there are",
            vlan.parent
        ))
    })?;
    let found = find(netlink, vlan, &parent)?;
    if !parent.is_up() {
        netlink.apply(&Change::SetLink { index: parent.index, set: SetLink::up() })?;
    }
    match found {
        Some(link) if link.name != vlan.first_name() => {
            if !link.is_up() {
                netlink.apply(&Change::SetLink { index: link.index, set: SetLink::up() })?;
            }
            Ok(Ensured { ours: is_ours(&link), name: link.name })
        }
        half => {
            let name = vlan.name();
            if netlink.index_of(&name)?.is_some() {
                return Err(vlan.refuse(format!(
                    "its link is to be called {name}, and the interface of that name is something else: rename it, or make the VLAN's \
                     link under another name"
                )));
            }
            let index = match half {
                Some(half) => half.index,
                None => create(netlink, vlan, &parent)?,
            };
            finish(netlink, vlan, index, &name)?;
            Ok(Ensured { name, ours: true })
        }
    }
}

/// The links that we made, whole or half, with their names.
///
/// # Errors
/// When the kernel cannot be read.
pub fn made(netlink: &mut Netlink) -> Result<Vec<(PodVlan, String)>> {
    let links = netlink.links()?;
    let made = links.iter().filter_map(|link| {
        let id = link.kind.as_vlan()?.id;
        let parent = links.iter().find(|parent| Some(parent.index) == link.parent)?;
        let vlan = PodVlan { parent: parent.name.clone(), id };
        (is_ours(link) || link.name == vlan.first_name()).then(|| (vlan, link.name.clone()))
    });
    Ok(made.collect())
}

/// Takes a link away that we made, if nothing uses it: no interface of whatever namespace is on it, it has no address of its own, is
/// no port, and `host.yaml` does not declare it. Whether it is gone.
///
/// # Errors
/// When the host's namespaces or `host.yaml` cannot be read, or the kernel refuses.
pub fn remove_unused(paths: &Paths, places: &Places, netlink: &mut Netlink, name: &str) -> Result<bool> {
    let _lock = lock(paths)?;
    let Some(link) = netlink.link_by_name(name)? else { return Ok(true) };
    let is_half = made(netlink)?.iter().any(|(vlan, made)| made == name && *name == vlan.first_name());
    if !is_ours(&link) && !is_half {
        return Ok(false);
    }
    if declared_state(places)?.is_some_and(|state| state.interface(name).is_some()) {
        return Ok(false);
    }
    let topology = Topology::read()?;
    let here = topology.namespaces.iter().find(|namespace| namespace.is_current);
    let Some(node) = here.and_then(|here| topology.find(here.id, name)) else { return Ok(false) };
    let used = topology.children_of(node.id).next().is_some()
        || node.controller.is_some()
        || node.addresses.iter().any(|address| address.scope == RT_SCOPE_UNIVERSE);
    if used || node.link.index != link.index {
        return Ok(false);
    }
    match netlink.apply(&Change::DeleteLink { index: link.index }) {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(true),
    }
}

fn is_ours(link: &Link) -> bool {
    link.alias.as_deref() == Some(ALIAS)
}

fn lock(paths: &Paths) -> Result<Lock> {
    Lock::take(&paths.state("pod-vlan").join("lock"))
}

/// The VLAN's link: under the names that we give without reading them all.
fn find(netlink: &mut Netlink, vlan: &PodVlan, parent: &Link) -> Result<Option<Link>> {
    if let Some(link) = netlink.link_by_name(&vlan.name())?.filter(|link| vlan.is(link, parent)) {
        return Ok(Some(link));
    }
    Ok(netlink.links()?.into_iter().find(|link| vlan.is(link, parent)))
}

/// Makes the link, under its first name.
fn create(netlink: &mut Netlink, vlan: &PodVlan, parent: &Link) -> Result<u32> {
    let name = vlan.first_name();
    let mut new = NewLink::new(&name, LinkKind::Vlan(Vlan::new(vlan.id)));
    new.parent = Some(parent.index);
    netlink.apply(&Change::AddLink(new)).map_err(|error| match error.errno() {
        Some(Errno::OPNOTSUPP) => vlan.refuse(format!(
            "this kernel has no VLANs, or {} cannot carry one: load the module on this node (modprobe 8021q): {error}",
            vlan.parent
        )),
        Some(Errno::EXIST) => vlan.refuse(
            "its link is in another network namespace: the kernel has one for each parent and tag".to_owned(),
        ),
        _ => error.into(),
    })?;
    netlink.index_of(&name)?.ok_or_else(|| vlan.refuse("its link went while it was made".to_owned()))
}

/// Everything that a link of ours is, from whatever step on; a name is changed while it is down.
fn finish(netlink: &mut Netlink, vlan: &PodVlan, index: u32, name: &str) -> Result<()> {
    let first = vlan.first_name();
    for key in ["accept_ra", "autoconf"] {
        unless_absent(sysctl::write(&format!("net/ipv6/conf/{first}/{key}"), "0"))?;
    }
    // 1 is none: no link-local address. A kernel without IPv6 has no such setting.
    unless_absent(sysctl::write(&format!("net/ipv6/conf/{first}/addr_gen_mode"), "1"))?;
    let marked = SetLink { alias: Some(ALIAS.to_owned()), ..SetLink::default() };
    let named = SetLink { name: Some(name.to_owned()), ..SetLink::default() };
    for set in [marked, named, SetLink::up()] {
        netlink.apply(&Change::SetLink { index, set })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vlan(parent: &str, id: u16) -> PodVlan {
        PodVlan { parent: parent.to_owned(), id }
    }

    #[test]
    fn names_fit_and_tell_links_apart() {
        assert_eq!(vlan("eth0", 100).name(), "eth0.100");
        assert_eq!(vlan("eth0.100", 4094).name(), "eth0.100.4094");
        let long = vlan("enp129s0f0np0", 100);
        assert!(long.name().starts_with("v100-") && long.name() != vlan("enp129s0f1np1", 100).name());
        let mut seen = std::collections::BTreeSet::new();
        for parent in ["eth0", "enp129s0f0np0", "eth0.1"] {
            for id in [1, 10, 4094] {
                for name in [vlan(parent, id).name(), vlan(parent, id).first_name()] {
                    assert!(name.len() <= NAME_MAX, "{name}");
                    assert!(seen.insert(name.clone()), "{name} twice");
                }
            }
        }
    }

    #[test]
    fn a_parent_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { run: dir.path().to_owned() };
        let error = ensure(&paths, &mut Netlink::open().unwrap(), &vlan("nowhere0", 7)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "VLAN 7 on nowhere0: there is no interface nowhere0 on this node; ip link shows which there are"
        );
    }

    #[test]
    fn nothing_of_somebody_elses_is_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let (paths, places) = (Paths { run: dir.path().to_owned() }, Places::below(dir.path()));
        let mut netlink = Netlink::open().unwrap();
        assert!(!remove_unused(&paths, &places, &mut netlink, "lo").unwrap());
        assert!(netlink.link_by_name("lo").unwrap().is_some());
        assert!(remove_unused(&paths, &places, &mut netlink, "nowhere0").unwrap(), "gone already");
    }
}
