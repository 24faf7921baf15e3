//! What became of claims, counted for Prometheus.

use std::time::Duration;

use claims::Claim;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::ClaimError;

/// Upper ends in seconds: one create takes milliseconds, a full subnet or a predecessor is waited for.
const BUCKETS: [f64; 12] = [0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 1.0, 4.0, 16.0, 64.0];

type Reason = Vec<(&'static str, &'static str)>;
type Subnet = Vec<(&'static str, String)>;

/// The counters. A clone counts the same.
#[derive(Debug, Clone)]
pub struct ClaimCounts {
    made: Counter,
    taken: Counter,
    renewed: Counter,
    held: Counter,
    released: Counter,
    quarantined: Counter,
    refused: Family<Reason, Counter>,
    in_doubt: Counter,
    fenced: Counter,
    exhausted: Family<Subnet, Counter>,
    seconds: Histogram,
}

impl Default for ClaimCounts {
    fn default() -> ClaimCounts {
        ClaimCounts {
            made: Counter::default(),
            taken: Counter::default(),
            renewed: Counter::default(),
            held: Counter::default(),
            released: Counter::default(),
            quarantined: Counter::default(),
            refused: Family::default(),
            in_doubt: Counter::default(),
            fenced: Counter::default(),
            exhausted: Family::default(),
            seconds: Histogram::new(BUCKETS),
        }
    }
}

impl ClaimCounts {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let counters = [
            ("claims_made", "Addresses claimed by a create", &self.made),
            ("claims_taken", "Held addresses taken over for the pod they were kept for", &self.taken),
            ("claims_renewed", "Claims of a pod given to its next sandbox", &self.renewed),
            ("claims_held", "Claims held when their interface had gone", &self.held),
            ("claims_released", "Claims deleted when their interface had gone", &self.released),
            ("claims_quarantined", "Addresses that somebody else on the LAN answered for", &self.quarantined),
            ("claim_writes_in_doubt", "Writes of claims without an answer", &self.in_doubt),
            (
                "fenced_interfaces",
                "Interfaces taken down because their address was not theirs any more",
                &self.fenced,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("claims_refused", "Writes of claims refused, by reason", self.refused.clone());
        registry.register(
            "claims_exhausted",
            "ADDs that found no free address, by subnet",
            self.exhausted.clone(),
        );
        registry.register_with_unit(
            "claim_duration",
            "Time of an ADD for its claims",
            Unit::Seconds,
            self.seconds.clone(),
        );
    }

    /// A create or an update had this answer. `before`: whether it replaced a claim of this node.
    pub(super) fn put(&self, sent: &Claim, before: bool, answer: &Result<Option<Claim>, ClaimError>) {
        let creates = sent.version == claims::Version::default();
        let counter = match (answer, &sent.hold) {
            (Ok(Some(_)), Some(hold)) if hold.reason == claims::Reason::Quarantine => &self.quarantined,
            (Ok(Some(_)), Some(_)) => &self.held,
            (Ok(Some(_)), None) if creates => &self.made,
            (Ok(Some(_)), None) if before => &self.renewed,
            (Ok(Some(_)), None) => &self.taken,
            (Ok(None), _) => return self.refuse(if creates { "taken" } else { "changed" }),
            (Err(error), _) => return self.fail(error),
        };
        counter.inc();
    }

    pub(super) fn deleted(&self, answer: &Result<bool, ClaimError>) {
        match answer {
            Ok(true) => {
                self.released.inc();
            }
            Ok(false) => self.refuse("changed"),
            Err(error) => self.fail(error),
        }
    }

    /// An ADD's claims took so long.
    pub(super) fn claimed<T>(&self, took: Duration, answer: &Result<T, ClaimError>) {
        self.seconds.observe(took.as_secs_f64());
        if let Err(ClaimError::Exhausted { subnets, .. }) = answer {
            for (subnet, _) in subnets {
                self.exhausted.get_or_create(&vec![("subnet", subnet.clone())]).inc();
            }
        }
    }

    pub(super) fn in_doubt(&self) {
        self.in_doubt.inc();
    }

    pub(super) fn fenced(&self) {
        self.fenced.inc();
    }

    fn fail(&self, error: &ClaimError) {
        if matches!(error, ClaimError::Refused { .. }) {
            self.refuse("forbidden");
        }
    }

    fn refuse(&self, reason: &'static str) {
        self.refused.get_or_create(&vec![("reason", reason)]).inc();
    }
}

#[cfg(test)]
impl ClaimCounts {
    /// Families have no name before something is counted in them.
    pub(crate) fn count_each(&self) {
        self.refuse("taken");
        let numbers = claims::Numbers { usable: 1, used: 1, held: 0, quarantined: 0 };
        let subnets = vec![("lan4".to_owned(), numbers)];
        let full: Result<(), ClaimError> = Err(ClaimError::Exhausted { subnets, holders: String::new() });
        self.claimed(Duration::from_millis(3), &full);
    }
}
