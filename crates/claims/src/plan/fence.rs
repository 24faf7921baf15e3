use std::net::IpAddr;

use crate::claim::{Claim, Version};
use crate::taken::Taken;

/// An interface that has an address, or is about to get one, as the node's own record has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attached {
    /// The network.
    pub network: String,
    /// The address.
    pub address: IpAddr,
    /// The sandbox.
    pub container_id: String,
    /// The interface's name in the pod.
    pub interface: String,
    /// The claim's version when it became this interface's.
    pub version: Version,
}

/// Whether the address is not this interface's any more: the controller has given its claim up, and another pod may have
/// it. The interface must go down at once. Ask whenever the watch has shown something, and before the address is used.
pub fn must_fence(taken: &Taken, attached: &Attached) -> bool {
    // What the watch shows may be older than the claim.
    let knows = taken.is_ready() && taken.watched() >= attached.version;
    let own = taken.network(&attached.network).own_of(attached.address);
    knows && !own.is_some_and(|claim| claim.is_of(taken.node(), &attached.container_id, &attached.interface))
}

/// The node's claims that nothing on the node stands behind. Each is to be let go of as `del` says, and no other claim of its
/// sandbox with it.
/// `known`: whether something is behind the claim. A call that goes on, ADD or DEL, is behind all claims of its sandbox and
/// interface: it takes over, or lets go of, what it finds. A finished record is behind its **addresses** only: a create
/// that was given up can still arrive after the same call has got another address.
pub fn orphans(taken: &Taken, known: impl Fn(&Claim) -> bool) -> Vec<Claim> {
    if !taken.is_ready() {
        return Vec::new();
    }
    taken.own().filter(|claim| !known(claim)).cloned().collect()
}
