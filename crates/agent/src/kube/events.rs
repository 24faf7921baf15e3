//! Sends the queue's events to the API server, one after the other, after the pod has its reply.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::kube::core::Request;
use ::kube::core::params::{Patch, PatchParams, PostParams};
use ::kube::{Client, Error};
use apiserver::{Backoff, is_not_found, plain, within};
use k8s_openapi::api::core::v1::{Event as Object, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::sync::Notify;

use super::queue::{EventLimits, Next, Queue, Sent, Waiting};
use crate::PodKey;

/// Who tells it.
const COMPONENT: &str = "llano";
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// The queue and its waker.
pub(super) struct Events {
    queue: Mutex<Queue>,
    wake: Notify,
    sent: AtomicU64,
}

impl Events {
    pub(super) fn new(limits: EventLimits) -> Events {
        Events {
            queue: Mutex::new(Queue::new(limits, Instant::now())),
            wake: Notify::new(),
            sent: AtomicU64::new(0),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, pod: PodKey, event: api::Event) {
        self.queue().push(pod, event);
        self.wake.notify_one();
    }

    /// Sent, dropped, waiting.
    pub(super) fn counts(&self) -> (u64, u64, usize) {
        let queue = self.queue();
        (self.sent.load(Ordering::Relaxed), queue.dropped(), queue.len())
    }

    /// Runs until its task ends.
    pub(super) async fn run(&self, client: Client, node: String, backoff: Backoff) {
        let mut failures = 0;
        loop {
            let next = self.queue().next(Instant::now());
            let (waiting, before) = match next {
                Next::Send(waiting, before) => (waiting, before),
                Next::After(pause) => {
                    tokio::time::sleep(pause).await;
                    continue;
                }
                Next::Nothing => {
                    self.wake.notified().await;
                    continue;
                }
            };
            match send(&client, &node, &waiting, before.as_ref()).await {
                Ok((name, count)) => {
                    failures = 0;
                    self.sent.fetch_add(1, Ordering::Relaxed);
                    self.queue().sent(&waiting, name, count, Instant::now());
                }
                Err(error) if is_final(&error) => {
                    tracing::warn!(pod = %waiting.pod.name, namespace = %waiting.pod.namespace, reason = waiting.event.reason,
                        error = %plain(&error), "event refused");
                    self.queue().give_up();
                }
                Err(error) => {
                    failures += 1;
                    tracing::debug!(error = %plain(&error), "event is sent again later");
                    self.queue().put_back(waiting, before);
                    tokio::time::sleep(backoff.pause(failures)).await;
                }
            }
        }
    }
}

/// The event's pod or namespace is gone, or we may not write it: never again. A token may be exchanged meanwhile.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Api(status) => (400..500).contains(&status.code) && !matches!(status.code, 401 | 408 | 429),
        Error::BuildRequest(_) => true,
        _ => false,
    }
}

async fn send(
    client: &Client,
    node: &str,
    waiting: &Waiting,
    before: Option<&Sent>,
) -> Result<(String, u32), Error> {
    let path = format!("/api/v1/namespaces/{}/events", waiting.pod.namespace);
    let now = Time(Timestamp::now());
    if let Some(before) = before {
        let count = before.count.saturating_add(waiting.times);
        let patch = Patch::Merge(json!({ "count": count, "lastTimestamp": now }));
        let asked = Request::new(&*path)
            .patch(&before.name, &PatchParams::default(), &patch)
            .map_err(Error::BuildRequest)?;
        match within(ANSWER, client.request::<IgnoredAny>(asked)).await {
            Ok(_) => return Ok((before.name.clone(), count)),
            // The API server forgets events after an hour, or sooner.
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let object = object(node, waiting, now);
    let name = object.metadata.name.clone().unwrap_or_default();
    let body = serde_json::to_vec(&object).map_err(Error::SerdeError)?;
    let asked = Request::new(&*path).create(&PostParams::default(), body).map_err(Error::BuildRequest)?;
    within(ANSWER, client.request::<IgnoredAny>(asked)).await?;
    Ok((name, waiting.times))
}

fn object(node: &str, waiting: &Waiting, now: Time) -> Object {
    let Waiting { pod, event, times, .. } = waiting;
    let PodKey { namespace, name, uid } = pod;
    // As kubelet names its own: the pod, and a number that is never the same.
    let short: String = name.chars().take(230).collect();
    Object {
        metadata: ObjectMeta {
            name: Some(format!("{short}.{:x}", now.0.as_nanosecond())),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(namespace.clone()),
            name: Some(name.clone()),
            uid: Some(uid.clone()),
            ..ObjectReference::default()
        },
        type_: Some(event.kind().to_owned()),
        reason: Some(event.reason.to_owned()),
        message: Some(event.message.clone()),
        count: Some(i32::try_from(*times).unwrap_or(i32::MAX)),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now),
        source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: Some(node.to_owned()) }),
        reporting_component: Some(COMPONENT.to_owned()),
        reporting_instance: Some(node.to_owned()),
        ..Object::default()
    }
}
