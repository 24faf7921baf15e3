//! What the agent needs of the cluster. The engine calls it from several threads and may block; whoever implements it has
//! watches, so that asking costs no request unless a watch is behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use api::{Caller, Event, Nad, NetworkRef};

use crate::Result;
use crate::claims::Claims;

/// Names a pod, and one life of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodKey {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`. Of a static pod the runtime has another than the API server.
    pub uid: String,
}

impl From<Caller> for PodKey {
    fn from(caller: Caller) -> PodKey {
        PodKey { namespace: caller.namespace, name: caller.name, uid: caller.uid }
    }
}

/// A pod of this node, as far as its networks go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// Which one.
    pub key: PodKey,
    /// Its annotation [`api::NETWORKS`].
    pub networks: Option<String>,
    /// Its annotation [`api::DEFAULT_NETWORK`].
    pub default_network: Option<String>,
    /// Its annotation [`api::NETWORK_STATUS`].
    pub status: Option<String>,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// A static pod's mirror: the file's UID is what the runtime has.
    pub is_static: bool,
    /// What counts when it asks for addresses of the cluster.
    pub addressing: Addressing,
}

/// What counts of a pod when it asks for addresses of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addressing {
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// The annotations of [`api::addresses::annotations`] that it has.
    pub annotations: Vec<(&'static str, String)>,
    /// The workload that made it.
    pub controller: Option<Controller>,
    /// It is being deleted or has finished: it gets no other sandbox.
    pub ends: bool,
}

/// Who made a pod: of the groups `apps` and `batch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// `StatefulSet`, `ReplicaSet`, …
    pub kind: String,
    /// Its name, in the pod's namespace.
    pub name: String,
}

/// What became of a pod that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is there.
    Pod(Arc<PodView>),
    /// The API server has no such pod, or one of the same name in another life.
    Gone,
}

/// The cluster, by its watches.
pub trait Cluster: Send + Sync {
    /// The pod. Waits until the watch has it; when the watch is behind, asks the API server once.
    ///
    /// # Errors
    /// [`crate::Error::Behind`] when by `until` nobody could say.
    fn pod(&self, key: &PodKey, until: Instant) -> Result<Found>;

    /// The pods of this node that the watch has; `None` while it has not had a first list.
    fn pods(&self) -> Option<Vec<Arc<PodView>>>;

    /// The definition. Asks the API server once before it says that there is none.
    ///
    /// # Errors
    /// [`api::Error::NoNetwork`], what [`Nad::new`] said of it, or that nobody could say.
    fn definition(&self, network: &NetworkRef) -> api::Result<Arc<Nad>>;

    /// All definitions that the watch has; `None` while it has not had a first list.
    fn definitions(&self) -> Option<Vec<NetworkRef>>;

    /// The IDs of the pod's devices of a resource.
    ///
    /// # Errors
    /// They cannot be told now.
    fn devices(&self, pod: &PodKey, resource: &str) -> api::Result<Vec<String>>;

    /// Writes the status annotation and waits until it is written, or it is known that the pod is gone, which is no error.
    ///
    /// # Errors
    /// It could not be written by `until`.
    fn write_status(&self, pod: &PodKey, annotation: &str, until: Instant) -> Result<()>;

    /// Who claims addresses of the cluster for its pods; none where there is no cluster.
    fn claims(&self) -> Option<&dyn Claims> {
        None
    }

    /// Queues an event. Never blocks; a full queue drops the oldest, and counts it.
    fn event(&self, pod: &PodKey, event: Event);
}

/// Who knows which devices kubelet gave a pod.
pub trait Devices: Send + Sync {
    /// The IDs of the pod's devices of a resource, sorted; none when it has none.
    ///
    /// # Errors
    /// They cannot be told now.
    fn devices(&self, pod: &PodKey, resource: &str) -> api::Result<Vec<String>>;
}
