//! Numbers of addresses as people read them.

/// In full up to a thousand millions; beyond, where nobody counts any more, as the nearest power of two: `~2^64`.
pub(super) fn shown(count: u128) -> String {
    if count < 1_000_000_000 {
        return count.to_string();
    }
    let floor = count.ilog2();
    let over_half = floor > 0 && count >> (floor - 1) & 1 == 1;
    format!("~2^{}", floor + u32::from(over_half))
}

/// As a status counts: at most `i64::MAX`.
pub(super) fn bounded(count: u128) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_counts_are_powers_of_two() {
        assert_eq!(shown(254), "254");
        assert_eq!(shown(999_999_999), "999999999");
        assert_eq!(shown((1 << 64) - 2), "~2^64");
        assert_eq!(shown(1 << 64), "~2^64");
        assert_eq!(shown(u128::MAX), "~2^128");
        assert_eq!(bounded(u128::MAX), i64::MAX);
    }
}
