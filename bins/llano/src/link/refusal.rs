//! Why the kernel said no, in words that help.

use anyhow::anyhow;
use kernel::{Errno, Link, LinkKind, Netlink, NewLink};

/// Explains a refused creation. `parents` speaks to the namespace of the parent.
pub(crate) fn of_new(
    error: kernel::Error,
    new: &NewLink,
    parent: Option<&Link>,
    parents: &mut Netlink,
) -> anyhow::Error {
    let kind = new.kind.name().unwrap_or_default();
    let said =
        |text: &str| matches!(&error, kernel::Error::Refused { text: Some(said), .. } if said.contains(text));
    if error.errno() == Some(Errno::OPNOTSUPP) && said("Unknown device type") {
        return anyhow!(
            "this kernel has no links of type {kind}: load its module ({kind}), or use another kernel"
        );
    }
    let (Some(parent), name) = (parent, &new.name) else {
        return error.into();
    };
    match (&new.kind, error.errno()) {
        (LinkKind::Macvlan(macvlan) | LinkKind::Macvtap(macvlan), _) => {
            attach::macvlan::explain_refusal(error, parents, parent, macvlan.mode, name).into()
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
