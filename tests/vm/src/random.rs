//! Numbers that a seed decides, the same in the guest and on the host.

/// splitmix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A sequence.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed of a test: `LLANO_SEED`, or the time. It is printed, so that a failure can be repeated.
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

/// The seed of a test: `LLANO_SEED`, or the time. It is printed, so that a failure can be repeated.
#[must_use]
pub fn seed(test: &str) -> u64 {
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    };
    let seed = std::env::var("LLANO_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(now);
    eprintln!("{test}: LLANO_SEED={seed}");
    seed
}
