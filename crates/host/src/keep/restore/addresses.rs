//! Addresses and neighbours of one link.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel::Address;

use super::Past;
use crate::plan::addresses::{alike, insert, is_kernels};
use crate::{Link, Network};

impl Past<'_> {
    /// A link as it was, with what the changes did not touch of its addresses and neighbours as it is now.
    pub(super) fn link(&self, name: &str, before: &Link, affected: &BTreeSet<String>) -> Link {
        let mut link = before.clone();
        let now = self.current.links.get(name);
        link.addresses = self.addresses(name, before, now, affected);
        let touched = |ip| {
            let of = |link: &Link| link.neighbours.iter().find(|n| n.address == ip).map(|n| n.mac);
            self.is_touched(name, |before, wanted| of(before) != of(wanted))
        };
        let is_in = |link: &Link, ip| link.neighbours.iter().any(|n| n.address == ip);
        link.neighbours.retain(|neighbour| {
            let ip = neighbour.address;
            touched(ip) || now.is_none_or(|now| self.is_half || is_in(now, ip))
        });
        let since = now.into_iter().flat_map(|now| &now.neighbours);
        let since = since.filter(|n| !touched(n.address) && !is_in(before, n.address));
        link.neighbours.extend(since.cloned());
        link
    }

    /// Whether one of the changes made, removed or altered something of a link.
    fn is_touched(&self, name: &str, differs: impl Fn(&Link, &Link) -> bool) -> bool {
        self.changes.iter().any(|(before, change)| {
            match (before.links.get(name), change.network.links.get(name)) {
                (Some(before), Some(wanted)) => differs(before, wanted),
                (before, wanted) => before.is_some() || wanted.is_some(),
            }
        })
    }

    fn addresses(
        &self,
        name: &str,
        before: &Link,
        now: Option<&Link>,
        affected: &BTreeSet<String>,
    ) -> Vec<Address> {
        let touched = |address: &Address| {
            self.is_touched(name, |before, wanted| match (find(before, address), find(wanted, address)) {
                (Some(before), Some(wanted)) => !alike(before, wanted),
                (before, wanted) => before.is_some() || wanted.is_some(),
            })
        };
        let there = |address: &Address| now.and_then(|now| find(now, address));
        let mut all_as_now = now.is_some();
        let mut list = Vec::new();
        for address in &before.addresses {
            if !touched(address) {
                if let Some(there) = there(address) {
                    list.push(there.clone());
                    continue;
                }
                // Somebody else took it away, or its time was over.
                if now.is_some() && !self.is_half && !is_kernels(address, before.mac) {
                    continue;
                }
            }
            all_as_now = false;
            let lent = self.lent_now(name, address, affected);
            list.extend(lent.or_else(|| aged(address, self.passed)));
        }
        let Some(now) = now else { return list };
        let since = || {
            let new = |address: &&Address| {
                find(before, address).is_none() && !touched(address) && !is_kernels(address, now.mac)
            };
            now.addresses.iter().filter(new).cloned()
        };
        if all_as_now && now.addresses.iter().all(|address| !touched(address)) {
            // In the order that they have now.
            return now.addresses.clone();
        }
        // Of IPv6 the newest is listed first.
        let (v4, v6): (Vec<Address>, Vec<Address>) = since().partition(|a| a.net.addr().is_ipv4());
        v4.into_iter().chain(v6.into_iter().rev()).for_each(|address| insert(&mut list, address));
        list
    }

    /// An address for a time that somebody has renewed since on this link, or on the one that the change moved it to. What
    /// the change itself altered of it does not count.
    fn lent_now(&self, name: &str, address: &Address, affected: &BTreeSet<String>) -> Option<Address> {
        address.valid?;
        let altered = |(before, change): &(&Network, &crate::Wanted)| {
            let of =
                |network: &Network| network.links.get(name).and_then(|link| find(link, address).cloned());
            of(before).is_some() && of(&change.network).is_some_and(|wanted| !alike(&wanted, address))
        };
        if self.changes.iter().any(altered) {
            return None;
        }
        let own = self.current.links.get(name);
        let others = affected.iter().filter_map(|other| self.current.links.get(other));
        let now = own.into_iter().chain(others).find_map(|link| find(link, address))?;
        now.valid?;
        Some(Address { valid: now.valid, preferred: now.preferred, ..address.clone() })
    }
}

fn find<'a>(link: &'a Link, address: &Address) -> Option<&'a Address> {
    link.addresses.iter().find(|other| other.net == address.net && other.peer == address.peer)
}

/// `None` when its time is over.
fn aged(address: &Address, passed: Duration) -> Option<Address> {
    let seconds = u32::try_from(passed.as_secs()).unwrap_or(u32::MAX);
    let left = |time: Option<u32>| time.map(|time| time.saturating_sub(seconds));
    let aged = Address { valid: left(address.valid), preferred: left(address.preferred), ..address.clone() };
    (aged.valid != Some(0)).then_some(aged)
}
