//! Numbers that a seed decides, the same in the guest and on the host.

use std::time::{SystemTime, UNIX_EPOCH};

/// Without `LLANO_SEED`: what a test draws is the same in every run, so that a failure is the change's that was tested.
const USUAL: u64 = 4;

/// splitmix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A sequence.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The sequence of a test's [`seed`].
    #[must_use]
    pub fn of_test(test: &str) -> Self {
        Self(seed(test))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }
}

/// The seed of a test: always the same, or what `LLANO_SEED` says, a number or `time`. It is printed.
///
/// # Panics
/// When `LLANO_SEED` is something else.
#[must_use]
pub fn seed(test: &str) -> u64 {
    let said = std::env::var("LLANO_SEED").ok();
    let seed = chosen(said.as_deref())
        .unwrap_or_else(|said| panic!("LLANO_SEED is a number or `time`, not `{said}`"));
    eprintln!("{test}: LLANO_SEED={seed}");
    seed
}

fn chosen(said: Option<&str>) -> Result<u64, &str> {
    match said {
        None => Ok(USUAL),
        Some("time") => Ok(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())),
        Some(number) => number.parse().map_err(|_| number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_a_seed_only_when_asked_for() {
        assert_eq!(chosen(None), Ok(USUAL));
        assert_eq!(chosen(Some("12")), Ok(12));
        assert!(chosen(Some("time")).is_ok_and(|seed| seed > 1_000_000_000));
        assert_eq!(chosen(Some("tme")), Err("tme"));
    }
}
