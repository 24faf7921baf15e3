//! What this kernel can do, tried in a scratch namespace of which nothing stays, and the limits of its tables.

mod limits;
mod tried;

pub(crate) use limits::{conntrack, neighbours};
pub(crate) use tried::{bonding, macvtap, modes, version, vlan};
