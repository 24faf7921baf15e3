//! The one write of an ADD: the status annotation, by one patch that names the pod's UID.

use std::time::{Duration, Instant};

use ::kube::core::Request;
use ::kube::core::params::{GetParams, Patch, PatchParams};
use ::kube::{Client, Error};
use serde_json::json;

use super::object::PodObject;
use super::watch::{Backoff, is_not_found, plain, within};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

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
