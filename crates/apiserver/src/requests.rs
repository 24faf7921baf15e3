//! How many requests were sent to the API server, by kind: what a call costs there, and that an idle daemon costs nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;

/// Kinds of requests, as RBAC names them; from `patch` on they are writes.
pub const VERBS: [&str; 8] = ["get", "list", "watch", "patch", "create", "update", "delete", "other"];

/// The counters. Retries count as what they are: requests.
#[derive(Debug, Default)]
pub struct Requests {
    sent: [AtomicU64; VERBS.len()],
}

impl Requests {
    /// Counts a request that is sent now.
    pub fn count<B>(&self, request: &http::Request<B>) {
        self.sent[kind(request.method(), request.uri().query().unwrap_or_default())]
            .fetch_add(1, Ordering::Relaxed);
    }

    /// What was sent until now, in the order of [`VERBS`].
    pub fn sent(&self) -> [u64; VERBS.len()] {
        self.sent.each_ref().map(|counter| counter.load(Ordering::Relaxed))
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
        Method::PUT => 5,
        Method::DELETE => 6,
        _ => 7,
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
            (Method::PUT, "/apis/llano.dev/v1alpha1/macvlanips/lan.10.0.0.5?"),
            (Method::DELETE, "/apis/llano.dev/v1alpha1/macvlanips/lan.10.0.0.5?"),
        ] {
            requests.count(&http::Request::builder().method(method).uri(uri).body(()).unwrap());
        }
        assert_eq!(requests.sent(), [1, 1, 1, 1, 2, 1, 1, 0]);
    }
}
