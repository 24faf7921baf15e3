//! Where the plugins run while they are measured: a host with one LAN interface and pods, in namespaces of this
//! process alone. The machine's own interfaces are not in them, and everything goes with the process.

use crate::{run, sys};
use anyhow::{Context, Result, bail};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The parent of every macvlan here.
pub(super) const PARENT: &str = "lan0";

/// The place, while it exists.
pub(super) struct Site {
    disk: PathBuf,
}

impl Site {
    /// Enters namespaces of its own, with an empty /run, and makes the LAN interface. `disk` is made, and removed at the end.
    pub(super) fn enter(disk: &Path) -> Result<Self> {
        std::fs::create_dir_all(disk).with_context(|| format!("cannot create {}", disk.display()))?;
        let site = Self { disk: disk.to_path_buf() };
        if sys::file_system(&CString::new(disk.as_os_str().as_bytes())?)? == sys::TMPFS {
            bail!("{} is in memory: the figures for a disk need one (set CARGO_TARGET_DIR)", disk.display());
        }
        sys::own_namespaces().context("cannot make namespaces")?;
        sys::mount_tmpfs(c"/run").context("cannot mount an empty /run")?;
        ip(&["link", "set", "lo", "up"])?;
        // The other end stands for the switch; a veth is what every kernel has.
        ip(&["link", "add", PARENT, "type", "veth", "peer", "name", "switch0"])?;
        ip(&["link", "set", PARENT, "up"])?;
        ip(&["link", "set", "switch0", "up"])?;
        Ok(site)
    }

    /// A pod's network namespace, without anything but its loopback interface.
    pub(super) fn pod(&self, name: &str) -> Result<PathBuf> {
        ip(&["netns", "add", name])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        Ok(Path::new("/run/netns").join(name))
    }

    /// A fresh directory in memory or on the disk.
    pub(super) fn data_dir(&self, storage: Storage, name: &str) -> Result<PathBuf> {
        let dir = match storage {
            Storage::Run => PathBuf::from("/run/bench").join(name),
            Storage::Disk => self.disk.join(name),
        };
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // What is left behind after a kill is below the target directory and goes with `cargo clean`.
        let _ = std::fs::remove_dir_all(&self.disk);
    }
}

/// Where the lease files are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Storage {
    /// tmpfs, as /run is
    Run,
    /// The disk of the target directory
    Disk,
}

impl Storage {
    pub(super) fn name(self) -> &'static str {
        match self {
            Storage::Run => "run",
            Storage::Disk => "disk",
        }
    }
}

/// iproute2, in the namespaces of this process.
pub(super) fn ip(args: &[&str]) -> Result<()> {
    let program = run::find_program("ip").context("`ip` of iproute2 is missing")?;
    run::output(Command::new(program).args(args)).map(|_| ())
}
