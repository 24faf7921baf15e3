//! What a Reply or Advertise grants.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use crate::clock::{Millis, SECOND};
use crate::wire::names::parse_names;
use crate::wire::v6::{IaNa, Message, option};

const INFINITE: u32 = u32::MAX;

/// An address with its lifetimes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeasedAddress {
    /// The address.
    pub address: Ipv6Addr,
    /// Seconds it is preferred.
    pub preferred: u32,
    /// Seconds it is valid; all ones for ever.
    pub valid: u32,
}

/// A granted identity association.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The server's DUID.
    pub server: Vec<u8>,
    /// At least one address.
    pub addresses: Vec<LeasedAddress>,
    /// Seconds until Renew; all ones for never.
    pub t1: u32,
    /// Seconds until Rebind; all ones for never.
    pub t2: u32,
    /// DNS servers.
    pub dns: Vec<Ipv6Addr>,
    /// Search list.
    pub search: Vec<String>,
}

impl Lease {
    /// Reads the association `iaid` of a message. Nothing when there is no server or no usable address, or T1 is
    /// behind T2, which makes an association invalid (RFC 8415, 21.4).
    pub fn read(message: &Message, iaid: u32) -> Option<Lease> {
        let server = message.options.get(option::SERVER_ID).filter(|s| !s.is_empty())?.to_vec();
        let ia = message.options.all(option::IA_NA).filter_map(IaNa::parse).find(|ia| ia.iaid == iaid)?;
        if ia.options.status().code != 0 || (ia.t1 > ia.t2 && ia.t2 > 0) {
            return None;
        }
        let addresses: Vec<_> = ia
            .addresses()
            .into_iter()
            .map(|a| LeasedAddress { address: a.address, preferred: a.preferred, valid: a.valid })
            .collect();
        let shortest = addresses.iter().map(|a| a.preferred.max(1)).min()?;
        let (t1, t2) = timers(shortest, ia.t1, ia.t2);
        Some(Lease {
            server,
            addresses,
            t1,
            t2,
            dns: message.options.addresses(option::DNS_SERVERS),
            search: message.options.get(option::DOMAIN_LIST).map(parse_names).unwrap_or_default(),
        })
    }

    /// The longest valid lifetime, seconds.
    fn valid(&self) -> u32 {
        self.addresses.iter().map(|a| a.valid).max().unwrap_or(0)
    }
}

/// RFC 8415, 14.2 and 21.4: zero leaves the choice to the client, 0.5 and 0.8 of the shortest preferred lifetime.
fn timers(shortest: u32, t1: u32, t2: u32) -> (u32, u32) {
    if shortest == INFINITE && t1 == 0 && t2 == 0 {
        return (INFINITE, INFINITE);
    }
    let part = |n: u64| u32::try_from(u64::from(shortest) * n / 10).unwrap_or(INFINITE);
    let t2 = if t2 == 0 { part(8).max(t1) } else { t2 };
    let t1 = if t1 == 0 { part(5).min(t2) } else { t1 };
    (t1.max(1), t2.max(1))
}

/// A lease in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What was granted.
    pub lease: Lease,
    /// When the message that led to it was sent.
    pub since: Millis,
}

impl Held {
    fn after(&self, seconds: u32) -> Option<Millis> {
        (seconds != INFINITE).then(|| self.since + u64::from(seconds) * SECOND)
    }

    /// T1.
    pub fn renew_at(&self) -> Option<Millis> {
        self.after(self.lease.t1)
    }

    /// T2.
    pub fn rebind_at(&self) -> Option<Millis> {
        self.after(self.lease.t2)
    }

    /// When the last address is no longer valid.
    pub fn expires_at(&self) -> Option<Millis> {
        self.after(self.lease.valid())
    }
}
