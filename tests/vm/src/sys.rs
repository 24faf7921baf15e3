//! The call that Rust cannot prove safe.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use rustix::ioctl::{NoArg, ioctl, opcode};

/// `RNDRESEEDCRNG` of `linux/random.h`.
const RESEED: rustix::ioctl::Opcode = opcode::none(b'R', 0x07);

/// Has the kernel make its generator's key anew from its pool; `random` is `/dev/urandom`, opened for writing.
pub(crate) fn reseed(random: &File) -> io::Result<()> {
    // SAFETY: the request takes no argument and touches no memory of this process.
    unsafe { ioctl(random, NoArg::<RESEED>::new())? };
    Ok(())
}
