//! The first bytes of an index: which directory it is of, in which state, and how large its tables are.

use rustix::fs::Stat;

use crate::known::hash;

const MAGIC: u64 = u64::from_le_bytes(*b"llipam01");
const WORDS: usize = 12;

/// More pages than any directory needs, fewer than make offsets overflow.
const MOST_PAGES: u64 = 1 << 24;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) mtime: u64,
    pub(crate) mtime_nsec: u64,
    /// Which boot of the machine the tables are of; 0 for an index in memory.
    pub(crate) boot: u64,
    pub(crate) owner_pages: u64,
    pub(crate) block_pages: u64,
    pub(crate) leases: u64,
    pub(crate) blocks: u64,
    /// Whether there is, or was, a lease in the old form.
    pub(crate) legacy: bool,
}

impl Header {
    pub(crate) const SIZE: usize = WORDS * 8;

    pub(crate) fn encode(&self) -> [u8; Header::SIZE] {
        let words = [
            MAGIC,
            self.dev,
            self.ino,
            self.mtime,
            self.mtime_nsec,
            self.boot,
            self.owner_pages,
            self.block_pages,
            self.leases,
            self.blocks,
            u64::from(self.legacy),
        ];
        let mut bytes = [0; Header::SIZE];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        let (content, sum) = bytes.split_at_mut((WORDS - 1) * 8);
        sum.copy_from_slice(&hash(&[content]).to_le_bytes());
        bytes
    }

    /// The header of these bytes, unless they are none of ours or were torn.
    pub(crate) fn decode(bytes: &[u8; Header::SIZE]) -> Option<Header> {
        let mut words = [0_u64; WORDS];
        for (word, from) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(from.try_into().ok()?);
        }
        let [magic, dev, ino, mtime, mtime_nsec, boot, owner_pages, block_pages, leases, blocks, legacy, sum] =
            words;
        let sized = |pages: u64| 0 < pages && pages <= MOST_PAGES;
        if magic != MAGIC
            || sum != hash(&[&bytes[..(WORDS - 1) * 8]])
            || !sized(owner_pages)
            || !sized(block_pages)
        {
            return None;
        }
        let legacy = legacy != 0;
        Some(Header { dev, ino, mtime, mtime_nsec, boot, owner_pages, block_pages, leases, blocks, legacy })
    }

    pub(crate) fn is_of(&self, dir: &Stat) -> bool {
        let mut other = self.clone();
        other.set_state(dir);
        other == *self
    }

    pub(crate) fn set_state(&mut self, dir: &Stat) {
        self.dev = dir.st_dev;
        self.ino = dir.st_ino;
        self.mtime = dir.st_mtime.cast_unsigned();
        self.mtime_nsec = dir.st_mtime_nsec;
    }
}
