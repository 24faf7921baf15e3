//! The time of day, as daemons write it into objects that others read.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

/// For tests of clocks that differ: so many seconds beside the system's clock, `-3600` for an hour behind.
pub const VARIABLE: &str = "LLANO_CLOCK_OFFSET";

static OFFSET: AtomicI64 = AtomicI64::new(0);

/// [`VARIABLE`] is no number.
#[derive(Debug, thiserror::Error)]
#[error("{VARIABLE}: {0:?}, expected seconds, such as -3600")]
pub struct NoOffset(String);

/// Moves this program's [`now`] as [`VARIABLE`] says, and gives the offset. Without it nothing is moved.
///
/// # Errors
/// When it is no number.
pub fn read_offset() -> Result<i64, NoOffset> {
    let said = std::env::var(VARIABLE).unwrap_or_default();
    let offset = parse(&said)?;
    OFFSET.store(offset, Ordering::Relaxed);
    Ok(offset)
}

fn parse(said: &str) -> Result<i64, NoOffset> {
    if said.is_empty() { Ok(0) } else { said.parse().map_err(|_| NoOffset(said.to_owned())) }
}

/// Now.
pub fn now() -> SystemTime {
    beside(SystemTime::now(), OFFSET.load(Ordering::Relaxed))
}

fn beside(time: SystemTime, seconds: i64) -> SystemTime {
    let offset = Duration::from_secs(seconds.unsigned_abs());
    let moved = if seconds < 0 { time.checked_sub(offset) } else { time.checked_add(offset) };
    moved.unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_seconds_to_both_sides() {
        assert_eq!(
            ["", "0", "3600", "-3600"].map(|said| parse(said).ok()),
            [Some(0), Some(0), Some(3600), Some(-3600)]
        );
        let said = parse("1h").unwrap_err().to_string();
        assert_eq!(said, r#"LLANO_CLOCK_OFFSET: "1h", expected seconds, such as -3600"#);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000);
        assert_eq!(beside(time, -3600), SystemTime::UNIX_EPOCH + Duration::from_secs(6_400));
        assert_eq!(beside(time, 3600), SystemTime::UNIX_EPOCH + Duration::from_secs(13_600));
        assert_eq!(beside(time, i64::MAX), time, "no such time");
    }
}
