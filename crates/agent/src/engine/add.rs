//! ADD: the pod, its plan, the intent on disk, the interfaces, the status, the answer.

use std::path::Path;
use std::time::Instant;

use api::{Caller, Plan, sequence};
use cni::{CniResult, Request};
use kernel::NetNs;

use super::asking::Asking;
use super::claimed::Claimant;
use super::delegate::World;
use super::locks::Turn;
use super::{After, Arc, Engine, host_access};
use crate::{Found, Pod, PodKey, PodView};

impl Engine {
    pub(super) fn add(self: &Arc<Engine>, request: &Request, after: &mut After) -> cni::Result<CniResult> {
        let env = &request.env;
        let id = env.container_id.as_str();
        not_ours(request)?;
        let until = Instant::now() + self.setup.limits.cluster;
        let Some(turn) = self.locks.take(id, until) else {
            return Err(cni::Error::try_again(format!("another call of container {id} is not done yet")));
        };
        let named = Caller::from_args(&env.args)?.map(PodKey::from);
        let view = named.as_ref().map(|named| self.view(named, until)).transpose()?;
        let asking = Asking::in_call(request, named.as_ref(), view.as_deref());
        let plan = self.plan(request, &asking).inspect_err(|error| {
            if let Some(key) = asking.key() {
                after.events.push((key.clone(), error.event()));
            }
        });
        let mut plan = plan.map_err(|error| error.to_cni())?;
        let claimant = view.as_ref().map(|view| Claimant::of(view, plan.calls.iter(), until)).transpose();
        let claimant = claimant.map_err(|error| {
            after.events.extend(asking.key().map(|key| (key.clone(), error.event())));
            error.to_cni()
        })?;
        if let (Some(key), Some(claimant)) = (asking.key(), &claimant) {
            after.events.extend(claimant.events().map(|event| (key.clone(), event)));
        }
        let _held = self.fill(plan.calls.iter_mut(), until).map_err(|error| {
            after.events.extend(asking.key().map(|key| (key.clone(), error.event())));
            error.to_cni()
        })?;
        plan.calls.iter_mut().for_each(host_access::default_on);
        let pod = asking.record(env.netns.clone(), env.path.clone());
        self.begin(&pod, &plan)?;
        let mut world = self.world(id, env.netns.clone(), &env.path);
        world.unmade = true;
        world.claimant = claimant.map(Arc::new);
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

    fn view(&self, named: &PodKey, until: Instant) -> cni::Result<Arc<PodView>> {
        match self.cluster.pod(named, until).map_err(|error| error.to_cni())? {
            Found::Pod(view) => Ok(view),
            // Differs: Multus answers with an invented result.
            Found::Gone => Err(cni::Error::try_again(format!(
                "pod {}/{} (uid {:?}) is gone: the API server has none of this name and uid",
                named.namespace, named.name, named.uid
            ))),
        }
    }

    fn plan(&self, request: &Request, asking: &Asking<'_>) -> api::Result<Plan> {
        let config = self.config(request).map_err(|error| api::Error::Configuration {
            origin: request.name.clone(),
            problem: error.to_string(),
        })?;
        asking.resolve(&config.options()?, &self.definitions(&config, asking.key()))
    }

    /// The intent on disk. What an ADD that was killed left of this container goes first.
    fn begin(self: &Arc<Engine>, pod: &Pod, plan: &Plan) -> cni::Result<()> {
        let begin = || self.store.begin(pod, &plan.calls).map_err(|error| error.to_cni());
        if begin()? {
            return Ok(());
        }
        self.delete_remains(&pod.container_id, &pod.path)?;
        match begin()? {
            true => Ok(()),
            false => Err(cni::Error::try_again(format!(
                "container {}: an earlier ADD is not undone yet",
                pod.container_id
            ))),
        }
    }

    /// Everything after the interfaces are there; on an error they go again.
    fn finish(
        &self,
        request: &Request,
        asking: &Asking<'_>,
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
