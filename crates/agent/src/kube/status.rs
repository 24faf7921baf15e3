//! The one write of an ADD: the status annotation, by one patch that names the pod's UID.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::kube::core::Request;
use ::kube::core::params::{GetParams, Patch, PatchParams};
use ::kube::{Client, Error};
use apiserver::{Backoff, VERBS, is_not_found, plain, within};
use serde_json::json;

use super::object::PodObject;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// What was sent to the API server until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// In the order of [`VERBS`].
    pub(crate) requests: [u64; VERBS.len()],
    /// Status annotations that were written, or could not be.
    pub status_writes: u64,
    /// How long they took in all, retries and pauses too.
    pub status_time: Duration,
}

impl Sent {
    /// Requests of a kind, named as in [`VERBS`].
    pub fn requests(&self, verb: &str) -> u64 {
        VERBS.iter().zip(self.requests).filter(|(name, _)| **name == verb).map(|(_, count)| count).sum()
    }
}

/// How many status annotations were written, and how long that took.
#[derive(Debug, Default)]
pub(super) struct StatusWrites {
    count: AtomicU64,
    micros: AtomicU64,
}

impl StatusWrites {
    /// Counts one that took so long.
    pub(super) fn count(&self, took: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// With the requests by verb.
    pub(super) fn sent(&self, requests: [u64; VERBS.len()]) -> Sent {
        let status_time = Duration::from_micros(self.micros.load(Ordering::Relaxed));
        Sent { requests, status_writes: self.count.load(Ordering::Relaxed), status_time }
    }
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It stands.
    Yes,
    /// There is no such pod, or another of its name.
    Gone,
}

/// `/api/v1/namespaces/NAMESPACE/pods`; the namespace has been checked.
pub(super) fn pods_path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

/// Asks for a pod; none when there is no such pod.
pub(super) async fn get_pod(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<PodObject>, Error> {
    let asked =
        Request::new(pods_path(namespace)).get(name, &GetParams::default()).map_err(Error::BuildRequest)?;
    match within(ANSWER, client.request::<PodObject>(asked)).await {
        Ok(pod) => Ok(Some(pod)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the annotation, and tries again until `until` what may pass.
pub(super) async fn write(
    client: &Client,
    (namespace, name, uid): (&str, &str, &str),
    annotation: &str,
    until: Instant,
    backoff: Backoff,
) -> Result<Written, String> {
    let patch = Patch::Merge(json!({
        "metadata": { "uid": uid, "annotations": { api::NETWORK_STATUS: annotation } }
    }));
    let mut failures = 0;
    loop {
        let asked = Request::new(pods_path(namespace))
            .patch_subresource("status", name, &PatchParams::default(), &patch)
            .map_err(|error| error.to_string())?;
        let error = match within(ANSWER, client.request::<PodObject>(asked)).await {
            Ok(_) => return Ok(Written::Yes),
            Err(error) if is_not_found(&error) => return Ok(Written::Gone),
            Err(error) => error,
        };
        match &error {
            // The UID is another one's, or somebody wrote at the same time: the pod itself tells.
            Error::Api(status) if matches!(status.code, 409 | 422) => {
                match get_pod(client, namespace, name).await.map(|pod| pod.map(PodObject::keep)) {
                    Ok(None) => return Ok(Written::Gone),
                    Ok(Some(pod)) if pod.api_uid() != uid => return Ok(Written::Gone),
                    Ok(Some(_)) if status.code == 422 => return Err(plain(&error)),
                    Ok(Some(_)) | Err(_) => {}
                }
            }
            // Refused for good: by RBAC, by the policy, as too large. An expired token is exchanged soon.
            Error::Api(status)
                if (400..500).contains(&status.code) && !matches!(status.code, 401 | 408 | 429) =>
            {
                return Err(plain(&error));
            }
            _ => {}
        }
        failures += 1;
        let pause = backoff.pause(failures).min(Duration::from_secs(2));
        if Instant::now() + pause >= until {
            return Err(plain(&error));
        }
        tracing::debug!(namespace, name, error = %plain(&error), "status is written again");
        tokio::time::sleep(pause).await;
    }
}
