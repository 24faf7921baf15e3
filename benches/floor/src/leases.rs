//! The host-local directory: the same files, as durable as the plugin's, without looking into any other.

use crate::sys;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{Result, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;

/// A directory whose lock is held.
struct Leases {
    dir: File,
    _lock: File,
    on_disk: bool,
}

/// One file for each address, and the last one chosen of each family.
pub(crate) fn claim(
    path: &str,
    container: &str,
    ifname: &str,
    addresses: impl Iterator<Item = IpAddr>,
) -> Result<()> {
    let leases = Leases::open(path)?;
    for (set, address) in addresses.enumerate() {
        let address = address.to_string();
        let last = format!("{path}/last_reserved_ip.{set}");
        let _ = fs::read(&last);
        let mut lease =
            OpenOptions::new().write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(path)?;
        leases.write(&mut lease, format!("{container}\r\n{ifname}").as_bytes())?;
        sys::give_name(&lease, &CString::new(format!("{path}/{address}"))?)?;
        let part = format!("{path}/.floor-cursor");
        let mut cursor =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        leases.write(&mut cursor, address.as_bytes())?;
        fs::rename(part, last)?;
    }
    leases.sync()
}

/// Removes the files of the addresses.
pub(crate) fn release(path: &str, addresses: impl Iterator<Item = IpAddr>) -> Result<()> {
    let leases = Leases::open(path)?;
    for address in addresses {
        let file = format!("{path}/{address}");
        fs::read(&file)?;
        fs::remove_file(file)?;
    }
    leases.sync()
}

impl Leases {
    /// Takes the lock and, as everybody must, looks at the names that are there.
    fn open(path: &str) -> Result<Self> {
        let dir = match File::open(path) {
            Ok(dir) => dir,
            Err(_) => {
                fs::create_dir_all(path)?;
                File::open(path)?
            }
        };
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(format!("{path}/lock"))?;
        sys::lock(&lock)?;
        let on_disk = sys::is_on_disk(&dir)?;
        sys::read_names(&dir)?;
        Ok(Self { dir, _lock: lock, on_disk })
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> Result<()> {
        file.write_all(bytes)?;
        if self.on_disk { file.sync_data() } else { Ok(()) }
    }

    fn sync(&self) -> Result<()> {
        if self.on_disk { self.dir.sync_all() } else { Ok(()) }
    }
}
