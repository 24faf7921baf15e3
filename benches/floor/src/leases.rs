//! The host-local directory: the same files, as durable as the plugin's, without looking at any other.

use crate::sys;
use std::fs::{self, File, OpenOptions};
use std::io::{Result, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;

/// One file for each address, and the last one chosen of each family.
pub(crate) fn claim(
    dir: &str,
    container: &str,
    ifname: &str,
    addresses: impl Iterator<Item = IpAddr>,
) -> Result<()> {
    if fs::metadata(dir).is_err() {
        fs::create_dir_all(dir)?;
    }
    let _lock = lock(dir)?;
    for (set, address) in addresses.enumerate() {
        let text = address.to_string();
        write(dir, &text, format!("{container}\r\n{ifname}").as_bytes())?;
        let last = format!("last_reserved_ip.{set}");
        let _ = fs::read(format!("{dir}/{last}"));
        write(dir, &last, text.as_bytes())?;
    }
    Ok(())
}

/// Removes the files of the addresses.
pub(crate) fn release(dir: &str, addresses: impl Iterator<Item = IpAddr>) -> Result<()> {
    let _lock = lock(dir)?;
    for address in addresses {
        let file = format!("{dir}/{address}");
        let _ = fs::read(&file)?;
        fs::remove_file(file)?;
    }
    Ok(())
}

fn lock(dir: &str) -> Result<File> {
    let lock =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(format!("{dir}/lock"))?;
    sys::lock(&lock)?;
    Ok(lock)
}

/// Whole or not at all, also after a power cut.
fn write(dir: &str, name: &str, bytes: &[u8]) -> Result<()> {
    let part = format!("{dir}/.{name}.part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(part, format!("{dir}/{name}"))
}
