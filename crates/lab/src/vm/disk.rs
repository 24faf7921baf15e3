//! A small disk that outlives its machines.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::error::{Error, Result, run};

/// An ext4 file system in a file of the host. It keeps every write that the guest was told is done, so killing the
/// machine ([`Vm::power_cut`](super::Vm::power_cut)) loses what a power cut would: what was not yet synced.
#[derive(Debug, Clone)]
pub struct Disk {
    pub(super) path: PathBuf,
}

impl Disk {
    /// Makes the file at `path`, `mebibytes` large and sparse, with the content of the directory `from`.
    pub fn create(path: &Path, mebibytes: u64, from: Option<&Path>) -> Result<Self> {
        let file = File::create(path).map_err(Error::io("create", path))?;
        file.set_len(mebibytes << 20).map_err(Error::io("resize", path))?;
        let mut args = vec!["-q".as_ref(), "-F".as_ref(), "-t".as_ref(), "ext4".as_ref()];
        if let Some(from) = from {
            args.extend(["-d".as_ref(), from.as_os_str()]);
        }
        args.push(path.as_os_str());
        // Debian keeps it in /usr/sbin, which is not on everyone's PATH.
        let program = if Path::new("/usr/sbin/mke2fs").exists() { "/usr/sbin/mke2fs" } else { "mke2fs" };
        run(program, "e2fsprogs", args, None)?;
        Ok(Self::open(path))
    }

    /// A disk made before.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}
