//! Addresses from one to another, as numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipam::Addresses;

/// The addresses from the first to the second, both included and of one family.
pub type Run = (IpAddr, IpAddr);

pub(crate) fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The address that many places after another of the same family; the last one of all when there are not so many.
pub(crate) fn step(from: IpAddr, places: u128) -> IpAddr {
    let number = number_of(from).saturating_add(places);
    match from {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// The address before this one, which is not the first of all.
fn step_back(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from(u32::from(address).saturating_sub(1))),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address).saturating_sub(1))),
    }
}

/// The address after this one, if its family has one.
pub(crate) fn next(address: IpAddr) -> Option<IpAddr> {
    let following = step(address, 1);
    (following != address).then_some(following)
}

/// The part of the runs that the set does not have, as runs. The runs are in order and apart, and so is the answer.
pub(crate) fn gaps(set: &Addresses, runs: &[Run]) -> Vec<Run> {
    let mut gaps = Vec::new();
    let mut taken = set.runs().peekable();
    for (from, to) in runs {
        let mut free_from = Some(*from);
        while let (Some(free), Some(run)) = (free_from, taken.peek().copied().filter(|run| run.0 <= *to)) {
            if run.0 > free {
                gaps.push((free, step_back(run.0)));
            }
            if run.1 >= *to {
                // It may reach into the next run.
                free_from = None;
            } else {
                free_from = next(run.1).map(|after| after.max(free));
                taken.next();
            }
        }
        gaps.extend(free_from.map(|free| (free, *to)));
    }
    gaps
}

pub(crate) fn run_size((from, to): Run) -> u128 {
    number_of(to).saturating_sub(number_of(from)).saturating_add(1)
}

/// How many addresses the runs have. Saturates at 2¹²⁸ − 1.
pub fn size(runs: &[Run]) -> u128 {
    runs.iter().fold(0, |sum, run| sum.saturating_add(run_size(*run)))
}

/// How many addresses of the runs are in the set. The runs are in order and apart.
pub(crate) fn count_in(set: &Addresses, runs: &[Run]) -> u128 {
    let mut count: u128 = 0;
    let mut runs = runs.iter().copied().peekable();
    for (from, to) in set.runs() {
        while runs.next_if(|run| run.1 < from).is_some() {}
        // A run that goes on after the set's is looked at again with the set's next one.
        while let Some(run) = runs.peek().copied().filter(|run| run.0 <= to) {
            count = count.saturating_add(run_size((run.0.max(from), run.1.min(to))));
            if run.1 > to {
                break;
            }
            runs.next();
        }
    }
    count
}
