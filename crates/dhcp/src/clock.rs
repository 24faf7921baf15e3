//! Time and randomness as the state machines get them: from outside, so that tests own both.

/// Milliseconds on a clock that runs on during suspend (`CLOCK_BOOTTIME`).
pub type Millis = u64;

/// One second.
pub const SECOND: Millis = 1000;

/// A small generator (splitmix64) for transaction ids and jitter; not for secrets. The same seed gives the same run.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator from a seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; zero when `bound` is.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound.max(1)
    }

    /// `value` with up to `spread` more or less, evenly.
    pub fn around(&mut self, value: u64, spread: u64) -> u64 {
        value.saturating_sub(spread) + self.below(spread.saturating_mul(2).saturating_add(1))
    }
}
