//! What the watches have told, shared with the threads that ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use api::NetworkRef;

use super::object::{KnownDefinition, KnownPod};
use crate::{PodKey, PodView};

/// Something that the engine may have to act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The first list of the node's pods is there.
    Listed,
    /// A pod's annotation [`api::NETWORKS`] is another than before.
    Networks(Arc<PodView>),
    /// The pod is gone from the API server.
    Gone(PodKey),
    /// The node's claims have been listed, or somebody else has changed one.
    Claims,
    /// A MacvlanNetwork has changed, or what it is on this node.
    Lans,
}

pub(super) type PodName = (Box<str>, Box<str>);

#[derive(Default)]
struct State {
    pods: BTreeMap<PodName, KnownPod>,
    /// Whether `pods` has been whole once.
    pods_listed: bool,
    definitions: BTreeMap<NetworkRef, KnownDefinition>,
    definitions_listed: bool,
}

/// The pods of this node and all definitions.
#[derive(Default)]
pub(super) struct View {
    state: Mutex<State>,
    changed: Condvar,
}

impl View {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pod of this key, once it is there; `None` when it is not by `until`.
    pub(super) fn wait_for(&self, key: &PodKey, until: Instant) -> Option<KnownPod> {
        let mut state = self.lock();
        loop {
            if let Some(pod) = state.pods.get(&pod_name(key)).filter(|pod| pod.is(&key.uid)) {
                return Some(pod.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The pod as the watch has it now.
    pub(super) fn pod(&self, key: &PodKey) -> Option<KnownPod> {
        self.wait_for(key, Instant::now())
    }

    pub(super) fn pods(&self) -> Option<Vec<Arc<PodView>>> {
        let state = self.lock();
        state.pods_listed.then(|| state.pods.values().map(|pod| Arc::clone(&pod.view)).collect())
    }

    /// Whether the pod of this UID gets no other sandbox: it is being deleted, has finished, or is gone. False while that is not known.
    pub(crate) fn has_ended(&self, uid: &str) -> bool {
        let state = self.lock();
        let mut pods = state.pods.values();
        state.pods_listed && pods.find(|pod| pod.is(uid)).is_none_or(|pod| pod.view.addressing.ends)
    }

    pub(super) fn definition(&self, network: &NetworkRef) -> Option<KnownDefinition> {
        self.lock().definitions.get(network).cloned()
    }

    pub(super) fn definitions(&self) -> Option<Vec<NetworkRef>> {
        let state = self.lock();
        state.definitions_listed.then(|| state.definitions.keys().cloned().collect())
    }

    /// How many pods and definitions there are, once both have been listed.
    pub(super) fn counts(&self) -> Option<(usize, usize)> {
        let state = self.lock();
        (state.pods_listed && state.definitions_listed).then(|| (state.pods.len(), state.definitions.len()))
    }

    pub(super) fn pod_applied(&self, pod: KnownPod) -> Option<Change> {
        let mut state = self.lock();
        let change = put(&mut state.pods, pod);
        self.changed.notify_all();
        change
    }

    pub(super) fn pod_deleted(&self, key: &PodKey) -> Option<Change> {
        let mut state = self.lock();
        let pods = &mut state.pods;
        // A pod of the same name may have come before the news of this one's end.
        if !pods.get(&pod_name(key)).is_some_and(|known| known.is(&key.uid)) {
            return None;
        }
        let gone = pods.remove(&pod_name(key))?;
        self.changed.notify_all();
        Some(Change::Gone(gone.view.key.clone()))
    }

    /// A list has been read whole, `names` being all that is in it.
    pub(super) fn pods_listed(&self, names: &BTreeSet<PodName>) -> Vec<Change> {
        let mut state = self.lock();
        let mut changes = Vec::new();
        state.pods.retain(|name, pod| {
            let stays = names.contains(name);
            if !stays {
                changes.push(Change::Gone(pod.view.key.clone()));
            }
            stays
        });
        if !std::mem::replace(&mut state.pods_listed, true) {
            changes.push(Change::Listed);
        }
        self.changed.notify_all();
        changes
    }

    pub(super) fn definition_applied(&self, network: NetworkRef, definition: KnownDefinition) {
        self.lock().definitions.insert(network, definition);
    }

    pub(super) fn definition_deleted(&self, network: &NetworkRef) {
        self.lock().definitions.remove(network);
    }

    pub(super) fn definitions_listed(&self, names: &BTreeSet<NetworkRef>) {
        let mut state = self.lock();
        state.definitions.retain(|name, _| names.contains(name));
        state.definitions_listed = true;
    }
}

fn put(pods: &mut BTreeMap<PodName, KnownPod>, pod: KnownPod) -> Option<Change> {
    let view = Arc::clone(&pod.view);
    let before = pods.insert(pod_name(&view.key), pod)?;
    if before.view.key.uid != view.key.uid {
        return Some(Change::Gone(before.view.key.clone()));
    }
    (before.view.networks != view.networks).then_some(Change::Networks(view))
}

pub(super) fn pod_name(key: &PodKey) -> PodName {
    (key.namespace.as_str().into(), key.name.as_str().into())
}
