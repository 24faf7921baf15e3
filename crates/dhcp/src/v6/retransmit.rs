//! Retransmission of DHCPv6 messages (RFC 8415, section 15 and 7.6).

use crate::clock::{Millis, Random, SECOND};

/// IRT, MRT, MRC and MRD of one message type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// First wait.
    pub first: Millis,
    /// Longest wait; zero for no bound.
    pub most: Millis,
    /// How many are sent at most; zero for no bound.
    pub count: u32,
    /// Solicit: the first wait is always longer than IRT, so that Advertises can arrive (RFC 8415, 18.2.1).
    pub longer_first: bool,
}

impl Parameters {
    const fn new(first: Millis, most: Millis, count: u32) -> Self {
        Parameters { first, most, count, longer_first: false }
    }

    /// SOL_TIMEOUT, SOL_MAX_RT.
    pub const SOLICIT: Self = Parameters { longer_first: true, ..Self::new(SECOND, 3600 * SECOND, 0) };
    /// REQ_TIMEOUT, REQ_MAX_RT, REQ_MAX_RC.
    pub const REQUEST: Self = Self::new(SECOND, 30 * SECOND, 10);
    /// CNF_TIMEOUT, CNF_MAX_RT; CNF_MAX_RD of ten seconds is five messages.
    pub const CONFIRM: Self = Self::new(SECOND, 4 * SECOND, 5);
    /// REN_TIMEOUT, REN_MAX_RT.
    pub const RENEW: Self = Self::new(10 * SECOND, 600 * SECOND, 0);
    /// REB_TIMEOUT, REB_MAX_RT.
    pub const REBIND: Self = Self::new(10 * SECOND, 600 * SECOND, 0);
    /// REL_TIMEOUT, REL_MAX_RC.
    pub const RELEASE: Self = Self::new(SECOND, 0, 4);
    /// DEC_TIMEOUT, DEC_MAX_RC.
    pub const DECLINE: Self = Self::new(SECOND, 0, 4);
}

/// Where the repetition of one message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retransmit {
    parameters: Parameters,
    /// When it is sent again, or given up.
    pub at: Millis,
    wait: Millis,
    sent: u32,
    /// When the first was sent: for the elapsed time option.
    pub began: Millis,
}

impl Retransmit {
    /// The first message was sent at `now`.
    pub fn start(parameters: Parameters, now: Millis, random: &mut Random) -> Self {
        let tenth = parameters.first / 10;
        let wait = if parameters.longer_first {
            parameters.first + 1 + random.below(tenth.max(1))
        } else {
            random.around(parameters.first, tenth)
        };
        Retransmit { parameters, at: now + wait, wait, sent: 1, began: now }
    }

    /// The next repetition, or nothing when there were enough.
    pub fn next(self, now: Millis, random: &mut Random) -> Option<Self> {
        let Parameters { most, count, .. } = self.parameters;
        if count > 0 && self.sent >= count {
            return None;
        }
        let doubled = random.around(self.wait * 2, self.wait / 10);
        let wait = if most > 0 && doubled > most { random.around(most, most / 10) } else { doubled };
        Some(Retransmit { at: now + wait, wait, sent: self.sent.saturating_add(1), ..self })
    }

    /// How many were sent.
    pub fn sent(&self) -> u32 {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waits_stay_in_the_rfcs_bounds(seed: u64) {
            let mut random = Random::new(seed);
            let mut r = Retransmit::start(Parameters::SOLICIT, 0, &mut random);
            prop_assert!(r.wait > 1000 && r.wait <= 1100);
            let mut last = r.wait;
            for _ in 0..20 {
                r = r.next(r.at, &mut random).unwrap();
                let doubled = r.wait >= last * 19 / 10 && r.wait <= last * 21 / 10 + 1;
                let at_most = (3_240_000..=3_960_000).contains(&r.wait);
                prop_assert!(doubled || at_most, "{last} {}", r.wait);
                last = r.wait;
            }
        }

        #[test]
        fn a_request_is_sent_ten_times(seed: u64) {
            let mut random = Random::new(seed);
            let mut r = Some(Retransmit::start(Parameters::REQUEST, 0, &mut random));
            let mut n = 0;
            while let Some(now) = r {
                n += 1;
                r = now.next(now.at, &mut random);
            }
            prop_assert_eq!(n, 10);
        }
    }
}
