//! What Prometheus reads.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use apiserver::{Requests, VERBS};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::changes::State;

type Labels = Vec<(&'static str, &'static str)>;
type SubnetLabels = Vec<(&'static str, String)>;

/// What became of a claim, as `llano_controller_decisions_total` calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decided {
    /// Of a pod that is gone, and kept.
    Cleared,
    /// Of a pod that is gone, and free now.
    Freed,
    /// Held for nothing any more, and free now.
    Collected,
    /// Held, and its last pod will not come back for it.
    LetGo,
    /// Made for a reservation, or changed as that wants it.
    Reserved,
}

impl Decided {
    fn word(self) -> &'static str {
        match self {
            Decided::Cleared => "cleared",
            Decided::Freed => "freed",
            Decided::Collected => "collected",
            Decided::LetGo => "let_go",
            Decided::Reserved => "reserved",
        }
    }
}

/// The counters, and a registry that knows their names.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    leader: Gauge,
    waiting: Gauge,
    due: Gauge,
    claims: Family<Labels, Gauge>,
    subnets: Family<SubnetLabels, Gauge>,
    certificate: Gauge,
    decisions: Family<Labels, Counter>,
    failures: Counter,
    age: Family<Labels, Gauge>,
    requests: Family<Labels, Counter>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("llano_controller");
        let metrics = Metrics {
            registry: Mutex::default(),
            leader: Gauge::default(),
            waiting: Gauge::default(),
            due: Gauge::default(),
            claims: Family::default(),
            subnets: Family::default(),
            certificate: Gauge::default(),
            decisions: Family::default(),
            failures: Counter::default(),
            age: Family::default(),
            requests: Family::default(),
        };
        registry.register("leader", "1 when this controller holds the lease", metrics.leader.clone());
        registry.register("queue_length", "Objects to be looked at, now or later", metrics.waiting.clone());
        registry.register("queue_due", "Objects to be looked at now", metrics.due.clone());
        registry.register("claims", "Claims of addresses by state", metrics.claims.clone());
        registry.register(
            "subnet_addresses",
            "Addresses that pods of a subnet can get: total, and used, free, held or quarantined",
            metrics.subnets.clone(),
        );
        registry.register(
            "webhook_certificate_days",
            "Whole days that the webhook's certificate lasts; -1 while none is served",
            metrics.certificate.clone(),
        );
        metrics.certificate.set(-1);
        registry.register("decisions", "Writes of claims by what became of them", metrics.decisions.clone());
        registry.register("failures", "Looks that failed and are tried again", metrics.failures.clone());
        registry.register_with_unit(
            "watch_age",
            "Time since the API server last said something to a watch; it says something each minute",
            Unit::Seconds,
            metrics.age.clone(),
        );
        registry.register("api_requests", "Requests to the API server by verb", metrics.requests.clone());
        let build = Family::<Labels, Gauge>::default();
        build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("build_info", "1, with the version of the program", build);
        *metrics.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry;
        metrics
    }
}

impl Metrics {
    pub(crate) fn decided(&self, what: Decided) {
        self.decisions.get_or_create(&vec![("kind", what.word())]).inc();
    }

    pub(crate) fn failed(&self) {
        self.failures.inc();
    }

    /// Is set to the days that the webhook's certificate lasts.
    pub(crate) fn certificate_days(&self) -> Gauge {
        self.certificate.clone()
    }

    pub(crate) fn lead(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// All of it as text, in the form of OpenMetrics.
    pub(crate) fn to_text(
        &self,
        state: &State,
        ages: impl Iterator<Item = (&'static str, Duration)>,
        requests: &Requests,
    ) -> String {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (waiting, due) = state.queue.len(Instant::now());
        self.waiting.set(number(waiting));
        self.due.set(number(due));
        for (name, count) in state.index.states() {
            self.claims.get_or_create(&vec![("state", name)]).set(count);
        }
        self.show_subnets(state);
        for (watch, age) in ages {
            let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
            self.age.get_or_create(&vec![("watch", watch)]).set(seconds);
        }
        for (verb, count) in VERBS.into_iter().zip(requests.sent()) {
            let counter = self.requests.get_or_create_owned(&vec![("verb", verb)]);
            counter.inner().store(count, Ordering::Relaxed);
        }
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing into a text does not fail.
        let _ = encode(&mut text, &registry);
        text
    }

    fn show_subnets(&self, state: &State) {
        // Those that are gone have no numbers any more.
        self.subnets.clear();
        for subnet in state.index.subnets.values().filter_map(|known| known.parsed.as_ref().ok()) {
            let (total, counts) = (subnet.total(), state.index.counts(subnet));
            for (name, count) in [
                ("total", total),
                ("used", counts.used),
                ("free", counts.free(total)),
                ("held", counts.held),
                ("quarantined", counts.quarantined),
            ] {
                let labels = vec![("subnet", subnet.name.clone()), ("state", name.to_owned())];
                self.subnets.get_or_create(&labels).set(count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{active, state_with_subnet};

    #[test]
    fn the_text_has_what_is_known_now() {
        let mut state = state_with_subnet();
        state.claim_applied(active("10.0.0.5", "web", "u1"));
        let metrics = Metrics::default();
        metrics.lead(true);
        metrics.decided(Decided::Freed);
        let ages = [("pods", Duration::from_secs(7))].into_iter();
        let text = metrics.to_text(&state, ages, &Requests::default());
        for line in [
            "llano_controller_leader 1",
            "llano_controller_queue_length 3",
            "llano_controller_claims{state=\"active\"} 1",
            "llano_controller_claims{state=\"quarantine\"} 0",
            "llano_controller_subnet_addresses{subnet=\"lan4\",state=\"total\"} 13",
            "llano_controller_subnet_addresses{subnet=\"lan4\",state=\"used\"} 1",
            "llano_controller_subnet_addresses{subnet=\"lan4\",state=\"free\"} 12",
            "llano_controller_subnet_addresses{subnet=\"lan4\",state=\"held\"} 0",
            "llano_controller_subnet_addresses{subnet=\"lan4\",state=\"quarantined\"} 0",
            "llano_controller_webhook_certificate_days -1",
            "llano_controller_decisions_total{kind=\"freed\"} 1",
            "llano_controller_watch_age_seconds{watch=\"pods\"} 7",
            "llano_controller_api_requests_total{verb=\"watch\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn a_subnet_that_is_gone_has_no_numbers() {
        let mut state = state_with_subnet();
        let (metrics, requests) = (Metrics::default(), Requests::default());
        assert!(metrics.to_text(&state, std::iter::empty(), &requests).contains("subnet=\"lan4\""));
        state.subnet_deleted("lan4");
        assert!(!metrics.to_text(&state, std::iter::empty(), &requests).contains("subnet=\"lan4\""));
    }

    #[test]
    fn alerts_name_metrics_that_there_are() {
        let metrics = Metrics::default();
        let ages = [("pods", Duration::ZERO)].into_iter();
        let text = metrics.to_text(&state_with_subnet(), ages, &Requests::default());
        let alerts = include_str!("../../../deploy/alerts.yaml");
        let words = alerts.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named: Vec<&str> = words.filter(|word| word.starts_with("llano_controller_")).collect();
        assert!(named.contains(&"llano_controller_leader"), "{named:?}");
        for name in named {
            let is_it = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
            assert!(text.lines().any(is_it), "no {name} in {text}");
        }
    }
}
