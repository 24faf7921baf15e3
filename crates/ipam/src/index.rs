//! A copy of a large lease directory's content in one file of pages, so that an operation reads a few pages
//! instead of every lease.
//!
//! It is a cache. Every operation of ours leaves a random time of change on the directory and the same time
//! in the index's header. Whoever makes, renames or removes a file in the directory changes that time, and
//! the index counts for nothing. What it finds is compared with the lease file before it is used.
//!
//! Page 0 is the header. Then come pages of owners (a hash table from owner to address), then pages of
//! blocks (a hash table from the upper part of an address to a bitmap of 512 addresses).

use std::fs::DirBuilder;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::disk::{Steps, is_durable};
use crate::index_header::Header;
use crate::index_page::{PAGE, Page, block_of, place_of_block, place_of_owner};
use crate::known::{Entry, Scan};

/// Below so many leases reading all of them costs no more than an index does (`examples/lease_dir_speed.rs`:
/// 5 µs a lease against 20 µs).
pub(crate) const SMALL: usize = 4;

/// More entries than this per page, on average, and a page may soon be full.
const OWNERS_PER_PAGE: u64 = 100;
const BLOCKS_PER_PAGE: u64 = 25;

#[derive(Debug)]
pub(crate) struct Index {
    file: OwnedFd,
    header: Header,
}

type Result<T> = std::result::Result<T, Errno>;

impl Index {
    /// The index of the directory with this state, if there is one and it is of exactly this state.
    pub(crate) fn open(index_dir: &Path, dir: &Stat) -> Option<Index> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(index_dir.join(name(dir)), flags, Mode::empty()).ok()?;
        let mut page = [0; Header::SIZE];
        if rustix::io::pread(&file, &mut page, 0).ok()? != page.len() {
            return None;
        }
        let header = Header::decode(&page)?;
        (header.is_of(dir) && header.boot == boot(&file)?).then_some(Index { file, header })
    }

    /// Writes an index of this content for the directory in this state.
    pub(crate) fn build(index_dir: &Path, dir: &Stat, scan: &Scan, steps: &Steps) -> Result<Index> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(index_dir)
            .map_err(|error| error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))?;
        steps.take()?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(index_dir.join(name(dir)), flags, Mode::from_raw_mode(0o600))?;
        let boot = boot(&file).ok_or(Errno::NOTSUP)?;

        let leases = scan.entries.len() as u64;
        let blocks =
            scan.entries.chunk_by(|a, b| block_of(a.number()) == block_of(b.number())).count() as u64;
        let header = Header {
            boot,
            leases,
            blocks,
            legacy: scan.legacy,
            owner_pages: roomy(leases) / OWNERS_PER_PAGE + 1,
            block_pages: roomy(blocks) / BLOCKS_PER_PAGE + 1,
            ..Header::default()
        };
        let mut index = Index { file, header };
        index.write_owners(scan, steps)?;
        index.write_blocks(scan, steps)?;
        index.seal(dir, steps)?;
        Ok(index)
    }

    fn write_owners(&mut self, scan: &Scan, steps: &Steps) -> Result<()> {
        let pages = self.header.owner_pages;
        // Places of entries, not entries: 4 bytes each.
        let mut order: Vec<u32> =
            (0..).zip(&scan.entries).filter(|(_, entry)| entry.hash != 0).map(|(at, _)| at).collect();
        let entry = |at: u32| scan.entries[at as usize];
        let place = |at: u32| place_of_owner(entry(at).hash, pages);
        order.sort_unstable_by_key(|at| place(*at));
        for page_entries in order.chunk_by(|a, b| place(*a) == place(*b)) {
            let mut page = Page::empty();
            for at in page_entries {
                page.add_owner(entry(*at))?;
            }
            self.write(1 + place(page_entries[0]), &page, steps)?;
        }
        Ok(())
    }

    fn write_blocks(&mut self, scan: &Scan, steps: &Steps) -> Result<()> {
        let pages = self.header.block_pages;
        let mut blocks: Vec<(u64, &[Entry])> = (scan.entries)
            .chunk_by(|a, b| block_of(a.number()) == block_of(b.number()))
            .map(|entries| (place_of_block(block_of(entries[0].number()), pages), entries))
            .collect();
        blocks.sort_unstable_by_key(|(place, _)| *place);
        let first = 1 + self.header.owner_pages;
        for page_blocks in blocks.chunk_by(|a, b| a.0 == b.0) {
            let mut page = Page::empty();
            for entry in page_blocks.iter().flat_map(|(_, entries)| entries.iter()) {
                page.set(entry.number())?;
            }
            self.write(first + page_blocks[0].0, &page, steps)?;
        }
        // The last page may have stayed a hole.
        steps.take()?;
        rustix::fs::ftruncate(&self.file, (first + pages) * PAGE as u64)
    }

    /// Says that the index is of the directory in this state. Before that it is of an older one.
    pub(crate) fn seal(&mut self, dir: &Stat, steps: &Steps) -> Result<()> {
        self.header.set_state(dir);
        steps.take()?;
        write_all(&self.file, &self.header.encode(), 0)
    }

    /// Whether it should be built anew with more room.
    pub(crate) fn is_crowded(&self) -> bool {
        self.header.leases > self.header.owner_pages * OWNERS_PER_PAGE
            || self.header.blocks > self.header.block_pages * BLOCKS_PER_PAGE
    }

    pub(crate) fn has_legacy(&self) -> bool {
        self.header.legacy
    }

    pub(crate) fn with_hash(&self, hash: u64) -> Result<Vec<u128>> {
        let page = self.read(1 + place_of_owner(hash, self.header.owner_pages))?;
        let mut numbers = page.numbers_of(hash);
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(crate) fn first_free(&self, from: u128, to: u128) -> Result<Option<u128>> {
        let mut from = from;
        loop {
            let block = block_of(from);
            let page = self.read(self.block_page(block))?;
            if let Some(free) = page.first_free(from) {
                return Ok((free <= to).then_some(free));
            }
            match block.checked_add(1).and_then(|next| next.checked_mul(1 << 9)) {
                Some(next) if next <= to => from = next,
                _ => return Ok(None),
            }
        }
    }

    pub(crate) fn add(&mut self, steps: &Steps, entry: Entry) -> Result<()> {
        if entry.hash != 0 {
            let at = 1 + place_of_owner(entry.hash, self.header.owner_pages);
            let mut page = self.read(at)?;
            page.add_owner(entry)?;
            self.write(at, &page, steps)?;
        }
        let at = self.block_page(block_of(entry.number()));
        let mut page = self.read(at)?;
        if page.set(entry.number())? {
            self.header.blocks += 1;
        }
        self.header.leases += 1;
        self.write(at, &page, steps)
    }

    pub(crate) fn remove(&mut self, steps: &Steps, entry: Entry) -> Result<()> {
        if entry.hash != 0 {
            let at = 1 + place_of_owner(entry.hash, self.header.owner_pages);
            let mut page = self.read(at)?;
            page.remove_owner(entry);
            self.write(at, &page, steps)?;
        }
        let at = self.block_page(block_of(entry.number()));
        let mut page = self.read(at)?;
        if page.clear(entry.number()) {
            self.header.blocks = self.header.blocks.saturating_sub(1);
        }
        self.header.leases = self.header.leases.saturating_sub(1);
        self.write(at, &page, steps)
    }

    fn block_page(&self, block: u128) -> u64 {
        1 + self.header.owner_pages + place_of_block(block, self.header.block_pages)
    }

    fn read(&self, at: u64) -> Result<Page> {
        let mut page = Page::empty();
        match rustix::io::pread(&self.file, page.bytes_mut(), at * PAGE as u64)? {
            PAGE if page.is_sound() => Ok(page),
            _ => Err(Errno::IO),
        }
    }

    fn write(&self, at: u64, page: &Page, steps: &Steps) -> Result<()> {
        steps.take()?;
        write_all(&self.file, page.bytes(), at * PAGE as u64)
    }
}

fn write_all(file: &OwnedFd, bytes: &[u8], at: u64) -> Result<()> {
    if rustix::io::pwrite(file, bytes, at)? == bytes.len() { Ok(()) } else { Err(Errno::NOSPC) }
}

/// Room to grow: much for a small directory, half again for a large one.
fn roomy(count: u64) -> u64 {
    if count < 10_000 { count * 4 } else { count + count / 2 }
}

/// By device and inode, not by path: the same path is another directory in another mount namespace.
fn name(dir: &Stat) -> String {
    format!("{:x}-{:x}", dir.st_dev, dir.st_ino)
}

/// Which boot of the machine the file belongs to. In memory: any. On disk, the pages of the file and the
/// directory may have come through a power cut from different moments, so the boot's ID counts.
fn boot(file: &OwnedFd) -> Option<u64> {
    if !is_durable(file.as_fd()) {
        return Some(0);
    }
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    Some(crate::known::hash(&[&id]))
}
