//! Containers without a record: pods that the primary plugin, or another Multus, made before us, and those whose record was lost.

use std::sync::PoisonError;

use api::{Caller, ClusterNetwork, DelegateCall, Lookup, Nad, NetConfig, NetworkRef};
use cni::Request;

use super::asking::Asking;
use super::definitions::Definitions;
use super::{Arc, Engine};
use crate::{Attachment, Pod, PodKey, PodView, Record};

/// So many deletions that are done are remembered: a runtime repeats them, all in all a few times for each pod.
const REMEMBERED: usize = 512;

impl Engine {
    /// The record of a container that has none. Another may have made it before Llano was installed or while it was not, or its record was
    /// lost: then everything is deleted that its pod's annotation asks for, as far as the watches know; without the pod, what the
    /// primary plugin has, asked as it would be without us. As with every deletion that is on disk first. None where there is nobody
    /// to ask, or where the deletion is done already.
    pub(super) fn adopt(self: &Arc<Engine>, request: &Request) -> Option<Record> {
        let env = &request.env;
        let id = env.container_id.as_str();
        if self.is_done(id) {
            return None;
        }
        let (pod, calls) = match self.made_by_another(request) {
            Ok(Some(found)) => found,
            Ok(None) => return None,
            // Whatever keeps us from asking, the pod's end is not held up: what the primary has is found by its own collection.
            Err(error) => {
                tracing::warn!(container = id, error = %error, "unknown container, and the primary plugin cannot be asked");
                return None;
            }
        };
        // The runtime kept the first one's under the network's name, which is the primary's in both configurations.
        let prev = request.prev_result().ok().flatten();
        let why = "another made it, and its end has begun";
        let written = self.store.begin(&pod, &calls).and_then(|_| {
            if let Some(result) = &prev {
                self.store.made(id, &[(0, result)])?;
            }
            self.store.doom(id, None, why)
        });
        if let Err(error) = written {
            tracing::error!(container = id, error = %error, "deletion not written, it is tried once");
        }
        let result = |call: &DelegateCall| prev.clone().filter(|_| call.position == 0);
        let attachment = |call: DelegateCall| Attachment { result: result(&call), call, doomed: None };
        let attachments = calls.into_iter().map(attachment).collect();
        Some(Record { pod, attachments, doomed: Some(why.to_owned()) })
    }

    fn made_by_another(&self, request: &Request) -> Result<Option<(Pod, Vec<DelegateCall>)>, cni::Error> {
        let env = &request.env;
        let config = self.config(request)?;
        let options = config.options().map_err(|error| error.to_cni())?;
        let named = Caller::from_args(&env.args)?.map(PodKey::from);
        let view = named.as_ref().and_then(|named| self.seen(named));
        let alone = Asking::in_call(request, named.as_ref(), None);
        // A pod's end waits for no API server.
        let definitions = Known(self.definitions(&config, None));
        let whole = view.as_deref().and_then(|view| {
            Asking::in_call(request, named.as_ref(), Some(view)).plan(&options, &definitions).ok()
        });
        let calls = match whole {
            Some(plan) => plan.calls,
            // Default networks are ours alone: only the first can have been made by another.
            None if matches!(options.cluster, ClusterNetwork::Configuration(_)) => {
                let plan = alone.resolve(&options, &definitions).map_err(|error| error.to_cni())?;
                plan.calls.into_iter().take(1).collect()
            }
            None => return Ok(None),
        };
        let pod = alone.record(env.netns.clone(), env.path.clone());
        Ok(Some((pod, calls)))
    }

    /// The pod, if the watch has it.
    fn seen(&self, named: &PodKey) -> Option<Arc<PodView>> {
        self.cluster.pods()?.into_iter().find(|view| view.key == *named)
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

/// What the watches have, and nothing that would have to be asked for.
struct Known<'a>(Definitions<'a>);

impl Lookup for Known<'_> {
    fn definition(&self, network: &NetworkRef) -> api::Result<Arc<Nad>> {
        let known = self.0.cluster.definitions().unwrap_or_default();
        match known.contains(network) {
            true => self.0.definition(network),
            false => Err(api::Error::NoNetwork(network.clone())),
        }
    }

    fn configuration(&self, name: &str) -> api::Result<NetConfig> {
        self.0.configuration(name)
    }

    fn devices(&self, _: &str) -> api::Result<Vec<String>> {
        Ok(Vec::new())
    }
}
