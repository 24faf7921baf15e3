//! A small disk that outlives its machines.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::error::{Error, Result, run};
use super::write_log;

/// An ext4 file system in a file of the host.
///
/// Killing the machine ([`Vm::power_cut`](super::Vm::power_cut)) loses what is in the guest's memory. Writes that
/// reached the disk survive, also those that the guest did not flush, because the host's memory outlives QEMU. A disk
/// made [`at_risk`](Disk::at_risk) loses some of those too, as a drive with a volatile cache would.
#[derive(Debug, Clone)]
pub struct Disk {
    pub(super) path: PathBuf,
    seed: Option<u64>,
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
        Self { path: path.to_owned(), seed: None }
    }

    /// The same disk with a volatile cache: at a power cut each write since the last flush survives or is lost, as
    /// the seed decides. While its machine runs, the file stays as it was when the machine was started.
    #[must_use]
    pub fn at_risk(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// A copy of this disk at `path`.
    pub fn copy(&self, path: &Path) -> Result<Self> {
        copy(&self.path, path)?;
        Ok(Self { path: path.to_owned(), seed: self.seed })
    }

    /// What the machine needs in its own directory before it is started.
    pub(super) fn prepare(&self, dir: &Path, number: usize) -> Result<()> {
        if self.seed.is_none() {
            return Ok(());
        }
        copy(&self.path, &work(dir, number))?;
        File::create(log(dir, number)).map(drop).map_err(Error::io("create", log(dir, number)))
    }

    /// QEMU's option for it.
    pub(super) fn drive(&self, dir: &Path, number: usize) -> String {
        // A comma in a QEMU option is doubled.
        let escaped = |path: &Path| path.display().to_string().replace(',', ",,");
        if self.seed.is_none() {
            return format!("if=virtio,format=raw,file={}", escaped(&self.path));
        }
        format!(
            "if=virtio,driver=blklogwrites,file.driver=file,file.filename={},log.driver=file,log.filename={}",
            escaped(&work(dir, number)),
            escaped(&log(dir, number))
        )
    }

    /// The machine ended well: everything was written.
    pub(super) fn keep_all(&self, dir: &Path, number: usize) -> Result<()> {
        if self.seed.is_some() {
            let path = work(dir, number);
            fs::rename(&path, &self.path)
                .or_else(|_| copy(&path, &self.path).map_err(std::io::Error::other))
                .map_err(Error::io("rename", path))?;
        }
        Ok(())
    }

    /// The machine was killed: everything up to the last flush was written, and some of the rest. Returns how many
    /// writes were lost.
    pub(super) fn lose(&self, dir: &Path, number: usize) -> Result<usize> {
        let Some(seed) = self.seed else { return Ok(0) };
        let path = log(dir, number);
        let log = fs::read(&path).map_err(Error::io("read", path))?;
        write_log::replay(&log, &self.path, seed)
    }
}

fn work(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("disk{number}"))
}

fn log(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("disk{number}.log"))
}

/// Holes stay holes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let args = ["--sparse=always".as_ref(), "--reflink=auto".as_ref(), from.as_os_str(), to.as_os_str()];
    run("cp", "coreutils", args, None).map(drop)
}
