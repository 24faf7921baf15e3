//! Where a link's parent is: the kernel names another namespace by a number that counts only in the link's own.

use std::collections::BTreeMap;

use kernel::{NetNs, Netlink};

use crate::Result;
use crate::topology::Node;

/// Namespaces in the order in which it is best to ask for them: those that were the answer lately first, since most
/// links of most namespaces have their parent in the same one.
pub(crate) struct Order(Vec<usize>);

impl Order {
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).collect())
    }
}

/// Connects the links of one namespace.
pub(crate) fn connect(
    nodes: &mut [Node],
    own: usize,
    socket: &mut Netlink,
    nets: &[NetNs],
    order: &mut Order,
) -> Result<()> {
    let mut wanted: BTreeMap<i32, Option<usize>> = BTreeMap::new();
    for node in &mut *nodes {
        match (node.other_end(), node.link.parent_nsid) {
            (Some(_), None) => node.connect(own),
            (Some(_), Some(nsid)) => drop(wanted.insert(nsid, None)),
            (None, _) => {}
        }
    }
    numbers(&mut wanted, own, socket, nets, order)?;
    for node in nodes {
        let Some(nsid) = node.link.parent_nsid.filter(|_| node.other_end().is_some()) else { continue };
        match wanted.get(&nsid).copied().flatten() {
            Some(namespace) => node.connect(namespace),
            None => node.unseen = true,
        }
    }
    Ok(())
}

/// Asks for one namespace after the other which number it has, until all wanted ones are known.
fn numbers(
    wanted: &mut BTreeMap<i32, Option<usize>>,
    own: usize,
    socket: &mut Netlink,
    nets: &[NetNs],
    order: &mut Order,
) -> Result<()> {
    let mut missing = wanted.keys().filter(|nsid| **nsid >= 0).count();
    let mut at = 0;
    while missing > 0 && at < order.0.len() {
        let candidate = order.0[at];
        if candidate != own
            && let Some(nsid) = socket.nsid_of(&nets[candidate])?
            && let Some(found @ None) = wanted.get_mut(&nsid)
        {
            *found = Some(candidate);
            missing -= 1;
            order.0[..=at].rotate_right(1);
        }
        at += 1;
    }
    Ok(())
}
