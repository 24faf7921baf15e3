//! A lease and the time it began: when to renew, rebind, give up.

use serde::{Deserialize, Serialize};

use super::Lease;
use crate::clock::{Millis, SECOND};

/// A lease in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What the server granted.
    pub lease: Lease,
    /// When the request that led to it was sent (RFC 2131, 4.4.1: the lease counts from there).
    pub since: Millis,
}

impl Held {
    /// T1: ask the same server for more time. Never, for a lease without end; not within the first second, however
    /// short the lease, so that no server makes us ask without pause.
    pub fn renew_at(&self) -> Option<Millis> {
        self.lease.seconds.map(|_| self.since + u64::from(self.lease.t1.max(1)) * SECOND)
    }

    /// T2: ask any server.
    pub fn rebind_at(&self) -> Option<Millis> {
        self.lease.seconds.map(|_| self.since + u64::from(self.lease.t2) * SECOND)
    }

    /// The end: the address may not be used any more.
    pub fn expires_at(&self) -> Option<Millis> {
        self.lease.seconds.map(|s| self.since + u64::from(s) * SECOND)
    }
}
