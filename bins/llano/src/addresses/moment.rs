//! Times as people read them.

use std::time::{Duration, SystemTime};

use k8s_openapi::jiff::Timestamp;

/// `45s`, `12m`, `3h`, `9d`: whole units, the largest of which there are at least two.
pub(super) fn short(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// How long ago; nothing for a time to come, which a clock that is wrong gives.
pub(super) fn since(then: SystemTime, now: SystemTime) -> String {
    short(now.duration_since(then).unwrap_or_default())
}

/// `4m left`, or that it is over.
pub(super) fn left(until: SystemTime, now: SystemTime) -> String {
    match until.duration_since(now) {
        Ok(left) if !left.is_zero() => format!("{} left", short(left)),
        _ => "over".to_owned(),
    }
}

/// `2026-11-22 06:40:00 UTC`.
pub(super) fn full(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::super::samples::now;
    use super::*;

    #[test]
    fn times_read_well() {
        let short = |seconds| short(Duration::from_secs(seconds));
        assert_eq!([short(0), short(119), short(120)], ["0s", "119s", "2m"]);
        assert_eq!([short(7_199), short(7_200), short(172_799), short(172_800)], ["119m", "2h", "47h", "2d"]);
        assert_eq!(full(now()), "2026-11-22 06:00:00 UTC");
        assert_eq!(left(now() + Duration::from_secs(240), now()), "4m left");
        assert_eq!(left(now(), now()), "over");
        assert_eq!(since(now() + Duration::from_secs(9), now()), "0s");
    }
}
