//! What lies behind the cable, asked on the wire with questions that change nobody's cache.

mod hypervisor;
mod lan;

pub(crate) use hypervisor::{hypervisor, hypervisor_vendor};
pub(crate) use lan::{MacProbe, duplicates, foreign_macs, gateways};
