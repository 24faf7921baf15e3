//! What the agent says of itself.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use agent::Engine;
use agent::kube::ApiServer;
use agent::metrics::{Metrics, Snapshot};
use agent::server::{Hooks, Observed, Page};

/// Readiness and metrics.
pub(super) struct Pages {
    pub(super) engine: Arc<Engine>,
    pub(super) cluster: Arc<ApiServer>,
    pub(super) metrics: Metrics,
    pub(super) spool: PathBuf,
    /// Why the installation is not done; none when it is, or is not ours to do.
    pub(super) installation: Mutex<Option<String>>,
}

impl Pages {
    /// What is missing for a pod to start here.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if !self.cluster.health().listed {
            missing.push("the API server has not told this node's pods and the definitions yet".to_owned());
        }
        if let Err(error) = self.engine.counts() {
            missing.push(error.to_string());
        }
        missing.extend(self.installation.lock().unwrap_or_else(PoisonError::into_inner).clone());
        missing
    }

    fn spooled(&self) -> usize {
        std::fs::read_dir(&self.spool).map_or(0, |entries| {
            let paths = entries.flatten().map(|entry| entry.path());
            paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).count()
        })
    }
}

fn text(status: u16, body: String) -> Page {
    Page { status, content_type: "text/plain; charset=utf-8", body }
}

impl Hooks for Pages {
    fn page(&self, path: &str) -> Option<Page> {
        match path {
            "/healthz" => Some(text(200, "ok\n".to_owned())),
            "/readyz" => {
                let missing = self.missing();
                Some(match missing.is_empty() {
                    true => text(200, "ok\n".to_owned()),
                    false => text(503, missing.join("\n") + "\n"),
                })
            }
            "/metrics" => {
                let now = Snapshot {
                    cluster: self.cluster.health(),
                    store: self.engine.counts().ok(),
                    spool: self.spooled(),
                    ready: self.missing().is_empty(),
                };
                let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                Some(Page { status: 200, content_type, body: self.metrics.to_text(&now) })
            }
            _ => None,
        }
    }

    fn observed(&self, call: &Observed<'_>) {
        self.metrics.observe(call);
    }
}
