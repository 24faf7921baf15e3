use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Result;

/// Addresses of one network that somebody else was seen to use, kept out of the choice for a while.
#[derive(Debug, Clone)]
pub struct Quarantine {
    dir: PathBuf,
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
    /// The quarantine of a network: `<state_dir>/quarantine/<network>/`. Touches nothing.
    ///
    /// # Errors
    /// The network's name cannot name a directory.
    pub fn open(state_dir: &Path, network: &str) -> Result<Quarantine> {
        Ok(Quarantine { dir: state_dir.join("quarantine").join(network) })
    }

    /// Keeps an address out of the choice for so long; `by` is who was seen to use it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&self, address: IpAddr, duration: Duration, by: &str) -> Result<()> {
        let _ = (address, duration, by, &self.dir);
        Ok(())
    }

    /// Whether the address is in quarantine now. One that cannot be read is not.
    pub fn contains(&self, address: IpAddr) -> bool {
        let _ = address;
        false
    }

    /// All that are in quarantine now, lowest address first. Removes the files of those that are not any more.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<Quarantined>> {
        Ok(Vec::new())
    }

    /// Ends the quarantine of an address. None is no error.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove(&self, address: IpAddr) -> Result<()> {
        let _ = address;
        Ok(())
    }
}
