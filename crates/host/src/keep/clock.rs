//! Clocks: one that no one sets, for deadlines; one that people read.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// Time since boot, suspended or not: a deadline must come although someone sets the clock.
pub(crate) fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// Seconds since 1970.
pub(crate) fn unix() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What tells this boot from all others; empty where the kernel does not say.
pub fn boot_id() -> String {
    kernel::sysctl::read("kernel/random/boot_id").unwrap_or_default()
}
