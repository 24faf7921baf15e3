//! The power is cut at random moments (QEMU is killed), and the next boot must find the disk in order.
//!
//! What is lost is what a real machine loses: everything in the guest's memory, and of what it had written to the disk
//! since the last flush each write or not, as the seed decides (`Disk::at_risk`). The machine that comes up again is one
//! that had just booted and did not know the disk yet (`Snapshot`). Not shown: a drive that lies about
//! flushes, or that tears a single write. `LLANO_SEED` repeats the choices and the losses; the moment of the
//! cut is the same only as far as the machine's speed is.
//!
//! The two run side by side: each waits half of its time.

mod moves;
mod storms;
