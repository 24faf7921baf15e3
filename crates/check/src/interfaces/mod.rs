//! The host's links and their settings.

mod links;
mod nic;
mod settings;

pub(crate) use links::{bond_ports, link_state, mtu, under_vxlan, vxlan_overhead};
pub(crate) use nic::{filters, promiscuity};
pub(crate) use settings::{arp, bridge_nf, effective, forwarding, rp_filter};
