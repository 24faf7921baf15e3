//! The agent's work: calls of `type: llano`, what they left behind, and pods whose annotation changed.
//!
//! | file | what |
//! |---|---|
//! | `asking` | a pod and its sandbox, as the resolver takes them |
//! | `add` | the pod's annotations to a plan, the plan to interfaces, all durable before the first effect |
//! | `deletion` | DEL from the record alone; what cannot be done now is done by `later` |
//! | `before` | pods that the primary plugin made before us |
//! | `verbs` | CHECK, STATUS, GC |
//! | `lost` | after a damaged store: what lives gets its record again, what is dead is collected |
//! | `claimed` | interfaces with addresses of the cluster |
//! | `lans` | parents and VLAN links of the networks that they are on |
//! | `fence` | the node's claims against its records |
//! | `reconcile` | the store against the runtime, at the start and on events |
//! | `hotplug` | a running pod's annotation changed |

mod add;
mod asking;
mod before;
mod claimed;
mod definitions;
mod delegate;
mod deletion;
mod fence;
mod host_access;
mod hotplug;
mod known;
mod lans;
mod later;
mod locks;
mod lost;
mod reconcile;
mod routes;
#[cfg(test)]
pub(crate) mod tests;
mod verbs;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::Event;
use cni::json::Value;
use cni::{CniResult, Request, Verb};

pub use api::settings::Config;

use crate::{Cluster, PodKey, Record, Runtime, Store};
use delegate::World;
use known::Known;
use later::Later;
use locks::{Locks, Slots, lock};

/// Foreign plugins that run at the same time: each is a process with its own children.
const FOREIGN: usize = 8;

/// What an engine is made for.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The agent's own settings; what they leave open is taken from the configuration of the call.
    pub config: Config,
    /// Where plugins write DELs that no agent took.
    pub spool: PathBuf,
    /// The file in which the settings of the runtime's last call are kept.
    pub settings: PathBuf,
    /// Where our plugin types keep locks and caches.
    pub paths: attach::paths::Paths,
    /// How long things may take.
    pub limits: Limits,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// ADD waits so long for the API server: for the pod, and for the status to be written.
    pub cluster: Duration,
    /// DEL waits so long for a call of the same container, and for foreign plugins, before it is done later.
    pub del: Duration,
    /// A sandbox that the runtime does not list, while its namespace is there, counts as gone after this: runtimes list a
    /// sandbox only once its network is made.
    pub missing: Duration,
    /// Before the first repetition of a failed deletion; twice as long each time, up to [`Limits::slowest`].
    pub retry: Duration,
    /// The longest time between two repetitions.
    pub slowest: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            cluster: Duration::from_secs(30),
            del: Duration::from_secs(20),
            missing: Duration::from_secs(120),
            retry: Duration::from_secs(1),
            slowest: Duration::from_secs(300),
        }
    }
}

/// The answer to a call, and what is to be told once it is sent.
#[derive(Debug)]
pub struct Reply {
    /// The answer.
    pub answer: cni::Result<Option<CniResult>>,
    after: After,
}

/// What is done once a call is answered.
#[derive(Debug, Default)]
struct After {
    events: Vec<(PodKey, Event)>,
    /// The pod that has its interfaces now.
    added: Option<PodKey>,
}

/// See the [module](self). All its functions may block and may be called from any thread.
pub struct Engine {
    cluster: Arc<dyn Cluster>,
    runtime: Arc<dyn Runtime>,
    store: Store,
    setup: Setup,
    locks: Arc<Locks>,
    foreign: Slots,
    later: Later,
    /// Since when the runtime does not list these containers.
    missing: Mutex<BTreeMap<String, Instant>>,
    /// Annotations of running pods that could not be followed, so that this is said once.
    refused: Mutex<BTreeMap<String, String>>,
    /// Containers whose deletion is done, the last ones.
    done: Mutex<VecDeque<String>>,
    /// Our own configuration in the runtime's last call.
    known: Mutex<Known>,
    vlans: lans::Vlans,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("setup", &self.setup).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine on this store. Nothing happens until it is called; [`Engine::reconcile`] should come first.
    pub fn new(
        store: Store,
        cluster: Arc<dyn Cluster>,
        runtime: Arc<dyn Runtime>,
        setup: Setup,
    ) -> Arc<Engine> {
        let known = Mutex::new(Known::read(&setup.settings));
        Arc::new(Engine {
            cluster,
            runtime,
            store,
            setup,
            locks: Arc::default(),
            foreign: Slots::new(FOREIGN),
            later: Later::default(),
            missing: Mutex::default(),
            refused: Mutex::default(),
            done: Mutex::default(),
            known,
            vlans: lans::Vlans::default(),
        })
    }

    /// Serves a call of the plugin.
    pub fn call(self: &Arc<Engine>, request: &Request) -> Reply {
        let mut after = After::default();
        let answer = match request.env.verb {
            Verb::Add => self.add(request, &mut after).map(Some),
            // The plugin leaves it on disk then.
            Verb::Del => {
                let done = self.del(request).map(|()| None);
                done.inspect_err(|_| self.later.look_after(self.setup.limits.retry))
            }
            Verb::Check => self.check(request).map(|()| None),
            Verb::Status => self.status(request).map(|()| None),
            Verb::Gc => self.gc(request).map(|()| None),
            Verb::Version => Ok(None),
        };
        if let Err(error) = &answer {
            let (verb, container) = (request.env.verb.as_str(), &request.env.container_id);
            tracing::warn!(verb, container, code = error.code(), error = %error, "call failed");
        }
        Reply { answer, after }
    }

    /// Sends the events of a reply and looks for what it made superfluous: after it, because the pod waits for the reply only.
    pub fn sent(&self, reply: Reply) {
        if let Some(pod) = &reply.after.added {
            self.pod_added(pod);
        }
        for (pod, event) in reply.after.events {
            self.cluster.event(&pod, event);
        }
    }

    /// The store, to look at.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What is known, for a dump.
    pub fn dump(&self) -> Value {
        let text = |text: &str| Value::from(text);
        let optional = |reason: &Option<String>| reason.as_deref().map_or(Value::Null, Value::from);
        let attachment = |made: &crate::Attachment| {
            let addresses = made.result.iter().flat_map(|result| &result.ips);
            Value::object([
                ("interface", text(made.call.ifname.as_str())),
                ("network", text(&made.call.network.to_string())),
                ("made", made.result.is_some().into()),
                ("addresses", Value::Array(addresses.map(|ip| ip.address.to_string().into()).collect())),
                ("toDelete", optional(&made.doomed)),
            ])
        };
        let pod = |record: &Record| {
            Value::object([
                ("container", text(&record.pod.container_id)),
                ("namespace", text(&record.pod.namespace)),
                ("name", text(&record.pod.name)),
                ("uid", text(&record.pod.uid)),
                ("toDelete", optional(&record.doomed)),
                ("attachments", Value::Array(record.attachments.iter().map(attachment).collect())),
            ])
        };
        let pods = match self.store.all() {
            Ok(records) => records
                .iter()
                .map(|record| match record {
                    Ok(record) => pod(record),
                    Err(unreadable) => Value::object([
                        ("container", text(&unreadable.container_id)),
                        ("unreadable", text(&unreadable.reason)),
                    ]),
                })
                .collect(),
            Err(error) => return Value::object([("error", text(&error.to_string()))]),
        };
        Value::object([("pods", Value::Array(pods)), ("later", (self.later.len() as u64).into())])
    }

    /// How many attachments there are, and how many containers wait for a deletion to be repeated.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn counts(&self) -> crate::Result<(usize, usize)> {
        let records = self.store.all()?;
        let attachments = records.iter().flatten().map(|record| record.attachments.len()).sum();
        Ok((attachments, self.later.len()))
    }

    /// A container's world. Plugins are looked for where the runtime says, then in `binDir`.
    fn world(self: &Arc<Engine>, id: &str, netns: Option<PathBuf>, path: &[PathBuf]) -> World {
        let mut path = path.to_vec();
        let bin_dir = self.setup.config.bin_dir().to_owned();
        if !path.contains(&bin_dir) {
            path.push(bin_dir);
        }
        // A path that leads to our own namespace was recycled: the pod is gone, and nothing of ours may be touched.
        let netns = netns.filter(|path| !add::is_own(path));
        World {
            engine: Arc::clone(self),
            container_id: id.to_owned(),
            netns,
            path,
            unmade: false,
            claimant: None,
        }
    }
}
