//! How many requests were sent to the API server, by kind: what an ADD costs there, and that an idle agent costs nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;

/// Kinds of requests, as RBAC names them; `create` and `patch` are writes.
pub(crate) const VERBS: [&str; 6] = ["get", "list", "watch", "patch", "create", "other"];

/// The counters. Retries count as what they are: requests.
#[derive(Debug, Default)]
pub(super) struct Requests {
    sent: [AtomicU64; VERBS.len()],
    status_writes: AtomicU64,
    status_micros: AtomicU64,
}

/// What was sent until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// In the order of `get`, `list`, `watch`, `patch`, `create`, and any other.
    pub(crate) requests: [u64; VERBS.len()],
    /// Status annotations that were written, or could not be.
    pub status_writes: u64,
    /// How long they took in all, retries and pauses too.
    pub status_time: Duration,
}

impl Requests {
    /// Counts a request that is sent now.
    pub(super) fn count<B>(&self, request: &http::Request<B>) {
        self.sent[kind(request.method(), request.uri().query().unwrap_or_default())]
            .fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a status annotation that took so long.
    pub(super) fn wrote_status(&self, took: Duration) {
        self.status_writes.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.status_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn sent(&self) -> Sent {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Sent {
            requests: self.sent.each_ref().map(load),
            status_writes: load(&self.status_writes),
            status_time: Duration::from_micros(load(&self.status_micros)),
        }
    }
}

/// An index into [`VERBS`]. A list is asked for in pages, so that it has a `limit`.
fn kind(method: &Method, query: &str) -> usize {
    let has = |key: &str| query.split('&').any(|pair| pair.split('=').next() == Some(key));
    match *method {
        Method::GET if has("watch") => 2,
        Method::GET if has("limit") => 1,
        Method::GET => 0,
        Method::PATCH => 3,
        Method::POST => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let requests = Requests::default();
        for (method, uri) in [
            (Method::GET, "/api/v1/namespaces/a/pods/b?"),
            (Method::GET, "/api/v1/pods?&limit=100&fieldSelector=spec.nodeName%3Dn"),
            (Method::GET, "/api/v1/pods?&watch=true&timeoutSeconds=290"),
            (Method::PATCH, "/api/v1/namespaces/watch/pods/b/status?"),
            (Method::POST, "/api/v1/namespaces/a/events?"),
            (Method::POST, "/api/v1/namespaces/a/events?"),
        ] {
            requests.count(&http::Request::builder().method(method).uri(uri).body(()).unwrap());
        }
        requests.wrote_status(Duration::from_micros(1500));
        requests.wrote_status(Duration::from_micros(500));
        let sent = requests.sent();
        assert_eq!(sent.requests, [1, 1, 1, 1, 2, 0]);
        assert_eq!((sent.status_writes, sent.status_time), (2, Duration::from_millis(2)));
    }
}
