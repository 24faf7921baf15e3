use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Stat, Timespec};

use crate::disk::{Disk, Steps};
use crate::error::{Error, Result};
use crate::index::{Index, SMALL};
use crate::known::{Entry, Known, Scan, legacy_hash, name_of, number_of_name, owner_hash, record_hash};
use crate::lease::{Lease, Owner, Record};
use crate::range::{address_of, number_of};
use crate::range_set::RangeSet;

/// The directory of one network's leases, `<data_dir>/<network>/`, locked: as long as the value lives,
/// neither another process of ours nor the reference plugin changes it.
///
/// One file per address, named by it, with the owner's two names; `last_reserved_ip.N`, the cursor of the
/// N-th set; `lock`. A reader finds every file whole or not at all, at every instant.
#[derive(Debug)]
pub struct LeaseDir {
    pub(crate) disk: Disk,
    /// Closing it unlocks.
    _lock: OwnedFd,
    index_dir: Option<PathBuf>,
    pub(crate) known: Option<Known>,
    /// Whether a file was made or removed since the last `settle`.
    pub(crate) changed: bool,
}

impl LeaseDir {
    /// Makes the directory if it is not there and waits for its lock. `index_dir` is where the index for
    /// large directories lives (`/run/llano/ipam`); without it every operation reads the whole directory.
    ///
    /// # Errors
    /// The network's name cannot name a directory; the directory or its lock cannot be made or opened.
    pub fn open(data_dir: &Path, network: &str, index_dir: Option<&Path>) -> Result<LeaseDir> {
        LeaseDir::open_with(data_dir, network, index_dir, Steps::default())
    }

    pub(crate) fn open_with(
        data_dir: &Path,
        network: &str,
        index_dir: Option<&Path>,
        steps: Steps,
    ) -> Result<LeaseDir> {
        check_network(network)?;
        let (disk, lock) = Disk::open_locked(&data_dir.join(network), steps)?;
        let index_dir = index_dir.map(Path::to_owned);
        Ok(LeaseDir { disk, _lock: lock, index_dir, known: None, changed: false })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.disk.path()
    }

    /// Releases all addresses of the owner; when there are none, those of its container in the old form.
    /// Gives the addresses released; none is no error.
    ///
    /// # Errors
    /// The directory cannot be read or a file cannot be removed; the others were removed nevertheless.
    pub fn release(&mut self, owner: &Owner) -> Result<Vec<IpAddr>> {
        let mut hash = owner_hash(owner);
        let mut numbers = self.held(owner, false)?;
        if numbers.is_empty() && self.known()?.has_legacy() {
            hash = legacy_hash(&owner.container_id);
            numbers = self.held(owner, true)?;
        }
        let mut failed = None;
        let mut released = Vec::with_capacity(numbers.len());
        for number in numbers {
            match self.forget(Entry::new(number, hash)) {
                Ok(()) => released.push(address_of(number, true)),
                Err(error) => failed = Some(error),
            }
        }
        self.settle()?;
        failed.map_or(Ok(released), Err)
    }

    /// Releases one address if it is the owner's; says whether it was.
    ///
    /// # Errors
    /// The file cannot be read or removed.
    pub fn release_address(&mut self, owner: &Owner, address: IpAddr) -> Result<bool> {
        let number = number_of(address);
        let Some(record) = self.disk.record(&name_of(number))? else { return Ok(false) };
        if !record.is_of(owner) && !record.is_legacy_of(owner) {
            return Ok(false);
        }
        self.known()?;
        self.forget(Entry::new(number, record_hash(&record)))?;
        self.settle()?;
        Ok(true)
    }

    /// The addresses of the owner, those of its container in the old form included, lowest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn find(&mut self, owner: &Owner) -> Result<Vec<IpAddr>> {
        let mut numbers = self.held(owner, false)?;
        if self.known()?.has_legacy() {
            numbers.extend(self.held(owner, true)?);
            numbers.sort_unstable();
        }
        self.settle()?;
        Ok(numbers.into_iter().map(|number| address_of(number, true)).collect())
    }

    /// Releases every lease whose owner is not `valid`, and gives them. Leases in the old form and files
    /// with unknown content name no attachment and are kept.
    ///
    /// # Errors
    /// The directory cannot be read or a file cannot be removed; the others were removed nevertheless.
    pub fn retain(&mut self, valid: &dyn Fn(&Owner) -> bool) -> Result<Vec<(IpAddr, Owner)>> {
        let mut stale = Vec::new();
        self.rescan(&mut |number, record| {
            if let Record::Owned(owner) = record
                && !valid(&owner)
            {
                stale.push((number, owner));
            }
        })?;
        let mut failed = None;
        let mut released = Vec::with_capacity(stale.len());
        for (number, owner) in stale {
            match self.forget(Entry::new(number, owner_hash(&owner))) {
                Ok(()) => released.push((address_of(number, true), owner)),
                Err(error) => failed = Some(error),
            }
        }
        self.settle()?;
        failed.map_or(Ok(released), Err)
    }

    /// All leases, lowest address first, IPv4 before IPv6 of networks in use. Reads every file.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn leases(&mut self) -> Result<Vec<Lease>> {
        let mut leases = Vec::new();
        self.rescan(&mut |number, record| leases.push(Lease { address: address_of(number, true), record }))?;
        self.settle()?;
        Ok(leases)
    }

    /// How many addresses of the set can still be given, quarantine not counted. Saturates.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn free(&self, set: &RangeSet) -> Result<u128> {
        let mut taken = 0;
        self.disk.names(&mut |name| {
            if let Some(number) = number_of_name(name) {
                let address = address_of(number, true);
                if set.range_for(address).is_some_and(|range| range.gateway() != address) {
                    taken += 1;
                }
            }
        })?;
        Ok(set.size().saturating_sub(taken))
    }

    /// What is known of the content: from the index if it is of the directory's present state.
    pub(crate) fn known(&mut self) -> Result<&mut Known> {
        let known = match self.known.take() {
            Some(known) => known,
            None => match self.index() {
                Some(index) => Known::Indexed(index),
                None => self.scan(&mut |_, _| {})?,
            },
        };
        Ok(self.known.insert(known))
    }

    fn index(&self) -> Option<Index> {
        Index::open(self.index_dir.as_deref()?, &self.disk.stat().ok()?)
    }

    fn scan(&mut self, each: &mut dyn FnMut(u128, Record)) -> Result<Known> {
        let (scan, removed) = Scan::read(&self.disk, each)?;
        self.changed |= removed;
        Ok(Known::Scanned(scan))
    }

    /// Reads the directory, whatever the index says.
    pub(crate) fn rescan(&mut self, each: &mut dyn FnMut(u128, Record)) -> Result<()> {
        self.known = None;
        let known = self.scan(each)?;
        self.known = Some(known);
        Ok(())
    }

    pub(crate) fn is_indexed(&self) -> bool {
        matches!(self.known, Some(Known::Indexed(_)))
    }

    /// The numbers that the owner holds in one of the two forms, each seen in its file.
    pub(crate) fn held(&mut self, owner: &Owner, legacy: bool) -> Result<Vec<u128>> {
        let hash = if legacy { legacy_hash(&owner.container_id) } else { owner_hash(owner) };
        loop {
            let Ok(mut numbers) = self.known()?.with_hash(hash) else {
                self.rescan(&mut |_, _| {})?;
                continue;
            };
            let mut wrong = None;
            numbers.retain(|number| match self.disk.record(&name_of(*number)) {
                Ok(Some(record)) if legacy && record.is_legacy_of(owner) => true,
                Ok(Some(record)) if !legacy && record.is_of(owner) => true,
                // Another owner with the same hash.
                Ok(Some(record)) if record_hash(&record) == hash => false,
                Ok(_) => {
                    wrong = Some(Ok(()));
                    false
                }
                Err(error) => {
                    wrong = Some(Err(error));
                    false
                }
            });
            match wrong {
                Some(Err(error)) => return Err(error),
                Some(Ok(())) if self.is_indexed() => self.rescan(&mut |_, _| {})?,
                _ => return Ok(numbers),
            }
        }
    }

    /// Notes a lease whose file was made.
    pub(crate) fn note_made(&mut self, entry: Entry) {
        self.changed = true;
        if let Some(known) = &mut self.known
            && known.add(&self.disk, entry).is_err()
        {
            // The directory's time of change is not the index's any more, so nobody believes it.
            self.known = None;
        }
    }

    /// Removes a lease's file.
    pub(crate) fn forget(&mut self, entry: Entry) -> Result<()> {
        self.disk.remove(&name_of(entry.number()))?;
        self.changed = true;
        if let Some(known) = &mut self.known
            && known.remove(&self.disk, entry).is_err()
        {
            self.known = None;
        }
        Ok(())
    }

    /// Makes what was done durable, and the index (if there is one, or should be) that of the directory.
    pub(crate) fn settle(&mut self) -> Result<()> {
        let stamp = if self.wants_stamp() { self.stamp() } else { None };
        if self.changed {
            self.disk.sync()?;
            self.changed = false;
        }
        let (Some(stamp), Some(known)) = (stamp, self.known.take()) else { return Ok(()) };
        self.known = match (known, &self.index_dir) {
            (Known::Indexed(mut index), _) => {
                index.seal(&stamp, self.disk.steps()).is_ok().then_some(Known::Indexed(index))
            }
            (Known::Scanned(scan), Some(dir)) => match Index::build(dir, &stamp, &scan, self.disk.steps()) {
                Ok(index) => Some(Known::Indexed(index)),
                Err(_) => Some(Known::Scanned(scan)),
            },
            (known, None) => Some(known),
        };
        Ok(())
    }

    fn wants_stamp(&self) -> bool {
        match &self.known {
            // A crowded one is left behind: the next operation reads the directory and builds a larger one.
            Some(Known::Indexed(index)) => self.changed && !index.is_crowded(),
            Some(Known::Scanned(scan)) => self.index_dir.is_some() && scan.entries.len() >= SMALL,
            None => false,
        }
    }

    /// Gives the directory a time of change that nobody else gives it: a random instant of the second
    /// before the present one. `None` where the file system keeps no such times, or does not let us.
    fn stamp(&self) -> Option<Stat> {
        let mut random = [0; 4];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).ok()?;
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let nsec = u32::from_le_bytes(random) % 1_000_000_000;
        let time = Timespec { tv_sec: now.tv_sec - 1, tv_nsec: nsec.into() };
        self.disk.set_mtime(time).ok()?;
        let stat = self.disk.stat().ok()?;
        (stat.st_mtime == time.tv_sec && stat.st_mtime_nsec == u64::from(nsec)).then_some(stat)
    }
}

/// Refuses a name that would lead out of the data directory, or to itself.
pub(crate) fn check_network(network: &str) -> Result<()> {
    if matches!(network, "" | "." | "..") || network.contains(['/', '\0']) {
        return Err(Error::NetworkName(network.to_owned()));
    }
    Ok(())
}
