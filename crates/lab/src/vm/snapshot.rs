//! A machine's memory in a file, to have it again in a tenth of the time that a boot takes.

use super::disk::Disk;
use super::error::Result;
use super::machine::{Scratch, Vm, VmSpec};

/// A machine that waits for jobs, from which any number can be had.
///
/// Each is as if it had just booted, for a disk only when the snapshot was taken before the kernel knew the disk: the
/// driver must not have been loaded ([`Initramfs::later`](super::Initramfs::later)). Its clock stands where it stood, and
/// its random numbers, the identity of its boot among them, can be those of its sisters until the guest has its kernel
/// seed the generator anew (`RNDRESEEDCRNG`).
#[derive(Debug)]
pub struct Snapshot {
    spec: VmSpec,
    scratch: Scratch,
}

impl Snapshot {
    /// Boots the machine, which must wait for jobs, and writes its memory down.
    pub fn take(spec: &VmSpec) -> Result<Self> {
        let scratch = Scratch::new()?;
        Vm::boot(spec)?.save(&scratch.path.join("memory"))?;
        Ok(Self { spec: spec.clone(), scratch })
    }

    /// One more of it, with as many disks as the first had.
    pub fn resume(&self, disks: Vec<Disk>) -> Result<Vm> {
        let spec = VmSpec { disks, ..self.spec.clone() };
        Vm::spawn(&spec, Some(&self.scratch.path.join("memory")))
    }
}
