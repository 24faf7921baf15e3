//! Giving addresses: the order of the round, requested addresses, all sets or none.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::{Error, Exhausted, Result};
use crate::known::{Entry, name_of, owner_hash};
use crate::lease::{Claim, Lease, Owner, parse_cursor};
use crate::lease_dir::LeaseDir;
use crate::range::{Range, address_of, number_of};
use crate::range_set::RangeSet;

/// How many holders an error about an exhausted set names, and how many addresses it asks for them.
const HOLDERS: usize = 5;
const HOLDER_TRIES: usize = 64;

impl LeaseDir {
    /// Gives the owner one address of each set: a requested one where the set has it, otherwise the next
    /// free one after the set's cursor that `skip` does not refuse. All or none. Requested addresses are
    /// not asked of `skip`: who names an address wants that one or an error.
    ///
    /// # Errors
    /// With host-local's texts: see `Error`. As with host-local, the cursors of the sets before the one
    /// that failed have moved on.
    pub fn allocate(
        &mut self,
        owner: &Owner,
        sets: &[RangeSet],
        requested: &[IpAddr],
        skip: &dyn Fn(IpAddr) -> bool,
    ) -> Result<Vec<Claim>> {
        let mut claims = Vec::with_capacity(sets.len());
        let done = self.allocate_each(owner, sets, requested, skip, &mut claims).and_then(|()| self.settle());
        self.all_or_none(owner, done, claims)
    }

    /// Gives the owner one more address of the set, which is the one at `index` of its configuration: the
    /// next free one, whatever it holds already. For an address that turned out to be in use on the wire.
    ///
    /// # Errors
    /// As `allocate`.
    pub fn allocate_another(
        &mut self,
        owner: &Owner,
        set: &RangeSet,
        index: usize,
        skip: &dyn Fn(IpAddr) -> bool,
    ) -> Result<Claim> {
        let claim = self.take_next(owner, set, index, skip).map_err(|error| in_set(index, error))?;
        let done = self.settle();
        self.all_or_none(owner, done, vec![claim])?;
        Ok(claim)
    }

    /// Whether the set has an address to give that `skip` does not refuse.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn has_free(&mut self, set: &RangeSet, skip: &dyn Fn(IpAddr) -> bool) -> Result<bool> {
        let found = self.next_free(set, None, skip, &mut |_, _| Ok(true))?;
        Ok(found.is_ok())
    }

    fn all_or_none(&mut self, owner: &Owner, done: Result<()>, claims: Vec<Claim>) -> Result<Vec<Claim>> {
        let Err(error) = done else { return Ok(claims) };
        let hash = owner_hash(owner);
        for claim in claims {
            // What cannot be undone stays the owner's, and goes with its release.
            let _ = self.forget(Entry::new(number_of(claim.address.addr()), hash));
        }
        let _ = self.settle();
        Err(error)
    }

    fn allocate_each(
        &mut self,
        owner: &Owner,
        sets: &[RangeSet],
        requested: &[IpAddr],
        skip: &dyn Fn(IpAddr) -> bool,
        claims: &mut Vec<Claim>,
    ) -> Result<()> {
        // First of all clear away what a crash left.
        self.known()?;
        let mut wanted: Vec<IpAddr> = Vec::with_capacity(requested.len());
        for address in requested.iter().map(IpAddr::to_canonical) {
            if !wanted.contains(&address) {
                wanted.push(address);
            }
        }
        for (index, set) in sets.iter().enumerate() {
            let claim = match wanted.iter().position(|address| set.contains(*address)) {
                Some(place) => self.take_requested(owner, set, index, wanted.remove(place)),
                None => self.refuse_second(owner, set).and_then(|()| self.take_next(owner, set, index, skip)),
            };
            claims.push(claim.map_err(|error| in_set(index, error))?);
        }
        if wanted.is_empty() { Ok(()) } else { Err(Error::Unfulfilled(wanted)) }
    }

    fn refuse_second(&mut self, owner: &Owner, set: &RangeSet) -> Result<()> {
        let mut numbers = self.held(owner, false)?;
        if self.known()?.has_legacy() {
            numbers.extend(self.held(owner, true)?);
        }
        let mut addresses = numbers.into_iter().map(|number| address_of(number, true));
        match addresses.find(|address| set.contains(*address)) {
            Some(address) => Err(Error::Duplicate { address, container_id: owner.container_id.clone() }),
            None => Ok(()),
        }
    }

    fn take_requested(
        &mut self,
        owner: &Owner,
        set: &RangeSet,
        index: usize,
        address: IpAddr,
    ) -> Result<Claim> {
        let Some(range) = set.range_for(address) else {
            return Err(Error::NotInSet(address, set.to_string()));
        };
        if address == range.gateway() {
            return Err(Error::IsGateway(address));
        }
        let number = number_of(address);
        if self.disk.has(&name_of(number)) || !self.take(owner, number, index)? {
            return Err(Error::NotAvailable(address, set.to_string()));
        }
        Ok(claim(address, range, index))
    }

    fn take_next(
        &mut self,
        owner: &Owner,
        set: &RangeSet,
        index: usize,
        skip: &dyn Fn(IpAddr) -> bool,
    ) -> Result<Claim> {
        let cursor = self.cursor(index);
        let found = self.next_free(set, cursor, skip, &mut |dir, number| dir.take(owner, number, index))?;
        match found {
            Ok((address, range)) => Ok(claim(address, range, index)),
            Err(skipped) => Err(self.exhausted(set, skipped)),
        }
    }

    /// The first free address of the round for which `take` says true, with its range; or how many were
    /// left out because of `skip`.
    #[allow(clippy::type_complexity)] // a result inside a result is the plainest form here
    fn next_free<'a>(
        &mut self,
        set: &'a RangeSet,
        cursor: Option<IpAddr>,
        skip: &dyn Fn(IpAddr) -> bool,
        take: &mut dyn FnMut(&mut LeaseDir, u128) -> Result<bool>,
    ) -> Result<std::result::Result<(IpAddr, &'a Range), usize>> {
        let mut skipped = 0;
        for stretch in set.stretches(cursor) {
            let mut from = stretch.from;
            loop {
                let Ok(found) = self.known()?.first_free(from, stretch.to) else {
                    self.rescan(&mut |_, _| {})?;
                    continue;
                };
                let Some(number) = found else { break };
                let address = address_of(number, stretch.range.is_ipv4());
                if address == stretch.range.gateway() {
                } else if skip(address) {
                    skipped += 1;
                } else if take(self, number)? {
                    return Ok(Ok((address, stretch.range)));
                } else if self.is_indexed() {
                    // The index takes a lease for free: it is worth nothing.
                    self.rescan(&mut |_, _| {})?;
                    continue;
                }
                if number == stretch.to {
                    break;
                }
                from = number + 1;
            }
        }
        Ok(Err(skipped))
    }

    /// Makes the lease's file and moves the cursor. False when the address is taken.
    fn take(&mut self, owner: &Owner, number: u128, index: usize) -> Result<bool> {
        let name = name_of(number);
        let record = owner.record_text();
        self.changed = true;
        let claimed = self.disk.claim((&name, record.as_bytes()), (&cursor_name(index), name.as_bytes()));
        match claimed {
            Ok(true) => self.note_made(Entry::new(number, owner_hash(owner))),
            Ok(false) => {}
            Err(_) => {
                // Whether the file is there is not sure, so what is known of the directory is not either.
                self.known = None;
                let _ = self.settle();
            }
        }
        claimed
    }

    fn cursor(&self, index: usize) -> Option<IpAddr> {
        let mut content = [0; 64];
        let length = self.disk.read(&cursor_name(index), &mut content).ok()?;
        parse_cursor(&content[..length])
    }

    fn exhausted(&self, set: &RangeSet, skipped: usize) -> Error {
        let mut holders = Vec::new();
        for (address, _) in set.round(None).take(HOLDER_TRIES) {
            if let Ok(Some(record)) = self.disk.record(&name_of(number_of(address))) {
                holders.push(Lease { address, record });
            }
            if holders.len() == HOLDERS {
                break;
            }
        }
        Error::Exhausted(Box::new(Exhausted {
            set: set.to_string(),
            subnets: set.ranges().iter().map(Range::subnet).collect(),
            size: set.size(),
            skipped,
            holders,
        }))
    }
}

fn claim(address: IpAddr, range: &Range, set: usize) -> Claim {
    let length = range.subnet().prefix_len();
    // The length is that of a subnet of the same family.
    let address = IpNet::new(address, length).unwrap_or_else(|_| IpNet::from(address));
    Claim { address, gateway: Some(range.gateway()), set }
}

fn cursor_name(index: usize) -> String {
    format!("last_reserved_ip.{index}")
}

fn in_set(index: usize, source: Error) -> Error {
    Error::InSet { index, source: Box::new(source) }
}
