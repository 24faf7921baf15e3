//! Why the kernel said no, in words that help.

use anyhow::anyhow;
use kernel::{Errno, Link, LinkKind, NetNs, Netlink, NewLink};
use topology::{LinkId, NamespaceId, Topology, visible};

use super::place::Place;

/// Explains a refused change of a link: the kernel knows it by a number only.
pub(crate) fn of_change(error: kernel::Error, link: &Link, mtu: Option<u32>, place: &Place) -> anyhow::Error {
    let name = visible(&link.name);
    let errno = error.errno();
    if let Some(mtu) = mtu.filter(|_| matches!(errno, Some(Errno::INVAL | Errno::RANGE)))
        && let Some((parent, carries)) = parent_of(link, place).filter(|(_, carries)| mtu > *carries)
    {
        return anyhow!("--mtu: {name} stands on {parent}, and no more than its {carries} is allowed");
    }
    match error {
        kernel::Error::Refused { op, errno, text, .. } => {
            kernel::Error::Refused { op, object: name.into_owned(), errno, text }.into()
        }
        other => other.into(),
    }
}

/// The parent of a link, wherever it is, and its MTU.
fn parent_of(link: &Link, place: &Place) -> Option<(String, u32)> {
    let (device, inode) = place.net.id().ok()?;
    let topology = Topology::read().ok()?;
    let id = NamespaceId { device, inode };
    let namespace = topology.namespaces.iter().position(|namespace| namespace.id == id)?;
    let node = topology.link(LinkId { namespace, index: link.index })?;
    let parent = topology.link(node.parent?)?;
    let of = if parent.id.namespace == namespace {
        String::new()
    } else {
        format!(" ({})", topology.owner_of(parent))
    };
    Some((format!("{}{of}", visible(&parent.link.name)), parent.link.mtu))
}

/// Explains a refused creation. `parents` speaks to `home`, the namespace of the parent.
pub(crate) fn of_new(
    error: kernel::Error,
    new: &NewLink,
    parent: Option<&Link>,
    home: &NetNs,
    parents: &mut Netlink,
) -> anyhow::Error {
    let kind = new.kind.name().unwrap_or_default();
    let said =
        |text: &str| matches!(&error, kernel::Error::Refused { text: Some(said), .. } if said.contains(text));
    if error.errno() == Some(Errno::OPNOTSUPP) && said("Unknown device type") {
        let module = match kind {
            "bond" => "bonding",
            "vlan" => "8021q",
            other => other,
        };
        return anyhow!(
            "this kernel has no links of type {kind}: load its module (modprobe {module}), or use another kernel"
        );
    }
    let (Some(parent), name) = (parent, &new.name) else {
        return error.into();
    };
    match (&new.kind, error.errno()) {
        (LinkKind::Macvlan(macvlan) | LinkKind::Macvtap(macvlan), _) => {
            attach::macvlan::explain_refusal(error, home, parents, parent, macvlan.mode, name).into()
        }
        (LinkKind::Vlan(vlan), Some(Errno::EXIST)) => {
            let same = |link: &Link| {
                link.parent == Some(parent.index)
                    && link
                        .kind
                        .as_vlan()
                        .is_some_and(|known| known.id == vlan.id && known.protocol == vlan.protocol)
            };
            let known = parents.links().unwrap_or_default().into_iter().find(same);
            match known {
                Some(known) => anyhow!("VLAN {} is on {} already, as {}", vlan.id, parent.name, known.name),
                None => anyhow!("VLAN {} is on {} already, in another namespace", vlan.id, parent.name),
            }
        }
        _ => error.into(),
    }
}
