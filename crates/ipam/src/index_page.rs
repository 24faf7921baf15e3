//! One page of an index: a count, then entries of one size in no order.

use rustix::io::Errno;

use crate::known::{Entry, mix};

pub(crate) const PAGE: usize = 4096;

/// Where the entries start; before that is the count, two bytes.
const START: usize = 16;

/// An owner: its hash, then the address's number.
const OWNER: usize = 8 + 16;

/// A block: the number's upper part, then a bit for each of its addresses.
const BLOCK: usize = 16 + BLOCK_BITS / 8;
const BLOCK_BITS: usize = 512;

/// The part of a number that says in which block its bit is.
pub(crate) fn block_of(number: u128) -> u128 {
    number / BLOCK_BITS as u128
}

/// In which of `pages` pages an owner with this hash is.
pub(crate) fn place_of_owner(hash: u64, pages: u64) -> u64 {
    scale(hash, pages)
}

/// In which of `pages` pages a block is.
pub(crate) fn place_of_block(block: u128, pages: u64) -> u64 {
    scale(mix(low(block) ^ mix(low(block >> 64))), pages)
}

fn scale(hash: u64, pages: u64) -> u64 {
    low((u128::from(hash) * u128::from(pages)) >> 64)
}

#[allow(clippy::cast_possible_truncation)] // the low half is what is wanted
fn low(number: u128) -> u64 {
    number as u64
}

pub(crate) struct Page([u8; PAGE]);

impl Page {
    pub(crate) fn empty() -> Page {
        Page([0; PAGE])
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Whether the count is one that a page can have.
    pub(crate) fn is_sound(&self) -> bool {
        self.count() <= (PAGE - START) / OWNER
    }

    fn count(&self) -> usize {
        usize::from(u16::from_le_bytes([self.0[0], self.0[1]]))
    }

    fn set_count(&mut self, count: usize) {
        let count = u16::try_from(count).unwrap_or(0);
        self.0[..2].copy_from_slice(&count.to_le_bytes());
    }

    fn entries(&self, size: usize) -> impl Iterator<Item = &[u8]> {
        self.0[START..].chunks_exact(size).take(self.count())
    }

    /// A new entry at the end, all zeros. Full: the index has to be built with more room.
    fn push(&mut self, size: usize) -> Result<&mut [u8], Errno> {
        let count = self.count();
        if count >= (PAGE - START) / size {
            return Err(Errno::NOSPC);
        }
        self.set_count(count + 1);
        let entry = &mut self.0[START + count * size..][..size];
        entry.fill(0);
        Ok(entry)
    }

    /// Removes an entry: the last one takes its place.
    fn swap_remove(&mut self, place: usize, size: usize) {
        let last = self.count() - 1;
        let from = START + last * size;
        self.0.copy_within(from..from + size, START + place * size);
        self.set_count(last);
    }

    pub(crate) fn add_owner(&mut self, entry: Entry) -> Result<(), Errno> {
        let bytes = self.push(OWNER)?;
        bytes[..8].copy_from_slice(&entry.hash.to_le_bytes());
        bytes[8..].copy_from_slice(&entry.number().to_le_bytes());
        Ok(())
    }

    pub(crate) fn remove_owner(&mut self, entry: Entry) {
        let found = self.entries(OWNER).position(|bytes| {
            bytes[..8] == entry.hash.to_le_bytes() && bytes[8..] == entry.number().to_le_bytes()
        });
        if let Some(place) = found {
            self.swap_remove(place, OWNER);
        }
    }

    pub(crate) fn numbers_of(&self, hash: u64) -> Vec<u128> {
        self.entries(OWNER)
            .filter(|bytes| bytes[..8] == hash.to_le_bytes())
            .filter_map(|bytes| Some(u128::from_le_bytes(bytes[8..].try_into().ok()?)))
            .collect()
    }

    fn block(&self, number: u128) -> Option<usize> {
        let key = block_of(number).to_le_bytes();
        self.entries(BLOCK).position(|bytes| bytes[..16] == key)
    }

    /// Marks an address as taken; says whether its block is new.
    pub(crate) fn set(&mut self, number: u128) -> Result<bool, Errno> {
        let (bytes, new) = match self.block(number) {
            Some(place) => (&mut self.0[START + place * BLOCK..][..BLOCK], false),
            None => {
                let bytes = self.push(BLOCK)?;
                bytes[..16].copy_from_slice(&block_of(number).to_le_bytes());
                (bytes, true)
            }
        };
        let (byte, bit) = bit_of(number);
        bytes[16 + byte] |= bit;
        Ok(new)
    }

    /// Marks an address as free; says whether its block is gone with it.
    pub(crate) fn clear(&mut self, number: u128) -> bool {
        let Some(place) = self.block(number) else { return false };
        let bytes = &mut self.0[START + place * BLOCK..][..BLOCK];
        let (byte, bit) = bit_of(number);
        bytes[16 + byte] &= !bit;
        let gone = bytes[16..].iter().all(|byte| *byte == 0);
        if gone {
            self.swap_remove(place, BLOCK);
        }
        gone
    }

    /// The first free address from this one to the end of its block.
    pub(crate) fn first_free(&self, from: u128) -> Option<u128> {
        let Some(place) = self.block(from) else { return Some(from) };
        let bits = &self.0[START + place * BLOCK + 16..][..BLOCK_BITS / 8];
        let last = from | (BLOCK_BITS as u128 - 1);
        (from..=last).find(|number| {
            let (byte, bit) = bit_of(*number);
            bits[byte] & bit == 0
        })
    }
}

#[allow(clippy::cast_possible_truncation)] // below 512
fn bit_of(number: u128) -> (usize, u8) {
    let place = (number % BLOCK_BITS as u128) as usize;
    (place / 8, 1 << (place % 8))
}
