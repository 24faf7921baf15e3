//! Pods that the primary plugin made before us.

use std::sync::PoisonError;

use api::{Caller, ClusterNetwork, Sandbox, resolve};
use cni::Request;

use super::definitions::Definitions;
use super::{Arc, Engine};
use crate::{Pod, Record};

/// So many deletions that are done are remembered: a runtime repeats them, all in all a few times for each pod.
const REMEMBERED: usize = 512;

impl Engine {
    /// The record of a container that nobody here has made. The primary plugin may have made it, before Llano was installed or while
    /// it was not; it is then asked as it would be without us, and as with every deletion that is on disk first. None where there is
    /// no such plugin, or where the deletion is done already.
    pub(super) fn adopt(self: &Arc<Engine>, request: &Request) -> cni::Result<Option<Record>> {
        let env = &request.env;
        let id = env.container_id.as_str();
        if self.is_done(id) {
            return Ok(None);
        }
        // Whatever keeps us from asking, the pod's end is not held up: what the primary has is found by its own collection.
        let nobody = |error: &dyn std::fmt::Display| {
            tracing::warn!(container = id, error = %error, "unknown container, and the primary plugin cannot be asked");
            Ok(None)
        };
        let config = match self.config(request) {
            Ok(config) => config,
            Err(error) => return nobody(&error),
        };
        let options = match config.options() {
            Ok(options) => options,
            Err(error) => return nobody(&error),
        };
        if !matches!(options.cluster, ClusterNetwork::Configuration(_)) {
            return Ok(None);
        }
        let named = match Caller::from_args(&env.args) {
            Ok(named) => named,
            Err(error) => return nobody(&error),
        };
        let mut pod = api::Pod::default();
        if let Some(named) = &named {
            (pod.namespace, pod.name, pod.uid) = (&named.namespace, &named.name, &named.uid);
        }
        let runtime_config = request.root().get("runtimeConfig").map(|node| node.value);
        let sandbox = Sandbox { container_id: id, ifname: &env.ifname, args: &env.args, runtime_config };
        let definitions = Definitions { cluster: self.cluster.as_ref(), files: config.conf_dir(), pod: None };
        // Default networks are ours alone: only the first can have been made by another.
        let calls = match resolve(&pod, &sandbox, &options, &definitions) {
            Ok(plan) => plan.calls.into_iter().take(1).collect::<Vec<_>>(),
            Err(error) => return nobody(&error),
        };
        let record = Pod {
            container_id: id.to_owned(),
            namespace: pod.namespace.to_owned(),
            name: pod.name.to_owned(),
            uid: pod.uid.to_owned(),
            netns: env.netns.clone(),
            ifname: env.ifname.clone(),
            path: env.path.clone(),
        };
        self.store.begin(&record, &calls).map_err(|error| error.to_cni())?;
        // The runtime kept it under the network's name, which is the primary's in both configurations.
        if let Ok(Some(result)) = request.prev_result() {
            self.store.made(id, &[(0, &result)]).map_err(|error| error.to_cni())?;
        }
        self.store
            .doom(id, None, "another made it, and its end has begun")
            .map_err(|error| error.to_cni())?;
        self.read(id).map_err(|error| error.to_cni())
    }

    /// A container's deletion is done.
    pub(super) fn remember(&self, id: &str) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.len() == REMEMBERED {
            done.pop_front();
        }
        done.push_back(id.to_owned());
    }

    fn is_done(&self, id: &str) -> bool {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|done| done == id)
    }
}
