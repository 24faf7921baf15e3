//! Queueing disciplines.

use crate::uapi::{TC_H_INGRESS, TC_H_ROOT, TC_INGRESS_HANDLE};

/// A queueing discipline (`RTM_NEWQDISC`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qdisc {
    /// The interface.
    pub index: u32,
    /// What it hangs on: `TC_H_ROOT`, `TC_H_INGRESS` or a class.
    pub parent: u32,
    /// Its own number, major in the upper 16 bits; 0 lets the kernel choose.
    pub handle: u32,
    /// Its kind.
    pub kind: QdiscKind,
}

/// The kind of a queueing discipline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QdiscKind {
    /// A token bucket.
    Tbf(Tbf),
    /// The place for filters on what arrives.
    Ingress,
    /// The place for filters on both ways.
    Clsact,
    /// Any other, by the kernel's name, without options.
    Other(String),
}

/// A token bucket's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tbf {
    /// Bytes per second.
    pub rate_bytes: u64,
    /// Bytes that may go at once. When read it is computed from the kernel's ticks of 64 ns, so it may be a little
    /// less than what was set: compare with [`Tbf::agrees`].
    pub burst_bytes: u32,
    /// Bytes that may wait.
    pub limit_bytes: u32,
}

impl Tbf {
    /// With a limit such that no byte waits longer than `latency_us` microseconds, as `tc ... latency`.
    pub fn with_latency(rate_bytes: u64, burst_bytes: u32, latency_us: u64) -> Self {
        let queued = u128::from(rate_bytes) * u128::from(latency_us) / 1_000_000 + u128::from(burst_bytes);
        let limit_bytes = u32::try_from(queued).unwrap_or(u32::MAX);
        Self { rate_bytes, burst_bytes, limit_bytes }
    }

    /// Whether `read` is what the kernel tells after `self` was set.
    pub fn agrees(&self, read: &Self) -> bool {
        // One tick of 64 ns, rounded down twice (bytes to ns, ns to ticks).
        let tick = (self.rate_bytes.saturating_mul(128) / 1_000_000_000).saturating_add(1);
        self.rate_bytes == read.rate_bytes
            && self.limit_bytes == read.limit_bytes
            && u64::from(self.burst_bytes.abs_diff(read.burst_bytes)) <= tick
    }
}

impl Qdisc {
    /// A token bucket as the root, handle 1:0.
    pub fn tbf(index: u32, tbf: Tbf) -> Self {
        Self { index, parent: TC_H_ROOT, handle: 0x1_0000, kind: QdiscKind::Tbf(tbf) }
    }

    /// The place for filters on what arrives.
    pub fn ingress(index: u32) -> Self {
        Self { index, parent: TC_H_INGRESS, handle: TC_INGRESS_HANDLE, kind: QdiscKind::Ingress }
    }

    /// The place for filters on both ways.
    pub fn clsact(index: u32) -> Self {
        Self { index, parent: TC_H_INGRESS, handle: TC_INGRESS_HANDLE, kind: QdiscKind::Clsact }
    }
}
