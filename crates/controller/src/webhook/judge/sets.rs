//! Sets of addresses.

use std::net::IpAddr;

use api::kinds::What;
use ipam::Addresses;

/// The first run of addresses that is in both.
pub(super) fn common(a: &Addresses, b: &Addresses) -> Option<(IpAddr, IpAddr)> {
    let (mut left, mut right) = (a.runs(), b.runs());
    let (mut one, mut other) = (left.next()?, right.next()?);
    loop {
        let (from, to) = (one.0.max(other.0), one.1.min(other.1));
        // Families are apart in this order: every IPv4 address comes before every IPv6 address.
        if from <= to {
            return Some((from, to));
        }
        if one.1 < other.1 {
            one = left.next()?;
        } else {
            other = right.next()?;
        }
    }
}

/// The addresses that a reservation names; none for a count.
pub(super) fn named(what: &What) -> Addresses {
    let mut set = Addresses::new();
    match what {
        What::Pairs(pairs) => pairs.iter().for_each(|pair| set.insert(pair.address)),
        What::Ordinals(pairs) => pairs.values().for_each(|pair| set.insert(pair.address)),
        What::Set(named) => return named.clone(),
        What::Count(_) => {}
    }
    set
}
