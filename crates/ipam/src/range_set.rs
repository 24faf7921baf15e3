use std::fmt;
use std::net::IpAddr;

use crate::error::{Error, Result};
use crate::range::Range;

/// Ranges of one family that share no address. An attachment gets one address of each set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeSet(Vec<Range>);

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
