//! Addresses in the order in which they are to be tried.

use std::fmt;
use std::net::IpAddr;

use super::Family;

/// Addresses of one family that follow each other, both ends included. Both ends are addresses that an interface can
/// have: not unspecified, loopback, multicast or broadcast. An IPv4 address in IPv6 form is taken as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpRange {
    first: IpAddr,
    last: IpAddr,
}

impl IpRange {
    /// `None` for ends of two families, in the wrong order, or that no interface can have.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<IpRange> {
        let (first, last) = (first.to_canonical(), last.to_canonical());
        let fits = Family::of(first) == Family::of(last) && first <= last;
        (fits && is_usable(first) && is_usable(last)).then_some(IpRange { first, last })
    }

    /// `10.0.0.5` or `10.0.0.5-10.0.0.9`, white space around addresses allowed. `None` as in [`Self::new`].
    pub fn parse(text: &str) -> Option<IpRange> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        IpRange::new(first.trim().parse().ok()?, last.trim().parse().ok()?)
    }

    /// The first address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address, which may be the first.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// The family of all its addresses.
    pub fn family(&self) -> Family {
        Family::of(self.first)
    }

    /// Whether the address is one of these.
    pub fn contains(&self, address: IpAddr) -> bool {
        // Of another family it is below the first or above the last.
        self.first <= address && address <= self.last
    }

    /// How many addresses; at least one, saturates at 2¹²⁸ − 1.
    pub fn count(&self) -> u128 {
        (number(self.last) - number(self.first)).saturating_add(1)
    }

    /// The address with this place, counted from 0; the last one for a place after the end.
    fn at(&self, place: u128) -> IpAddr {
        let number = number(self.first).saturating_add(place).min(number(self.last));
        match self.first {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(number).unwrap_or(u32::MAX).into()),
            IpAddr::V6(_) => IpAddr::V6(number.into()),
        }
    }

    fn is_followed_by(&self, next: &IpRange) -> bool {
        self.family() == next.family() && number(self.last).checked_add(1) == Some(number(next.first))
    }
}

/// `a` or `a-b`.
impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn is_usable(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || broadcast)
}

/// Addresses of both families in their order, none twice. Kept as ranges: what it costs is the number of its gaps.
/// Two lists are equal when they have the same addresses in the same order, however they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressList(Vec<IpRange>);

impl AddressList {
    /// # Errors
    /// The lowest address that comes twice.
    pub fn new(items: impl IntoIterator<Item = IpRange>) -> Result<AddressList, IpAddr> {
        let mut ranges: Vec<IpRange> = Vec::new();
        for item in items {
            match ranges.last_mut() {
                Some(range) if range.is_followed_by(&item) => range.last = item.last,
                _ => ranges.push(item),
            }
        }
        let mut sorted = ranges.clone();
        sorted.sort_unstable_by_key(|range| range.first);
        match sorted.windows(2).find(|pair| pair[1].first <= pair[0].last) {
            Some(pair) => Err(pair[1].first),
            None => Ok(AddressList(ranges)),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The addresses as ranges, in their order.
    pub fn ranges(&self) -> &[IpRange] {
        &self.0
    }

    /// How many addresses of a family; saturates at 2¹²⁸ − 1.
    pub fn count(&self, family: Family) -> u128 {
        self.of(family).fold(0, |sum: u128, range| sum.saturating_add(range.count()))
    }

    /// The addresses of a family in their order, one by one: there may be 2¹²⁸ of them.
    pub fn iter(&self, family: Family) -> impl Iterator<Item = IpAddr> + '_ {
        self.of(family).flat_map(|range| (0..range.count()).map(|place| range.at(place)))
    }

    /// The place of an address among those of its family, counted from 0.
    pub fn place(&self, address: IpAddr) -> Option<u128> {
        let address = address.to_canonical();
        let mut before: u128 = 0;
        for range in self.of(Family::of(address)) {
            if range.contains(address) {
                return Some(before.saturating_add(number(address) - number(range.first)));
            }
            before = before.saturating_add(range.count());
        }
        None
    }

    fn of(&self, family: Family) -> impl Iterator<Item = &IpRange> {
        self.0.iter().filter(move |range| range.family() == family)
    }
}
