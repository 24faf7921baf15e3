//! MAC addresses, and addresses that go with them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{AddressList, Family};
use crate::Mac;

/// MAC addresses in their order, none twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MacList(Vec<Mac>);

impl MacList {
    /// # Errors
    /// The first one that comes a second time.
    pub fn new(macs: Vec<Mac>) -> Result<MacList, Mac> {
        let mut seen = BTreeSet::new();
        match macs.iter().find(|mac| !seen.insert(**mac)) {
            Some(mac) => Err(*mac),
            None => Ok(MacList(macs)),
        }
    }

    /// The addresses in their order.
    pub fn as_slice(&self) -> &[Mac] {
        &self.0
    }
}

/// Addresses to choose from, and MACs. With both, they are pairs: the nth address of each family has the nth MAC, and
/// each family that is there has as many addresses as there are MACs. One MAC alone goes with any address; several
/// alone are refused where addresses are given, since nothing says which pod has which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    ips: AddressList,
    macs: MacList,
}

impl Pairs {
    /// # Errors
    /// The family that has more or fewer addresses than there are MACs.
    pub fn new(ips: AddressList, macs: MacList) -> Result<Pairs, Family> {
        let unlike = |family: &Family| {
            let count = ips.count(*family);
            count != 0 && count != macs.0.len() as u128
        };
        match Family::BOTH.into_iter().find(unlike) {
            Some(family) if !macs.0.is_empty() => Err(family),
            _ => Ok(Pairs { ips, macs }),
        }
    }

    /// The addresses, of both families.
    pub fn ips(&self) -> &AddressList {
        &self.ips
    }

    /// The MACs.
    pub fn macs(&self) -> &[Mac] {
        self.macs.as_slice()
    }

    /// The addresses of a family in their order, each with its MAC where there are MACs.
    pub fn of(&self, family: Family) -> impl Iterator<Item = (IpAddr, Option<Mac>)> + '_ {
        let macs = self.macs.0.iter().map(|mac| Some(*mac)).chain(std::iter::repeat(None));
        self.ips.iter(family).zip(macs)
    }

    /// The MAC that goes with an address of the list.
    pub fn mac_of(&self, address: IpAddr) -> Option<Mac> {
        let place = usize::try_from(self.ips.place(address)?).ok()?;
        self.macs.0.get(place).copied()
    }
}
