use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::lease_dir::check_network;

/// Addresses of one network that somebody else was seen to use, kept out of the choice for a while.
///
/// One file per address, named by it: the end of the quarantine in seconds since 1970, a space, and the
/// MAC address seen. The directory is in memory (`/run`), so a reboot ends every quarantine.
#[derive(Debug, Clone)]
pub struct Quarantine {
    dir: PathBuf,
    /// Most hosts have no quarantine: then nothing is read.
    exists: bool,
}

/// One address in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The address.
    pub address: IpAddr,
    /// The end of its quarantine, in seconds since 1970.
    pub until: u64,
    /// The MAC address that was seen to use it, as text; empty when unknown.
    pub by: String,
}

impl Quarantine {
    /// The quarantine of a network: `<state_dir>/quarantine/<network>/`. Makes nothing.
    ///
    /// # Errors
    /// The network's name cannot name a directory.
    pub fn open(state_dir: &Path, network: &str) -> Result<Quarantine> {
        check_network(network)?;
        let dir = state_dir.join("quarantine").join(network);
        let exists = dir.is_dir();
        Ok(Quarantine { dir, exists })
    }

    /// Keeps an address out of the choice for so long; `by` is who was seen to use it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, address: IpAddr, duration: Duration, by: &str) -> Result<()> {
        let until = now().saturating_add(duration.as_secs());
        let path = self.path(address);
        let passing = self.dir.join(format!(".{}.{address}", std::process::id()));
        let written = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .and_then(|()| {
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&passing)?;
                std::io::Write::write_all(&mut file, format!("{until} {by}\n").as_bytes())
            })
            .and_then(|()| fs::rename(&passing, &path));
        self.exists = true;
        written.map_err(|error| failed("write", &path, &error))
    }

    /// Whether the address is in quarantine now. One whose file cannot be read is not.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.exists && self.read(address).is_some_and(|entry| entry.until > now())
    }

    /// All that are in quarantine now, lowest address first. Removes the files of those that are not any
    /// more.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<Quarantined>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read the directory", &self.dir, &error)),
        };
        let mut list = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(address) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            match self.read(address) {
                Some(found) if found.until > now() => list.push(found),
                // Over, or unreadable: it keeps nobody out.
                _ => drop(fs::remove_file(entry.path())),
            }
        }
        list.sort_unstable_by_key(|entry| entry.address);
        Ok(list)
    }

    /// Ends the quarantine of an address. None is no error.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove(&self, address: IpAddr) -> Result<()> {
        let path = self.path(address);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", &path, &error)),
            _ => Ok(()),
        }
    }

    fn path(&self, address: IpAddr) -> PathBuf {
        self.dir.join(address.to_canonical().to_string())
    }

    fn read(&self, address: IpAddr) -> Option<Quarantined> {
        let content = fs::read(self.path(address)).ok()?;
        let (until, by) = parse_quarantined(&content)?;
        Some(Quarantined { address: address.to_canonical(), until, by })
    }
}

/// Reads the content of a quarantine file: the end in seconds since 1970, and the MAC address as text.
pub fn parse_quarantined(content: &[u8]) -> Option<(u64, String)> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('\n')?;
    let (until, by) = text.split_once(' ')?;
    Some((until.parse().ok()?, by.to_owned()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn failed(op: &'static str, path: &Path, error: &std::io::Error) -> Error {
    let errno = error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
    Error::Io { op, path: path.to_owned(), errno }
}
