//! An allocator for a process that lives a millisecond: it only moves a pointer.
//!
//! Measured on a whole ADD: a general allocator costs some fifteen `mmap` and `munmap` calls and a tenth of the time.
//! Memory is given back only when the last block is freed or grown in place, and by the end of the process; a plugin's
//! input is at most 1 MiB, so that its sum stays small.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Enough for every ADD and DEL that was measured; beyond it the system's allocator takes over.
const ARENA: usize = 512 * 1024;

#[repr(align(4096))]
struct Arena(UnsafeCell<[u8; ARENA]>);

// SAFETY: every byte is handed out to one caller only, by the compare-exchange on NEXT below.
unsafe impl Sync for Arena {}

/// In `.bss`: pages are made by the kernel as they are touched.
static MEMORY: Arena = Arena(UnsafeCell::new([0; ARENA]));
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// The allocator.
pub(crate) struct Bump;

fn base() -> usize {
    MEMORY.0.get() as usize
}

/// The offset of `pointer` in the arena, if it is in it.
fn offset(pointer: *mut u8) -> Option<usize> {
    (pointer as usize).checked_sub(base()).filter(|offset| *offset < ARENA)
}

// SAFETY: blocks come either from the arena, each once (NEXT only moves back over a block that its owner gives up and
// that nobody allocated after), aligned as asked, or from `System` with the same layout that is later given back to it.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut next = NEXT.load(Ordering::Relaxed);
        loop {
            let start = (base() + next).next_multiple_of(layout.align()) - base();
            let Some(end) = start.checked_add(layout.size()).filter(|end| *end <= ARENA) else {
                // SAFETY: the caller's promise about `layout` is passed on.
                return unsafe { System.alloc(layout) };
            };
            match NEXT.compare_exchange_weak(next, end, Ordering::Relaxed, Ordering::Relaxed) {
                // SAFETY: `start..end` lies within the arena.
                Ok(_) => return unsafe { MEMORY.0.get().cast::<u8>().add(start) },
                Err(moved) => next = moved,
            }
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match offset(pointer) {
            Some(start) => {
                // The last block is given back; the others wait for the end of the process.
                let end = start + layout.size();
                let _ = NEXT.compare_exchange(end, start, Ordering::Relaxed, Ordering::Relaxed);
            }
            // SAFETY: not from the arena, so from `System`, with this layout.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(start) = offset(pointer) else {
            // SAFETY: as above.
            return unsafe { System.realloc(pointer, layout, size) };
        };
        let end = start + layout.size();
        if let Some(grown) = start.checked_add(size).filter(|grown| *grown <= ARENA)
            && NEXT.compare_exchange(end, grown, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            return pointer;
        }
        // SAFETY: `size` is not zero and fits, by the caller's promise.
        let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !moved.is_null() {
            // SAFETY: both blocks are at least that long, and the new one overlaps nothing.
            unsafe { std::ptr::copy_nonoverlapping(pointer, moved, layout.size().min(size)) };
            // SAFETY: the caller owns the block.
            unsafe { self.dealloc(pointer, layout) };
        }
        moved
    }
}
