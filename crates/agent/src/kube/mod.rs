//! The cluster through the API server: watches of this node's pods and of all definitions, the status patch, events.
//!
//! An ADD costs one request, the patch. A pod or definition that the watch does not have yet is asked for, once the watch
//! has had its chance.

mod events;
mod kinds;
mod object;
mod overview;
mod queue;
mod status;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use api::{Event, Nad, NetworkRef};
use apiserver::watch::{self, Health};
use apiserver::{Access, Backoff, Requests, plain};

pub use overview::{AgentSummary, DefinitionSummary, NodeSummary, Overview, RefusedPod};
pub use queue::EventLimits;
pub use status::Sent;
pub use view::Change;

use crate::Driver;
use crate::claims::{ClaimCounts, Claimer, Claims};
use crate::cluster::Devices;
use crate::{Cluster, Error, Found, PodKey, PodView, Result};
use events::Events;
use kinds::{Definitions, Pods};
use object::KnownPod;
use status::{StatusWrites, Written};
use view::View;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// What the connection to the cluster is made with.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the API server is reached.
    pub access: Access,
    /// The node's name, as its pods have it in `spec.nodeName`.
    pub node: String,
    /// Pauses after failures.
    pub backoff: Backoff,
    /// How long a watch may lag before the API server is asked.
    pub lag: Duration,
    /// The events' queue.
    pub events: EventLimits,
    /// Whether addresses of the cluster are claimed, for which there are more watches.
    pub claims: bool,
}

impl Options {
    /// With the usual limits.
    pub fn new(access: Access, node: String) -> Options {
        let lag = Duration::from_millis(250);
        Options {
            access,
            node,
            backoff: Backoff::default(),
            lag,
            events: EventLimits::default(),
            claims: true,
        }
    }
}

/// What can be said of the connection, for metrics and readiness.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterHealth {
    /// Whether both watches have had a first list.
    pub listed: bool,
    /// Pods of this node and definitions that are known.
    pub known: Option<(usize, usize)>,
    /// How long ago the pods' watch heard of the API server.
    pub pods_age: Duration,
    /// How long ago the definitions' watch heard of the API server.
    pub definitions_age: Duration,
    /// Lists read by both watches since the start.
    pub lists: u64,
    /// Pods and definitions asked for because a watch was behind.
    pub asked: u64,
    /// Events sent.
    pub events_sent: u64,
    /// Events dropped: the queue was full, or the API server refused them.
    pub events_dropped: u64,
    /// Events that wait.
    pub events_waiting: usize,
    /// Claims of this node.
    pub own_claims: usize,
    /// Requests since the start.
    pub sent: Sent,
}

/// The cluster.
pub struct ApiServer {
    driver: Arc<Driver>,
    client: ::kube::Client,
    view: Arc<View>,
    pods: Arc<Health>,
    definitions: Arc<Health>,
    events: Arc<Events>,
    devices: Option<Arc<dyn Devices>>,
    backoff: Backoff,
    lag: Duration,
    asked: AtomicU64,
    requests: Arc<Requests>,
    status_writes: StatusWrites,
    claimer: Option<Claimer>,
}

impl ApiServer {
    /// Starts the watches. `changed` is called on their thread and must not block.
    ///
    /// # Errors
    /// [`Error::Access`]: what the access is made of cannot be read. An API server that is away is no error.
    pub fn start(
        driver: Arc<Driver>,
        options: Options,
        devices: Option<Arc<dyn Devices>>,
        changed: impl Fn(Change) + Send + Sync + 'static,
    ) -> Result<ApiServer> {
        let Options { access, node, backoff, lag, events, claims } = options;
        let requests = Arc::new(Requests::default());
        let made = driver.wait(Instant::now() + ANSWER, {
            let requests = Arc::clone(&requests);
            async move { access.client(requests).await.map_err(Error::from) }
        });
        let client = made.unwrap_or_else(|| Err(ending("client")))?;
        let view = Arc::new(View::default());
        let (pods, definitions) = (Arc::new(Health::default()), Arc::new(Health::default()));
        let events = Arc::new(Events::new(events));
        let changed: Arc<dyn Fn(Change) + Send + Sync> = Arc::new(changed);
        let claimer = claims.then(|| {
            let pods = Arc::clone(&view);
            let has_ended = Box::new(move |uid: &str| pods.has_ended(uid));
            crate::claims::connect(&driver, &client, &node, backoff, has_ended, Arc::clone(&changed))
        });
        let kind = Arc::new(Pods { node: node.clone(), view: Arc::clone(&view), changed });
        driver.spawn(watch::run(client.clone(), kind, Arc::clone(&pods), backoff));
        let kind = Arc::new(Definitions { view: Arc::clone(&view) });
        driver.spawn(watch::run(client.clone(), kind, Arc::clone(&definitions), backoff));
        let (sender, queue) = (client.clone(), Arc::clone(&events));
        driver.spawn(async move { queue.run(sender, node, backoff).await });
        Ok(ApiServer {
            driver,
            client,
            view,
            pods,
            definitions,
            events,
            devices,
            backoff,
            lag,
            asked: AtomicU64::new(0),
            requests,
            status_writes: StatusWrites::default(),
            claimer,
        })
    }

    /// What became of claims; where none are made, nothing did.
    pub fn claim_counts(&self) -> ClaimCounts {
        self.claimer.as_ref().map(|claimer| claimer.counts().clone()).unwrap_or_default()
    }

    /// How the connection is.
    pub fn health(&self) -> ClusterHealth {
        let (events_sent, events_dropped, events_waiting) = self.events.counts();
        ClusterHealth {
            listed: self.pods.listed() && self.definitions.listed(),
            known: self.view.counts(),
            pods_age: self.pods.age(),
            definitions_age: self.definitions.age(),
            lists: self.pods.lists() + self.definitions.lists(),
            asked: self.asked.load(Ordering::Relaxed),
            events_sent,
            events_dropped,
            events_waiting,
            own_claims: self.claimer.as_ref().map_or(0, Claimer::own_claims),
            sent: self.status_writes.sent(self.requests.sent()),
        }
    }

    /// Asks the API server for a pod; none when it has no such pod.
    fn ask_for_pod(&self, key: &PodKey, until: Instant) -> std::result::Result<Option<KnownPod>, Asked> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (client, key) = (self.client.clone(), key.clone());
        let limit = until.min(Instant::now() + ANSWER);
        let answer =
            self.driver.wait(limit, async move { status::get_pod(&client, &key.namespace, &key.name).await });
        match answer {
            Some(Ok(pod)) => Ok(pod.map(object::PodObject::keep)),
            Some(Err(error)) => Err(Asked { is_final: is_refusal(&error), reason: plain(&error) }),
            None => Err(Asked { is_final: false, reason: "no answer from the API server".to_owned() }),
        }
    }
}

/// Why asking gave no answer.
struct Asked {
    is_final: bool,
    reason: String,
}

impl Cluster for ApiServer {
    fn pod(&self, key: &PodKey, until: Instant) -> Result<Found> {
        // It becomes part of a path; the API server has no pod with another name.
        if NetworkRef::new(&key.namespace, &key.name).is_none() {
            return Ok(Found::Gone);
        }
        let what = || format!("pod {}/{}", key.namespace, key.name);
        let mut failures = 0;
        let mut reason = None;
        loop {
            let lag = if failures == 0 { self.lag } else { self.backoff.pause(failures) };
            if let Some(pod) = self.view.wait_for(key, until.min(Instant::now() + lag)) {
                return Ok(Found::Pod(pod.view));
            }
            if reason.is_some() && Instant::now() >= until {
                let reason = reason.unwrap_or_default();
                return Err(Error::Behind { what: what(), reason });
            }
            match self.ask_for_pod(key, until) {
                Ok(Some(pod)) if pod.is(&key.uid) => {
                    self.pods.kick();
                    return Ok(Found::Pod(pod.view));
                }
                // A static pod runs before its mirror is there, or in place of an older one.
                Ok(_) if is_file_uid(&key.uid) => {
                    reason = Some("the static pod has no mirror yet".to_owned())
                }
                Ok(_) => return Ok(Found::Gone),
                Err(asked) if asked.is_final => {
                    return Err(Error::Behind { what: what(), reason: asked.reason });
                }
                Err(asked) => reason = reason.or(Some(asked.reason)),
            }
            failures += 1;
        }
    }

    fn pods(&self) -> Option<Vec<Arc<PodView>>> {
        self.view.pods()
    }

    fn definition(&self, network: &NetworkRef) -> api::Result<Arc<Nad>> {
        if let Some(known) = self.view.definition(network) {
            return known.read(network);
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (client, wanted) = (self.client.clone(), network.clone());
        let answer = self
            .driver
            .wait(Instant::now() + ANSWER, async move { kinds::get_definition(&client, &wanted).await });
        let unavailable = |problem: String| api::Error::Unavailable {
            what: format!("network-attachment-definition {network}"),
            problem,
        };
        match answer {
            Some(Ok(Some(known))) => {
                self.definitions.kick();
                known.read(network)
            }
            Some(Ok(None)) => Err(api::Error::NoNetwork(network.clone())),
            Some(Err(error)) => Err(unavailable(plain(&error))),
            None => Err(unavailable("no answer from the API server".to_owned())),
        }
    }

    fn definitions(&self) -> Option<Vec<NetworkRef>> {
        self.view.definitions()
    }

    fn devices(&self, pod: &PodKey, resource: &str) -> api::Result<Vec<String>> {
        match &self.devices {
            Some(devices) => devices.devices(pod, resource),
            None => Ok(Vec::new()),
        }
    }

    fn write_status(&self, pod: &PodKey, annotation: &str, until: Instant) -> Result<()> {
        if NetworkRef::new(&pod.namespace, &pod.name).is_none() {
            return Ok(());
        }
        let failed = |reason: String| Error::Behind {
            what: format!("status of pod {}/{}", pod.namespace, pod.name),
            reason,
        };
        // A static pod's mirror has a UID of its own.
        let uid = match self.view.pod(pod) {
            Some(known) => known.api_uid().to_owned(),
            None if is_file_uid(&pod.uid) || pod.uid.is_empty() => match self.ask_for_pod(pod, until) {
                Ok(Some(known)) if known.is(&pod.uid) => known.api_uid().to_owned(),
                Ok(_) => return Ok(()),
                Err(asked) => return Err(failed(asked.reason)),
            },
            None => pod.uid.clone(),
        };
        let (client, backoff) = (self.client.clone(), self.backoff);
        let (key, annotation) = (pod.clone(), annotation.to_owned());
        let started = Instant::now();
        let answer = self.driver.wait(until, async move {
            status::write(&client, (&key.namespace, &key.name, &uid), &annotation, until, backoff).await
        });
        self.status_writes.count(started.elapsed());
        match answer {
            Some(Ok(Written::Yes | Written::Gone)) => Ok(()),
            Some(Err(reason)) => Err(failed(reason)),
            None => Err(failed("no answer from the API server".to_owned())),
        }
    }

    fn claims(&self) -> Option<&dyn Claims> {
        self.claimer.as_ref().map(|claimer| claimer as &dyn Claims)
    }

    fn event(&self, pod: &PodKey, event: Event) {
        if NetworkRef::new(&pod.namespace, &pod.name).is_some() {
            self.events.push(pod.clone(), event);
        }
    }
}

/// The UID that kubelet gives a static pod is a hash, the API server's are UUIDs.
fn is_file_uid(uid: &str) -> bool {
    !uid.is_empty() && !uid.contains('-')
}

/// Asking again does not help: RBAC.
fn is_refusal(error: &::kube::Error) -> bool {
    match error {
        ::kube::Error::Api(status) => matches!(status.code, 400 | 403),
        ::kube::Error::BuildRequest(_) => true,
        _ => false,
    }
}

fn ending(what: &str) -> Error {
    Error::Behind { what: what.to_owned(), reason: "the agent is ending".to_owned() }
}
