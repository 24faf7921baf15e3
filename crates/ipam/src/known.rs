//! What is known of a lease directory's content: from reading all of it, or from its index.

use rustix::io::Errno;

use crate::disk::{Disk, PASSING};
use crate::error::Result;
use crate::index::Index;
use crate::lease::{Owner, Record};
use crate::range::{address_of, number_of};

/// One lease: its address as a number, and a hash of its owner that finds it again. 0 is nobody.
///
/// In halves: a `u128` would make it 32 bytes instead of 24, and 60,000 of them are most of the plugin's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    high: u64,
    low: u64,
    pub(crate) hash: u64,
}

impl Entry {
    pub(crate) fn new(number: u128, hash: u64) -> Self {
        let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
        Self { high: half(number >> 64), low: half(number), hash }
    }

    pub(crate) fn number(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }
}

/// All leases in memory, by number.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) entries: Vec<Entry>,
    /// Whether there is a lease in the old form.
    pub(crate) legacy: bool,
}

#[derive(Debug)]
pub(crate) enum Known {
    Scanned(Scan),
    Indexed(Index),
}

/// The hash of an owner, never 0.
pub(crate) fn owner_hash(owner: &Owner) -> u64 {
    hash(&[owner.container_id.as_bytes(), b"\r\n", owner.ifname.as_bytes()])
}

/// The hash of a container in the old form, never 0.
pub(crate) fn legacy_hash(container_id: &str) -> u64 {
    hash(&[container_id.as_bytes()])
}

pub(crate) fn record_hash(record: &Record) -> u64 {
    match record {
        Record::Owned(owner) => owner_hash(owner),
        Record::Legacy(id) => legacy_hash(id),
        Record::Torn | Record::Foreign => 0,
    }
}

/// FNV-1a with a last mix. It only has to spread: what it finds is compared with the file.
pub(crate) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().copied().flatten() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    mix(hash).max(1)
}

/// Spreads the bits of a number over all its places (the last step of splitmix64).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The number of the address that a file's name is, if it is one in its usual form.
pub(crate) fn number_of_name(name: &str) -> Option<u128> {
    let address: std::net::IpAddr = name.parse().ok()?;
    let number = number_of(address);
    (name_of(number) == name).then_some(number)
}

/// The file name of a number: the address as text.
pub(crate) fn name_of(number: u128) -> String {
    address_of(number, true).to_string()
}

impl Scan {
    /// Reads the directory. Removes what a crash left: files without an owner, which host-local makes
    /// when it dies between create and write, and files that were on their way to another name. Nobody
    /// is writing them, as we hold the lock. Says whether something was removed.
    ///
    /// `each` is called with every lease, lowest address first.
    pub(crate) fn read(disk: &Disk, each: &mut dyn FnMut(u128, Record)) -> Result<(Scan, bool)> {
        // Counted first, so that the list is made once at its length: it is most of the plugin's memory.
        let mut count = 0;
        disk.names(&mut |name| count += usize::from(number_of_name(name).is_some()))?;
        let mut scan = Scan { entries: Vec::with_capacity(count + 2), legacy: false };
        let mut left_over = Vec::new();
        disk.names(&mut |name| {
            if let Some(number) = number_of_name(name) {
                scan.entries.push(Entry::new(number, 0));
            } else if name.starts_with(PASSING) {
                left_over.push(name.to_owned());
            }
        })?;
        scan.entries.sort_unstable_by_key(|entry| entry.number());
        let mut failed = None;
        scan.entries.retain_mut(|entry| {
            let name = name_of(entry.number());
            let record = if failed.is_none() { disk.record(&name) } else { Ok(None) };
            match record {
                Ok(None) => false,
                Ok(Some(Record::Torn)) => {
                    left_over.push(name);
                    false
                }
                Ok(Some(record)) => {
                    scan.legacy |= matches!(record, Record::Legacy(_));
                    entry.hash = record_hash(&record);
                    each(entry.number(), record);
                    true
                }
                Err(error) => {
                    failed = Some(error);
                    false
                }
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        for name in &left_over {
            disk.remove(name)?;
        }
        Ok((scan, !left_over.is_empty()))
    }

    fn first_free(&self, from: u128, to: u128) -> Option<u128> {
        let mut place = self.entries.partition_point(|entry| entry.number() < from);
        let mut number = from;
        while self.entries.get(place).is_some_and(|entry| entry.number() == number) {
            if number == to {
                return None;
            }
            number += 1;
            place += 1;
        }
        Some(number)
    }
}

impl Known {
    /// The numbers whose owner has one of these hashes, lowest first.
    pub(crate) fn with_hash(&self, hash: u64) -> std::result::Result<Vec<u128>, Errno> {
        match self {
            Known::Scanned(scan) => {
                Ok(scan.entries.iter().filter(|entry| entry.hash == hash).map(|e| e.number()).collect())
            }
            Known::Indexed(index) => index.with_hash(hash),
        }
    }

    /// Whether leases in the old form have to be looked for.
    pub(crate) fn has_legacy(&self) -> bool {
        match self {
            Known::Scanned(scan) => scan.legacy,
            Known::Indexed(index) => index.has_legacy(),
        }
    }

    /// The first number from `from` to `to`, both included, that nobody has.
    pub(crate) fn first_free(&mut self, from: u128, to: u128) -> std::result::Result<Option<u128>, Errno> {
        match self {
            Known::Scanned(scan) => Ok(scan.first_free(from, to)),
            Known::Indexed(index) => index.first_free(from, to),
        }
    }

    pub(crate) fn add(&mut self, disk: &Disk, entry: Entry) -> std::result::Result<(), Errno> {
        match self {
            Known::Scanned(scan) => {
                if let Err(place) = scan.entries.binary_search_by_key(&entry.number(), |e| e.number()) {
                    scan.entries.insert(place, entry);
                }
                Ok(())
            }
            Known::Indexed(index) => index.add(disk.steps(), entry),
        }
    }

    pub(crate) fn remove(&mut self, disk: &Disk, entry: Entry) -> std::result::Result<(), Errno> {
        match self {
            Known::Scanned(scan) => {
                if let Ok(place) = scan.entries.binary_search_by_key(&entry.number(), |e| e.number()) {
                    scan.entries.remove(place);
                }
                Ok(())
            }
            Known::Indexed(index) => index.remove(disk.steps(), entry),
        }
    }
}
