//! What QEMU's `blklogwrites` writes down: each write and each flush that the guest was told is done, in the format of
//! the kernel's dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst).

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::{Error, Result};

const SECTOR: usize = 512;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// One entry: what was written where, and whether everything before it is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry<'a> {
    offset: u64,
    flags: u64,
    data: &'a [u8],
}

/// The entries up to where the log breaks off; a machine that is killed may leave half an entry.
fn entries(log: &[u8]) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let mut rest = log.get(SECTOR..).unwrap_or_default(); // the first sector tells about the log
    while let Some((head, after)) = rest.split_at_checked(SECTOR) {
        let field = |n: usize| -> u64 {
            let bytes = head.get(8 * n..8 * n + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_le_bytes)
        };
        let (sector, sectors, flags) = (field(0), field(1), field(2));
        if sectors == 0 && flags == 0 {
            break; // a hole: written later than what follows, and never
        }
        let length = if flags & DISCARD == 0 { usize::try_from(sectors).unwrap_or(usize::MAX) } else { 0 };
        let Some((data, after)) = after.split_at_checked(length.saturating_mul(SECTOR)) else { break };
        entries.push(Entry { offset: sector.saturating_mul(SECTOR as u64), flags, data });
        rest = after;
    }
    entries
}

/// Writes the log's content to the disk at `path`: all up to the last flush, and of what follows each write or not, as
/// the seed decides. Returns how many writes were left out.
pub(super) fn replay(log: &[u8], path: &Path, seed: u64) -> Result<usize> {
    let entries = entries(log);
    let safe = entries.iter().rposition(|entry| entry.flags & FLUSH != 0).map_or(0, |at| at + 1);
    let disk = OpenOptions::new().write(true).open(path).map_err(Error::io("open", path))?;
    let mut random = Random(seed);
    let mut lost = 0;
    for (n, entry) in entries.iter().enumerate() {
        if entry.data.is_empty() {
            continue;
        }
        if n >= safe && entry.flags & FUA == 0 && random.next() & 1 == 0 {
            lost += 1;
            continue;
        }
        disk.write_all_at(entry.data, entry.offset).map_err(Error::io("write", path))?;
    }
    Ok(lost)
}

/// splitmix64: the same sequence for the same seed, everywhere.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sector: u64, flags: u64, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in [sector, (data.len() / SECTOR) as u64, flags, 0] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.resize(SECTOR, 0);
        bytes.extend_from_slice(data);
        bytes
    }

    #[test]
    fn what_was_flushed_stays_and_of_the_rest_some() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let mut log = vec![0; SECTOR];
        log.extend(entry(0, 0, &[1; 2 * SECTOR]));
        log.extend(entry(0, FLUSH, &[]));
        for sector in 2..102 {
            log.extend(entry(sector, 0, &[7; SECTOR]));
        }
        log.extend(entry(102, FUA, &[9; SECTOR]));
        log.extend(&entry(1, 0, &[5; SECTOR])[..700]); // half an entry
        let state = |seed| {
            std::fs::write(&path, vec![0; 103 * SECTOR]).unwrap();
            let lost = replay(&log, &path, seed).unwrap();
            let disk = std::fs::read(&path).unwrap();
            let missing = disk.chunks(SECTOR).filter(|sector| *sector == [0; SECTOR]).count();
            assert_eq!(missing, lost);
            assert_eq!((&disk[..2 * SECTOR], disk[102 * SECTOR]), (&[1; 2 * SECTOR][..], 9));
            (lost, disk)
        };
        let (lost, disk) = state(1);
        assert!((20..80).contains(&lost), "{lost} of 100");
        assert_eq!(state(1).1, disk);
        assert_ne!(state(2).1, disk);
    }

    #[test]
    fn an_empty_log_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        std::fs::write(&path, [3; 64]).unwrap();
        assert_eq!(replay(&[], &path, 1).unwrap(), 0);
        assert_eq!(std::fs::read(&path).unwrap(), [3; 64]);
    }
}
