use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// A set of addresses of both families, kept as runs: its size in memory is the number of its gaps, so
/// `::/0` costs no more than one address. IPv4 addresses in IPv6 form are IPv6 addresses here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Addresses {
    v4: Runs,
    v6: Runs,
}

/// Runs of numbers, both ends included, in order, with a gap between any two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Runs(Vec<(u128, u128)>);

impl Runs {
    fn insert(&mut self, from: u128, to: u128) {
        // Those that the new run meets or touches become part of it.
        let start = self.0.partition_point(|run| run.1.checked_add(1).is_some_and(|next| next < from));
        let touches = |run: &(u128, u128)| to.checked_add(1).is_none_or(|next| run.0 <= next);
        let end = start + self.0[start..].partition_point(touches);
        let merged = match self.0[start..end] {
            [] => (from, to),
            [first, .., last] => (from.min(first.0), to.max(last.1)),
            [only] => (from.min(only.0), to.max(only.1)),
        };
        self.0.splice(start..end, [merged]);
    }

    fn remove(&mut self, from: u128, to: u128) {
        let start = self.0.partition_point(|run| run.1 < from);
        let end = start + self.0[start..].partition_point(|run| run.0 <= to);
        let mut rest = Vec::with_capacity(2);
        for (n, run) in self.0[start..end].iter().enumerate() {
            if n == 0 && run.0 < from {
                rest.push((run.0, from - 1));
            }
            if start + n + 1 == end && run.1 > to {
                rest.push((to + 1, run.1));
            }
        }
        self.0.splice(start..end, rest);
    }

    /// The run that has the number.
    fn run_of(&self, number: u128) -> Option<(u128, u128)> {
        let place = self.0.partition_point(|run| run.1 < number);
        self.0.get(place).copied().filter(|run| run.0 <= number)
    }

    fn first_gap(&self, from: u128, to: u128) -> Option<u128> {
        let free = match self.run_of(from) {
            None => from,
            Some((_, end)) => end.checked_add(1)?,
        };
        (free <= to).then_some(free)
    }

    fn len(&self) -> u128 {
        self.0.iter().fold(0, |sum: u128, (from, to)| sum.saturating_add((to - from).saturating_add(1)))
    }
}

impl Addresses {
    /// The empty set.
    pub fn new() -> Addresses {
        Addresses::default()
    }

    /// Adds one address.
    pub fn insert(&mut self, address: IpAddr) {
        self.insert_run(address, address);
    }

    /// Adds all addresses of a subnet, network and broadcast address included.
    pub fn insert_net(&mut self, net: IpNet) {
        self.insert_run(net.network(), net.broadcast());
    }

    /// Adds the addresses from one to the other, both included. Adds none when they are of different
    /// families or in the wrong order.
    pub fn insert_run(&mut self, from: IpAddr, to: IpAddr) {
        if let Some((runs, from, to)) = self.runs_mut(from, to) {
            runs.insert(from, to);
        }
    }

    /// Takes one address out.
    pub fn remove(&mut self, address: IpAddr) {
        self.remove_run(address, address);
    }

    /// Takes all addresses of a subnet out.
    pub fn remove_net(&mut self, net: IpNet) {
        self.remove_run(net.network(), net.broadcast());
    }

    /// Takes the addresses from one to the other out, both included. Takes none out when they are of
    /// different families or in the wrong order.
    pub fn remove_run(&mut self, from: IpAddr, to: IpAddr) {
        if let Some((runs, from, to)) = self.runs_mut(from, to) {
            runs.remove(from, to);
        }
    }

    /// Whether the address is in the set.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.run_of(u32::from(address).into()),
            IpAddr::V6(address) => self.v6.run_of(address.into()),
        }
        .is_some()
    }

    /// How many addresses the set has. Saturates at 2¹²⁸ − 1.
    pub fn len(&self) -> u128 {
        self.v4.len().saturating_add(self.v6.len())
    }

    /// Whether the set has no address.
    pub fn is_empty(&self) -> bool {
        self.v4.0.is_empty() && self.v6.0.is_empty()
    }

    /// The lowest address from one to the other, both included, that is not in the set. `None` when there
    /// is none, or the two are of different families.
    pub fn first_gap(&self, from: IpAddr, to: IpAddr) -> Option<IpAddr> {
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                self.v4.first_gap(u32::from(from).into(), u32::from(to).into()).map(v4)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => self.v6.first_gap(from.into(), to.into()).map(v6),
            _ => None,
        }
    }

    /// The runs of the set, first and last address of each, IPv4 first, lowest first.
    pub fn runs(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> {
        let v4s = self.v4.0.iter().map(|(from, to)| (v4(*from), v4(*to)));
        v4s.chain(self.v6.0.iter().map(|(from, to)| (v6(*from), v6(*to))))
    }

    /// The addresses of the set, IPv4 first, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        let v4s = self.v4.0.iter().flat_map(|(from, to)| (*from..=*to).map(v4));
        v4s.chain(self.v6.0.iter().flat_map(|(from, to)| (*from..=*to).map(v6)))
    }

    fn runs_mut(&mut self, from: IpAddr, to: IpAddr) -> Option<(&mut Runs, u128, u128)> {
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) if from <= to => {
                Some((&mut self.v4, u32::from(from).into(), u32::from(to).into()))
            }
            (IpAddr::V6(from), IpAddr::V6(to)) if from <= to => Some((&mut self.v6, from.into(), to.into())),
            _ => None,
        }
    }
}

fn v4(number: u128) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)))
}

fn v6(number: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(number))
}
