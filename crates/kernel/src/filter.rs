//! Traffic filters: the one we need sends every packet to another interface.

use crate::uapi::{ETH_P_ALL, TC_INGRESS_HANDLE};

/// A filter (`RTM_NEWTFILTER`) of kind `u32` that matches every packet and redirects it (`act_mirred`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The interface.
    pub index: u32,
    /// The place: `TC_INGRESS_HANDLE` for a qdisc ingress, `TC_H_MIN_INGRESS` or `TC_H_MIN_EGRESS` for a clsact.
    pub parent: u32,
    /// Lower first, from 1; 0 lets the kernel choose. Both ways of one clsact want different priorities: the kernel
    /// tells filters of kind u32 with the same one at both places.
    pub priority: u16,
    /// The EtherType; `ETH_P_ALL` for every packet.
    pub protocol: u16,
    /// The interface whose egress the packet goes to; `None` when read and it is another kind of filter.
    pub redirect_to: Option<u32>,
}

impl Filter {
    /// Redirects all that arrives at `index` (which has a qdisc ingress) to the egress of `to`.
    pub fn redirect_ingress(index: u32, to: u32) -> Self {
        Self { index, parent: TC_INGRESS_HANDLE, priority: 1, protocol: ETH_P_ALL, redirect_to: Some(to) }
    }
}
