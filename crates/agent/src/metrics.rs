//! What Prometheus reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use cni::Verb;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use apiserver::VERBS;

use crate::claims::ClaimCounts;
use crate::kube::ClusterHealth;
use crate::server::Observed;

type Labels = Vec<(&'static str, &'static str)>;

/// Upper ends in seconds: an interface takes milliseconds, a plugin that waits for others minutes.
const BUCKETS: [f64; 14] =
    [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 4.0, 16.0, 64.0];

/// The counters, and a registry that knows their names.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    calls: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
    attachments: Gauge,
    deletions: Gauge,
    spool: Gauge,
    age: Family<Labels, Gauge>,
    known: Family<Labels, Gauge>,
    lists: Counter,
    asked: Counter,
    requests: Family<Labels, Counter>,
    status_writes: Counter,
    status_seconds: Counter<f64, AtomicU64>,
    events: Family<Labels, Counter>,
    waiting: Gauge,
    own_claims: Gauge,
    ready: Gauge,
}

/// What is counted elsewhere, at the moment of a question.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The connection to the cluster.
    pub cluster: ClusterHealth,
    /// Attachments in the store, and containers with deletions to be repeated; none when the store cannot be read.
    pub store: Option<(usize, usize)>,
    /// Files in the spool.
    pub spool: usize,
    /// Whether nothing is missing that pods need.
    pub ready: bool,
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Metrics {
    /// With what became of claims.
    pub fn new(claims: &ClaimCounts) -> Metrics {
        let mut registry = Registry::with_prefix("llano");
        let metrics = Metrics {
            registry: Mutex::default(),
            calls: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            attachments: Gauge::default(),
            deletions: Gauge::default(),
            spool: Gauge::default(),
            age: Family::default(),
            known: Family::default(),
            lists: Counter::default(),
            asked: Counter::default(),
            requests: Family::default(),
            status_writes: Counter::default(),
            status_seconds: Counter::default(),
            events: Family::default(),
            waiting: Gauge::default(),
            own_claims: Gauge::default(),
            ready: Gauge::default(),
        };
        registry.register("calls", "Calls of the plugin by verb and result", metrics.calls.clone());
        registry.register_with_unit(
            "call_duration",
            "Time from a whole call to its answer",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register(
            "attachments",
            "Interfaces of pods, made or begun or to be deleted",
            metrics.attachments.clone(),
        );
        registry.register(
            "pending_deletions",
            "Containers with something that is still to be deleted",
            metrics.deletions.clone(),
        );
        registry.register(
            "spooled_deletions",
            "DELs that came while no agent was there, not taken in yet",
            metrics.spool.clone(),
        );
        registry.register_with_unit(
            "watch_age",
            "Time since the API server last said something to a watch; it says something each minute",
            Unit::Seconds,
            metrics.age.clone(),
        );
        registry.register("known_objects", "Objects that the watches have", metrics.known.clone());
        registry.register("watch_lists", "Lists read by the watches", metrics.lists.clone());
        registry.register(
            "lookups",
            "Objects asked of the API server because a watch did not have them",
            metrics.asked.clone(),
        );
        registry.register("api_requests", "Requests to the API server by verb", metrics.requests.clone());
        registry.register(
            "status_writes",
            "Status annotations, each one patch when nothing goes wrong",
            metrics.status_writes.clone(),
        );
        registry.register_with_unit(
            "status_write",
            "Time that ADDs waited for status annotations, the API server's part of them",
            Unit::Seconds,
            metrics.status_seconds.clone(),
        );
        registry.register("events", "Events on pods by what became of them", metrics.events.clone());
        registry.register("waiting_events", "Events on pods that wait to be sent", metrics.waiting.clone());
        registry.register("own_claims", "Addresses that pods of this node have", metrics.own_claims.clone());
        registry.register("ready", "1 when nothing is missing that pods need", metrics.ready.clone());
        claims.register(&mut registry);
        let build = Family::<Labels, Gauge>::default();
        build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("build_info", "1, with the version of the program", build);
        *metrics.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry;
        metrics
    }

    /// Counts a call.
    pub fn observe(&self, call: &Observed<'_>) {
        let result = match call.answer {
            Ok(_) => "ok",
            Err(error) if error.code() == cni::code::TRY_AGAIN => "try_again",
            Err(_) => "error",
        };
        self.calls.get_or_create(&vec![("verb", verb(call.verb)), ("result", result)]).inc();
        self.seconds.get_or_create(&vec![("verb", verb(call.verb))]).observe(call.took.as_secs_f64());
    }

    /// All of it as text, in the form of OpenMetrics.
    pub fn to_text(&self, now: &Snapshot) -> String {
        let (attachments, deletions) = now.store.unwrap_or_default();
        self.attachments.set(number(attachments));
        self.deletions.set(number(deletions));
        self.spool.set(number(now.spool));
        let cluster = &now.cluster;
        for (watch, age) in [("pods", cluster.pods_age), ("definitions", cluster.definitions_age)] {
            let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
            self.age.get_or_create(&vec![("watch", watch)]).set(seconds);
        }
        let (pods, definitions) = cluster.known.unwrap_or_default();
        for (kind, count) in [("pods", pods), ("definitions", definitions)] {
            self.known.get_or_create(&vec![("kind", kind)]).set(number(count));
        }
        self.lists.inner().store(cluster.lists, Ordering::Relaxed);
        self.asked.inner().store(cluster.asked, Ordering::Relaxed);
        for (verb, count) in VERBS.into_iter().zip(cluster.sent.requests) {
            let counter = self.requests.get_or_create_owned(&vec![("verb", verb)]);
            counter.inner().store(count, Ordering::Relaxed);
        }
        self.status_writes.inner().store(cluster.sent.status_writes, Ordering::Relaxed);
        self.status_seconds
            .inner()
            .store(cluster.sent.status_time.as_secs_f64().to_bits(), Ordering::Relaxed);
        for (result, count) in [("sent", cluster.events_sent), ("dropped", cluster.events_dropped)] {
            let counter = self.events.get_or_create_owned(&vec![("result", result)]);
            counter.inner().store(count, Ordering::Relaxed);
        }
        self.waiting.set(number(cluster.events_waiting));
        self.own_claims.set(number(cluster.own_claims));
        self.ready.set(now.ready.into());
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner));
        text
    }
}

fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Add => "ADD",
        Verb::Del => "DEL",
        Verb::Check => "CHECK",
        Verb::Status => "STATUS",
        Verb::Gc => "GC",
        Verb::Version => "VERSION",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kube::Sent;

    #[test]
    fn what_was_counted_is_what_is_read() {
        let metrics = Metrics::new(&ClaimCounts::default());
        let took = Duration::from_millis(3);
        for answer in
            [Ok(None), Ok(None), Err(cni::Error::try_again("later")), Err(cni::Error::invalid_config("x"))]
        {
            metrics.observe(&Observed { verb: Verb::Add, answer: &answer, took });
        }
        let sent = Sent {
            requests: [1, 2, 3, 44, 9, 0, 0, 0],
            status_writes: 42,
            status_time: Duration::from_millis(84),
        };
        let cluster = ClusterHealth {
            listed: true,
            known: Some((110, 7)),
            pods_age: Duration::from_secs(41),
            definitions_age: Duration::from_secs(2),
            lists: 2,
            asked: 5,
            events_sent: 9,
            events_dropped: 1,
            events_waiting: 3,
            own_claims: 12,
            sent,
        };
        let now = Snapshot { cluster, store: Some((330, 4)), spool: 6, ready: true };
        metrics.to_text(&now);
        let text = metrics.to_text(&now);
        for line in [
            "llano_calls_total{verb=\"ADD\",result=\"ok\"} 2",
            "llano_calls_total{verb=\"ADD\",result=\"try_again\"} 1",
            "llano_calls_total{verb=\"ADD\",result=\"error\"} 1",
            "llano_call_duration_seconds_count{verb=\"ADD\"} 4",
            "llano_call_duration_seconds_bucket{le=\"0.002\",verb=\"ADD\"} 0",
            "llano_call_duration_seconds_bucket{le=\"0.004\",verb=\"ADD\"} 4",
            "llano_attachments 330",
            "llano_pending_deletions 4",
            "llano_spooled_deletions 6",
            "llano_watch_age_seconds{watch=\"pods\"} 41",
            "llano_known_objects{kind=\"pods\"} 110",
            "llano_lookups_total 5",
            "llano_events_total{result=\"sent\"} 9",
            "llano_events_total{result=\"dropped\"} 1",
            "llano_waiting_events 3",
            "llano_own_claims 12",
            "llano_ready 1",
            "llano_claims_made_total 0",
            "llano_api_requests_total{verb=\"patch\"} 44",
            "llano_status_writes_total 42",
            "llano_status_write_seconds_total 0.084",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn alerts_name_metrics_that_there_are() {
        let claims = ClaimCounts::default();
        claims.count_each();
        let metrics = Metrics::new(&claims);
        let took = Duration::from_millis(3);
        metrics.observe(&Observed { verb: Verb::Add, answer: &Ok(None), took });
        let now = Snapshot { cluster: ClusterHealth::default(), store: None, spool: 0, ready: true };
        let text = metrics.to_text(&now);
        let alerts = include_str!("../../../deploy/alerts.yaml");
        let words = alerts.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let ours = |word: &&str| word.starts_with("llano_") && !word.starts_with("llano_controller_");
        let named: Vec<&str> = words.filter(ours).collect();
        assert!(named.contains(&"llano_ready"), "{named:?}");
        for name in named {
            let is_it = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
            assert!(text.lines().any(is_it), "no {name} in {text}");
        }
    }
}
