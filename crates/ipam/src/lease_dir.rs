use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::lease::{Claim, Lease, Owner};
use crate::range_set::RangeSet;

/// The directory of one network's leases, `<data_dir>/<network>/`, locked: as long as the value lives,
/// neither another process of ours nor the reference plugin changes it.
#[derive(Debug)]
pub struct LeaseDir {
    path: PathBuf,
}

impl LeaseDir {
    /// Makes the directory if it is not there and waits for its lock. `index_dir` is where the index for
    /// large directories lives (`/run/llano/ipam`); without it every operation reads the whole directory.
    ///
    /// # Errors
    /// The network's name cannot name a directory; the directory or its lock cannot be made or opened.
    pub fn open(data_dir: &Path, network: &str, index_dir: Option<&Path>) -> Result<LeaseDir> {
        let _ = index_dir;
        Ok(LeaseDir { path: data_dir.join(network) })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the owner one address of each set: a requested one where the set has it, otherwise the next
    /// free one after the set's cursor that `skip` does not refuse. All or none. Requested addresses are
    /// not asked of `skip`: who names an address wants that one or an error.
    ///
    /// # Errors
    /// With host-local's texts: see `Error`.
    pub fn allocate(
        &mut self,
        owner: &Owner,
        sets: &[RangeSet],
        requested: &[IpAddr],
        skip: &dyn Fn(IpAddr) -> bool,
    ) -> Result<Vec<Claim>> {
        let _ = (owner, sets, requested, skip);
        Ok(Vec::new())
    }

    /// Gives the owner one more address of the set at `index`, the next free one, whatever it holds
    /// already: for an address that turned out to be in use on the wire.
    ///
    /// # Errors
    /// As `allocate`.
    pub fn allocate_another(
        &mut self,
        owner: &Owner,
        set: &RangeSet,
        index: usize,
        skip: &dyn Fn(IpAddr) -> bool,
    ) -> Result<Claim> {
        let _ = skip;
        let _ = (owner, index);
        Err(crate::Error::NotInSet(set.ranges()[0].start(), set.to_string()))
    }

    /// Releases all addresses of the owner; when there are none, those of its container in the old form.
    /// Gives the addresses released; none is no error.
    ///
    /// # Errors
    /// The directory cannot be read or a file cannot be removed.
    pub fn release(&mut self, owner: &Owner) -> Result<Vec<IpAddr>> {
        let _ = owner;
        Ok(Vec::new())
    }

    /// Releases one address if it is the owner's; says whether it was.
    ///
    /// # Errors
    /// The file cannot be read or removed.
    pub fn release_address(&mut self, owner: &Owner, address: IpAddr) -> Result<bool> {
        let _ = (owner, address);
        Ok(false)
    }

    /// The addresses of the owner, those of its container in the old form included, lowest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn find(&mut self, owner: &Owner) -> Result<Vec<IpAddr>> {
        let _ = owner;
        Ok(Vec::new())
    }

    /// Releases every lease whose owner is not `valid`, and gives them. Leases in the old form and files
    /// with unknown content name no attachment and are kept.
    ///
    /// # Errors
    /// The directory cannot be read or a file cannot be removed; the others were removed nevertheless.
    pub fn retain(&mut self, valid: &dyn Fn(&Owner) -> bool) -> Result<Vec<(IpAddr, Owner)>> {
        let _ = valid;
        Ok(Vec::new())
    }

    /// All leases, lowest address first. Reads every file.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn leases(&mut self) -> Result<Vec<Lease>> {
        Ok(Vec::new())
    }

    /// How many addresses of the set can still be given, quarantine not counted. Saturates.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn free(&mut self, set: &RangeSet) -> Result<u128> {
        let _ = set;
        Ok(0)
    }
}
