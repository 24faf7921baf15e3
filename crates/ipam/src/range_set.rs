use std::fmt;
use std::net::IpAddr;

use crate::error::{Error, Result};
use crate::range::{Range, address_of, number_of};

/// Ranges of one family that share no address. An attachment gets one address of each set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeSet(Vec<Range>);

/// Addresses of one range that follow each other, as numbers, both ends included.
#[derive(Clone, Copy)]
pub(crate) struct Stretch<'a> {
    pub(crate) range: &'a Range,
    pub(crate) from: u128,
    pub(crate) to: u128,
}

impl RangeSet {
    /// A set of these ranges, in the order in which they are used.
    ///
    /// # Errors
    /// No range, ranges of both families, or two ranges that overlap.
    pub fn new(ranges: Vec<Range>) -> Result<RangeSet> {
        let Some(first) = ranges.first() else { return Err(Error::EmptySet) };
        if ranges.iter().any(|range| range.is_ipv4() != first.is_ipv4()) {
            return Err(Error::MixedFamilies);
        }
        for (n, a) in ranges.iter().enumerate() {
            if let Some(b) = ranges[n + 1..].iter().find(|b| a.overlaps(b)) {
                return Err(Error::Overlap(a.to_string(), b.to_string()));
            }
        }
        Ok(RangeSet(ranges))
    }

    /// The ranges, in their order.
    pub fn ranges(&self) -> &[Range] {
        &self.0
    }

    /// Whether the set is of IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.0.first().is_some_and(Range::is_ipv4)
    }

    /// The range that has the address.
    pub fn range_for(&self, address: IpAddr) -> Option<&Range> {
        self.0.iter().find(|range| range.contains(address))
    }

    /// Whether one of the ranges has the address, gateway or not.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.range_for(address).is_some()
    }

    /// Whether the two sets share an address.
    pub fn overlaps(&self, other: &RangeSet) -> bool {
        self.0.iter().any(|a| other.0.iter().any(|b| a.overlaps(b)))
    }

    /// The addresses in the order in which they are tried, gateways left out: the one after the cursor
    /// first, through all ranges, the cursor itself last. Without a cursor, or with one that is in no
    /// range, from the first range's start.
    pub fn round(&self, cursor: Option<IpAddr>) -> impl Iterator<Item = (IpAddr, &Range)> {
        self.stretches(cursor).into_iter().flat_map(|stretch| {
            let range = stretch.range;
            (stretch.from..=stretch.to)
                .map(move |n| (address_of(n, range.is_ipv4()), range))
                .filter(move |(address, _)| *address != range.gateway())
        })
    }

    /// The round of `round` as stretches of numbers, each inside one range.
    pub(crate) fn stretches(&self, cursor: Option<IpAddr>) -> Vec<Stretch<'_>> {
        let whole = |range| Stretch { range, from: number_of(range.start()), to: number_of(range.end()) };
        let at = cursor.and_then(|cursor| {
            let place = self.0.iter().position(|range| range.contains(cursor))?;
            Some((place, number_of(cursor.to_canonical())))
        });
        let Some((place, cursor)) = at else { return self.0.iter().map(whole).collect() };
        let mut stretches = Vec::with_capacity(self.0.len() + 1);
        let middle = whole(&self.0[place]);
        if cursor < middle.to {
            stretches.push(Stretch { from: cursor + 1, ..middle });
        }
        stretches.extend(self.0[place + 1..].iter().map(whole));
        stretches.extend(self.0[..place].iter().map(whole));
        stretches.push(Stretch { to: cursor, ..middle });
        stretches
    }

    /// How many addresses it can give: all but the gateways. Saturates.
    pub fn size(&self) -> u128 {
        self.0.iter().fold(0, |sum, range| sum.saturating_add(range.size()))
    }
}

/// `a-b,c-d`, as host-local prints a set.
impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, range) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            range.fmt(f)?;
        }
        Ok(())
    }
}
