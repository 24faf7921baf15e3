//! What every part of the daemon shares: its options, the store, the clocks, randomness.

use std::path::{Path, PathBuf};

use rustix::rand::{GetRandomFlags, getrandom};
use rustix::time::{ClockId, clock_gettime};

use super::store::Store;
use crate::Result;
use crate::clock::{Millis, Random, SECOND};
use crate::v4::Retransmission;

/// How the daemon runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens.
    pub socket: PathBuf,
    /// Where leases and spooled DELs are.
    pub state_dir: PathBuf,
    /// Put before every namespace path and before the socket: the host's root as the daemon sees it.
    pub host_prefix: Option<PathBuf>,
    /// When an unanswered DHCPv4 message is sent again.
    pub retransmission: Retransmission,
    /// When an ADD is given up that names no time itself.
    pub limit: Millis,
    /// Where the process id is written.
    pub pidfile: Option<PathBuf>,
    /// End after so long without lease and call.
    pub idle_exit: Option<Millis>,
}

/// Shared by all attachments.
#[derive(Debug)]
pub(super) struct World {
    /// As started.
    pub(super) options: Options,
    /// The records.
    pub(super) store: Store,
    /// This boot of the machine.
    pub(super) boot: String,
}

impl World {
    /// Opens the store.
    pub(super) fn open(options: Options) -> Result<World> {
        let store = Store::open(&options.state_dir)?;
        let boot =
            std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        Ok(World { options, store, boot })
    }

    /// `CLOCK_BOOTTIME`.
    pub(super) fn now(&self) -> Millis {
        let time = clock_gettime(ClockId::Boottime);
        millis(time.tv_sec, time.tv_nsec)
    }

    /// The wall clock, milliseconds since 1970.
    pub(super) fn wall() -> Millis {
        let time = clock_gettime(ClockId::Realtime);
        millis(time.tv_sec, time.tv_nsec)
    }

    /// A generator with a seed of the kernel.
    pub(super) fn random(&self) -> Random {
        let mut seed = [0u8; 8];
        let filled = getrandom(&mut seed, GetRandomFlags::empty()).is_ok();
        // Before the kernel has randomness, the clock tells clients apart well enough.
        Random::new(if filled { u64::from_le_bytes(seed) } else { self.now() })
    }

    /// A path of the host as the daemon sees it.
    pub(super) fn host_path(&self, path: &Path) -> PathBuf {
        prefixed(self.options.host_prefix.as_deref(), path)
    }
}

/// `path` below `prefix`.
pub fn prefixed(prefix: Option<&Path>, path: &Path) -> PathBuf {
    match prefix {
        Some(prefix) => prefix.join(path.strip_prefix("/").unwrap_or(path)),
        None => path.to_owned(),
    }
}

fn millis(seconds: i64, nanos: i64) -> Millis {
    u64::try_from(seconds).unwrap_or(0) * SECOND + u64::try_from(nanos).unwrap_or(0) / 1_000_000
}
