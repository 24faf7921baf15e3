//! ADD: the pod, its plan, the intent on disk, the interfaces, the status, the answer.

use std::path::Path;
use std::time::Instant;

use api::{Caller, Plan, Sandbox, resolve, sequence};
use cni::{CniResult, Request};
use kernel::NetNs;

use super::definitions::Definitions;
use super::delegate::World;
use super::locks::Turn;
use super::{After, Arc, Engine, host_access};
use crate::{Found, Pod, PodKey, PodView};

/// Who the plan is for.
struct Asking {
    /// As the runtime names it; none when it is not Kubernetes.
    named: Option<PodKey>,
    /// As the API server has it.
    view: Option<Arc<PodView>>,
}

impl Asking {
    /// With the UID that the runtime has: that is what plugins are told.
    fn pod(&self) -> api::Pod<'_> {
        let mut pod = api::Pod::default();
        if let Some(named) = &self.named {
            (pod.namespace, pod.name, pod.uid) = (&named.namespace, &named.name, &named.uid);
        }
        if let Some(view) = &self.view {
            pod.networks = view.networks.as_deref();
            pod.default_network = view.default_network.as_deref();
            if pod.uid.is_empty() {
                pod.uid = &view.key.uid;
            }
        }
        pod
    }

    /// As the API server names it.
    fn key(&self) -> Option<&PodKey> {
        self.view.as_ref().map(|view| &view.key)
    }
}

impl Engine {
    pub(super) fn add(self: &Arc<Engine>, request: &Request, after: &mut After) -> cni::Result<CniResult> {
        let env = &request.env;
        let id = env.container_id.as_str();
        not_ours(request)?;
        let until = Instant::now() + self.setup.limits.cluster;
        let Some(turn) = self.locks.take(id, until) else {
            return Err(cni::Error::try_again(format!("another call of container {id} is not done yet")));
        };
        let asking = self.asking(Caller::from_args(&env.args)?, until)?;
        let plan = self.plan(request, &asking).inspect_err(|error| {
            if let Some(key) = asking.key() {
                after.events.push((key.clone(), error.event()));
            }
        });
        let plan = plan.map_err(|error| error.to_cni())?;
        let pod = self.begin(request, &asking, &plan)?;
        let mut world = self.world(id, env.netns.clone(), &env.path);
        world.unmade = true;
        let added = match sequence::add(&plan, &asking.pod(), &mut world) {
            Ok(added) => added,
            Err(failure) => {
                let left = failure.left.first().map(|(_, error)| error.to_string());
                self.settle(id, left.as_deref());
                return Err(failure.error);
            }
        };
        let finished = self.finish(request, &asking, &plan, &added, &turn, until);
        if finished.is_err() {
            self.undo(&plan, &added.results, &mut world);
        } else if let Some(key) = asking.key() {
            after.events.extend(added.events.into_iter().map(|event| (key.clone(), event)));
            after.added = Some(key.clone());
        }
        finished
            .inspect(|_| tracing::info!(pod = %Name(&pod), container = id, count = plan.calls.len(), "added"))
    }

    fn asking(&self, caller: Option<Caller>, until: Instant) -> cni::Result<Asking> {
        let Some(Caller { namespace, name, uid }) = caller else {
            return Ok(Asking { named: None, view: None });
        };
        let key = PodKey { namespace, name, uid };
        match self.cluster.pod(&key, until).map_err(|error| error.to_cni())? {
            Found::Pod(view) => Ok(Asking { named: Some(key), view: Some(view) }),
            // Differs: Multus answers with an invented result.
            Found::Gone => Err(cni::Error::try_again(format!(
                "pod {}/{} (uid {:?}) is gone: the API server has none of this name and uid",
                key.namespace, key.name, key.uid
            ))),
        }
    }

    fn plan(&self, request: &Request, asking: &Asking) -> api::Result<Plan> {
        let env = &request.env;
        let config = self.config(request).map_err(|error| api::Error::Configuration {
            origin: request.name.clone(),
            problem: error.to_string(),
        })?;
        let options = config.options()?;
        let runtime_config = request.root().get("runtimeConfig").map(|node| node.value);
        let sandbox =
            Sandbox { container_id: &env.container_id, ifname: &env.ifname, args: &env.args, runtime_config };
        let definitions =
            Definitions { cluster: self.cluster.as_ref(), files: config.conf_dir(), pod: asking.key() };
        let mut plan = resolve(&asking.pod(), &sandbox, &options, &definitions)?;
        plan.calls.iter_mut().for_each(host_access::default_on);
        Ok(plan)
    }

    /// The intent on disk. What an ADD that was killed left of this container goes first.
    fn begin(self: &Arc<Engine>, request: &Request, asking: &Asking, plan: &Plan) -> cni::Result<Pod> {
        let env = &request.env;
        let given = asking.pod();
        let pod = Pod {
            container_id: env.container_id.clone(),
            namespace: given.namespace.to_owned(),
            name: given.name.to_owned(),
            uid: asking.key().map_or(given.uid, |key| &key.uid).to_owned(),
            netns: env.netns.clone(),
            ifname: env.ifname.clone(),
            path: env.path.clone(),
        };
        let begin = || self.store.begin(&pod, &plan.calls).map_err(|error| error.to_cni());
        if begin()? {
            return Ok(pod);
        }
        self.delete_remains(&env.container_id, &env.path)?;
        match begin()? {
            true => Ok(pod),
            false => Err(cni::Error::try_again(format!(
                "container {}: an earlier ADD is not undone yet",
                env.container_id
            ))),
        }
    }

    /// Everything after the interfaces are there; on an error they go again.
    fn finish(
        &self,
        request: &Request,
        asking: &Asking,
        plan: &Plan,
        added: &sequence::Added,
        turn: &Turn,
        until: Instant,
    ) -> cni::Result<CniResult> {
        let id = &request.env.container_id;
        let result = added.results.first().cloned().unwrap_or_default();
        // Said here, where it can still be undone, and not by the plugin.
        result.to_json(request.version)?;
        let gone =
            || cni::Error::try_again(format!("container {id} was deleted while its networks were made"));
        let made: Vec<(usize, &CniResult)> =
            plan.calls.iter().map(|call| call.position).zip(&added.results).collect();
        if turn.is_unwanted() || !self.store.made(id, &made).map_err(|error| error.to_cni())? {
            return Err(gone());
        }
        if let Some(key) = asking.key() {
            let annotation = added.statuses.to_annotation();
            self.cluster.write_status(key, &annotation, until).map_err(|error| {
                error.to_cni().context(&format!("status of pod {}/{}", key.namespace, key.name))
            })?;
        }
        if turn.is_unwanted() {
            return Err(gone());
        }
        Ok(result)
    }

    fn undo(&self, plan: &Plan, results: &[CniResult], world: &mut World) {
        let calls: Vec<_> = plan.calls.iter().cloned().zip(results.iter().cloned().map(Some)).collect();
        let left = sequence::del(&calls, world);
        self.settle(&world.container_id, left.first().map(|(_, error)| error.to_string()).as_deref());
    }
}

/// The agent's own namespace is no pod's.
fn not_ours(request: &Request) -> cni::Result<()> {
    match &request.env.netns {
        Some(path) if is_own(path) => {
            Err(cni::Error::netns("agent's netns and netns from CNI_NETNS should not be the same"))
        }
        _ => Ok(()),
    }
}

/// Whether the path leads to the network namespace of the agent.
pub(super) fn is_own(path: &Path) -> bool {
    let id = |netns: kernel::Result<NetNs>| netns.and_then(|netns| netns.id()).ok();
    id(NetNs::open(path)).is_some_and(|theirs| id(NetNs::current()) == Some(theirs))
}

/// `namespace/name`, for logs.
pub(super) struct Name<'a>(pub(super) &'a Pod);

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.0.namespace, self.0.name)
    }
}
