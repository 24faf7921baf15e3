//! Random numbers of their own for machines that were had from one memory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

use anyhow::{Context, Result, bail};

const DEVICE: &str = "/dev/urandom";

/// `reseed BYTES`, in the guest: what the kernel draws from now on depends on these bytes.
///
/// # Errors
/// When the kernel refuses.
pub fn run(words: &[String]) -> Result<()> {
    let [bytes] = words else { bail!("reseed BYTES") };
    let mut random = OpenOptions::new().write(true).open(DEVICE).context(DEVICE)?;
    // This alone would count only at the next reseeding, which comes every few seconds.
    random.write_all(bytes.as_bytes())?;
    crate::sys::reseed(&random).context("reseed")
}

/// The guest's command, with bytes that no other machine has.
pub(crate) fn command() -> Result<String> {
    let mut bytes = [0; 32];
    File::open(DEVICE).and_then(|mut random| random.read_exact(&mut bytes)).context(DEVICE)?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("vm-guest reseed {hex}"))
}
