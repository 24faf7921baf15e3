//! Measured times and what is said about them.

use std::time::Duration;

/// Times in microseconds, in the order they were taken.
#[derive(Clone, Default, Debug)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    pub(super) fn push(&mut self, time: Duration) {
        self.push_micros(time.as_secs_f64() * 1e6);
    }

    pub(super) fn push_micros(&mut self, micros: f64) {
        self.0.push(micros);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value below which this part of the samples lies (nearest rank); NaN when there are none.
    fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (part * sorted.len() as f64).ceil().max(1.0);
        // A rank is a small whole number.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let index = rank as usize - 1;
        sorted.get(index).copied().unwrap_or(f64::NAN)
    }

    pub(super) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(super) fn p95(&self) -> f64 {
        self.quantile(0.95)
    }

    pub(super) fn p99(&self) -> f64 {
        self.quantile(0.99)
    }

    pub(super) fn most(&self) -> f64 {
        self.quantile(1.0)
    }

    pub(super) fn least(&self) -> f64 {
        self.quantile(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_rank() {
        let samples = Samples((1..=20).rev().map(f64::from).collect());
        assert_eq!((samples.median(), samples.p95(), samples.least()), (10.0, 19.0, 1.0));
        assert_eq!(Samples(vec![7.0]).p95(), 7.0);
        assert!(Samples::default().median().is_nan());
    }
}
