//! List, then watch, then list again when the API server has forgotten where we were: for one kind of object.
//!
//! Lists come in pages and are read from the API server's storage; nothing is asked while a watch is open. An API server
//! that is away is asked again after a pause that grows.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use kube::core::params::{ListParams, WatchParams};
use kube::core::{Request, WatchEvent};
use kube::{Client, Error};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long the API server keeps a watch open.
const WATCH: Duration = Duration::from_secs(290);
/// After so long a watch was a good one.
const STEADY: Duration = Duration::from_secs(10);
/// How long one page may take.
const LIST: Duration = Duration::from_secs(30);

/// What is watched, and where it goes.
pub trait Kind: Send + Sync + 'static {
    /// The object, as it is read.
    type Object: DeserializeOwned + Clone + Send;
    /// What tells one object from another.
    type Name: Ord + Send;

    /// In logs and metrics: `pods`.
    const LABEL: &'static str;
    /// The collection's path.
    const PATH: &'static str;
    /// Whether the API server may not know the kind at all, which means that there are none.
    const OPTIONAL: bool;
    /// Whether nothing but the objects' metadata is asked for.
    const METADATA_ONLY: bool = false;
    /// Objects of one page of a list: the whole page is in memory for a moment.
    const PAGE: u32 = 100;

    /// `metadata.resourceVersion`.
    fn version(object: &Self::Object) -> &str;

    /// Which objects.
    fn fields(&self) -> Option<String>;
    /// The object is there, or has changed.
    fn applied(&self, object: Self::Object) -> Option<Self::Name>;
    /// The object is gone.
    fn deleted(&self, object: Self::Object);
    /// A list begins: what is applied until it ends is of the list.
    fn list_begins(&self) {}
    /// A list is through, and this is all there is.
    fn listed(&self, names: &BTreeSet<Self::Name>);
    /// After that: the list showed everything as it was at this version, `0` when there is no such kind.
    fn list_ended(&self, _version: &str) {}
}

/// The pause between two tries: doubled with each failure, never the same twice.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// Never more.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { first: Duration::from_millis(500), most: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// The pause after so many failures in a row, a random quarter of it left out: a cluster's agents should not come back
    /// all at once.
    pub fn pause(&self, failures: u32) -> Duration {
        let whole = self.first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.most);
        let random = RandomState::new().build_hasher().finish() % 256;
        whole - whole / 4 * u32::try_from(random).unwrap_or(0) / 256
    }
}

/// How a watch is.
#[derive(Debug)]
pub struct Health {
    start: Instant,
    /// Milliseconds from `start` to what the API server last said.
    heard: AtomicU64,
    listed: AtomicBool,
    lists: AtomicU64,
    kick: Notify,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            start: Instant::now(),
            heard: AtomicU64::new(0),
            listed: AtomicBool::new(false),
            lists: AtomicU64::new(0),
            kick: Notify::new(),
        }
    }
}

impl Health {
    fn hear(&self) {
        let since = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard.store(since, Ordering::Relaxed);
    }

    /// How long ago the API server last said something to this watch: an object, a bookmark, the end of a list.
    pub fn age(&self) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(self.heard.load(Ordering::Relaxed)))
    }

    /// Whether a list has been read whole once.
    pub fn listed(&self) -> bool {
        self.listed.load(Ordering::Relaxed)
    }

    /// How many lists have been read.
    pub fn lists(&self) -> u64 {
        self.lists.load(Ordering::Relaxed)
    }

    /// Somebody knows better than this watch: ends a pause.
    pub fn kick(&self) {
        self.kick.notify_one();
    }
}

/// A page of a list.
#[derive(Deserialize)]
pub struct List<K> {
    metadata: ListMetadata,
    /// The page's objects.
    #[serde(bound(deserialize = "K: DeserializeOwned"))]
    pub items: Vec<K>,
}

impl<K> List<K> {
    /// What the next page is asked for with.
    pub fn next_page(&mut self) -> Option<String> {
        self.metadata.next.take().filter(|token| !token.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

/// How a watch ended.
enum End {
    /// In good order: it goes on where it was.
    Closed,
    /// The API server does not know any more what has happened since: only a list helps.
    Forgotten,
}

/// Runs until its task ends.
pub async fn run<K: Kind>(client: Client, kind: Arc<K>, health: Arc<Health>, backoff: Backoff) {
    let mut failures = 0;
    let mut version: Option<String> = None;
    loop {
        let trouble = match version.take() {
            None => match list(&client, &*kind, &health).await {
                Ok(from) => {
                    version = Some(from);
                    continue;
                }
                Err(error) => Some(error),
            },
            Some(mut at) => {
                let (opened, from) = (Instant::now(), at.clone());
                let end = watch(&client, &*kind, &health, &mut at).await;
                if at != from || opened.elapsed() >= STEADY {
                    failures = 0;
                }
                match end {
                    Ok(End::Closed) => version = Some(at),
                    Ok(End::Forgotten) => {}
                    Err(error) => {
                        // What it asked for is refused: not from this version.
                        let refused =
                            matches!(&error, Error::Api(status) if matches!(status.code, 400 | 404));
                        version = (!refused).then_some(at);
                        if !refused {
                            tracing::warn!(watch = K::LABEL, error = %plain(&error), "watch broke");
                        }
                    }
                }
                None
            }
        };
        failures += 1;
        if let Some(error) = &trouble {
            // Until the definition of their kind exists, there are none.
            if K::OPTIONAL && is_not_found(error) {
                kind.list_begins();
                kind.listed(&BTreeSet::new());
                kind.list_ended("0");
                health.hear();
                health.listed.store(true, Ordering::Relaxed);
                tracing::debug!(watch = K::LABEL, "the API server does not know the kind yet");
            } else {
                tracing::warn!(watch = K::LABEL, error = %plain(error), "list failed");
            }
        }
        // The first end of a watch is nothing unusual, and not waited for.
        if trouble.is_some() || failures > 1 {
            let _ = timeout(backoff.pause(failures), health.kick.notified()).await;
        }
    }
}

async fn list<K: Kind>(client: &Client, kind: &K, health: &Health) -> Result<String, Error> {
    let request = Request::new(K::PATH);
    let mut names = BTreeSet::new();
    let mut next: Option<String> = None;
    kind.list_begins();
    loop {
        let mut params = ListParams::default().limit(K::PAGE);
        params.field_selector = kind.fields();
        params.continue_token = next.take();
        let asked = if K::METADATA_ONLY { request.list_metadata(&params) } else { request.list(&params) };
        let asked = asked.map_err(Error::BuildRequest)?;
        let mut page: List<K::Object> = within(LIST, client.request(asked)).await?;
        health.hear();
        next = page.next_page();
        names.extend(page.items.into_iter().filter_map(|object| kind.applied(object)));
        if next.is_none() {
            kind.listed(&names);
            kind.list_ended(&page.metadata.resource_version);
            health.lists.fetch_add(1, Ordering::Relaxed);
            health.listed.store(true, Ordering::Relaxed);
            tracing::debug!(watch = K::LABEL, objects = names.len(), "listed");
            return Ok(page.metadata.resource_version);
        }
    }
}

/// Watches from a version on, and keeps that at what has been seen.
async fn watch<K: Kind>(
    client: &Client,
    kind: &K,
    health: &Health,
    version: &mut String,
) -> Result<End, Error> {
    let seconds = u32::try_from(WATCH.as_secs()).unwrap_or(u32::MAX);
    let params = WatchParams {
        field_selector: kind.fields(),
        timeout: Some(seconds),
        bookmarks: true,
        ..WatchParams::default()
    };
    let request = Request::new(K::PATH);
    let asked = match K::METADATA_ONLY {
        true => request.watch_metadata(&params, version),
        false => request.watch(&params, version),
    };
    let asked = asked.map_err(Error::BuildRequest)?;
    let stream = match within(LIST, client.request_events::<K::Object>(asked)).await {
        Err(Error::Api(status)) if status.code == 410 => return Ok(End::Forgotten),
        other => other?,
    };
    let mut stream = pin!(stream);
    health.hear();
    loop {
        // A connection whose other end is gone says nothing, not even its end.
        let event = match timeout(WATCH + LIST, stream.try_next()).await {
            Err(_) | Ok(Ok(None)) => return Ok(End::Closed),
            Ok(Ok(Some(event))) => event,
            Ok(Err(Error::Api(status))) if status.code == 410 => return Ok(End::Forgotten),
            Ok(Err(error)) => return Err(error),
        };
        health.hear();
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                *version = K::version(&object).to_owned();
                kind.applied(object);
            }
            WatchEvent::Deleted(object) => {
                *version = K::version(&object).to_owned();
                kind.deleted(object);
            }
            WatchEvent::Bookmark(mark) => *version = mark.metadata.resource_version,
            WatchEvent::Error(status) if status.code == 410 => return Ok(End::Forgotten),
            WatchEvent::Error(status) => return Err(Error::Api(status)),
        }
    }
}

/// The answer, or the error of an answer that takes too long.
pub async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::Service(format!("no answer within {} s", limit.as_secs_f32()).into())),
    }
}

/// There is no such object, or no such kind.
pub fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

/// An error in one line, with its causes.
pub fn plain(error: &Error) -> String {
    if let Error::Api(status) = error {
        return match status.message.as_str() {
            "" => format!("the API server answered {}", status.code),
            message => message.replace('\n', " "),
        };
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}
