//! CHECK, STATUS and GC.

use std::collections::BTreeSet;

use api::{DelegateCall, sequence};
use cni::json::Value;
use cni::{Request, code};

use super::asking::Asking;
use super::{Arc, Config, Engine};

impl Engine {
    /// Every interface of the pod against what was promised for it.
    pub(super) fn check(self: &Arc<Engine>, request: &Request) -> cni::Result<()> {
        let env = &request.env;
        let id = env.container_id.as_str();
        // One that cannot be read is dealt with by who has the turn.
        let record =
            self.store.get(id).map_err(|error| error.to_cni())?.and_then(Result::ok).ok_or_else(|| {
                cni::Error::coded(code::UNKNOWN_CONTAINER, format!("container {id} has no attachments here"))
            })?;
        let mut world = self.world(id, env.netns.clone(), &env.path);
        for attachment in record.attachments.iter().filter(|attachment| attachment.doomed.is_none()) {
            let call = &attachment.call;
            let Some(result) = &attachment.result else {
                let text = format!("interface {} of network {} is not made yet", call.ifname, call.network);
                return Err(cni::Error::plugin(attach::CODE_MISMATCH, text));
            };
            sequence::check_one(call, result, &mut world).map_err(|error| {
                error.context(&format!("interface {} of network {}", call.ifname, call.network))
            })?;
        }
        Ok(())
    }

    /// Whether ADD could be served: the watch has its first list, the store can be written, and the cluster's own network
    /// says so.
    pub(super) fn status(self: &Arc<Engine>, request: &Request) -> cni::Result<()> {
        let unavailable = |reason: String| cni::Error::unavailable(reason);
        let config = self.config(request)?;
        if self.cluster.pods().is_none() {
            return Err(unavailable("the API server has not listed this node's pods yet".to_owned()));
        }
        self.store.probe().map_err(|error| unavailable(error.to_string()))?;
        let mut first =
            self.cluster_network(&config, "status").map_err(|error| unavailable(error.to_string()))?;
        if let Some(call) = &mut first {
            self.fill_to_look(call).map_err(|error| unavailable(error.to_string()))?;
        }
        let mut world = self.world("status", None, &request.env.path);
        match first {
            Some(call) => sequence::status_one(&call, &mut world),
            None => Ok(()),
        }
    }

    /// The first network that every pod gets.
    fn cluster_network(&self, config: &Config, verb: &str) -> api::Result<Option<DelegateCall>> {
        let plan = Asking::nobody(verb).resolve(&config.options()?, &self.definitions(config, None))?;
        Ok(plan.calls.into_iter().next())
    }

    /// Deletes what belongs to none of the runtime's attachments, and tells the cluster's own network.
    pub(super) fn gc(self: &Arc<Engine>, request: &Request) -> cni::Result<()> {
        let valid = request.valid_attachments()?.ok_or_else(|| {
            cni::Error::invalid_config(
                "cni.dev/valid-attachments: missing, expected a list of attachments to keep",
            )
        })?;
        let keep: BTreeSet<&str> = valid.iter().map(|attachment| attachment.container_id.as_str()).collect();
        let mut left = None;
        for record in self.store.all().map_err(|error| error.to_cni())?.into_iter().flatten() {
            let id = record.pod.container_id.as_str();
            if keep.contains(id) {
                continue;
            }
            // One that is being made is none of the runtime's yet.
            let Some(turn) = self.locks.try_take(id) else { continue };
            let Ok(Some(record)) = self.read(id) else { continue };
            let world = self.world(id, record.pod.netns.clone(), &request.env.path);
            if !self.delete_all(&record, world, &turn) {
                left = Some(id.to_owned());
            }
        }
        self.gc_of_cluster_network(request)?;
        match left {
            None => Ok(()),
            Some(id) => Err(cni::Error::try_again(format!("container {id} is not deleted yet"))),
        }
    }

    fn gc_of_cluster_network(self: &Arc<Engine>, request: &Request) -> cni::Result<()> {
        let config = self.config(request)?;
        // A network that cannot be told has nothing to be told.
        let Ok(Some(call)) = self.cluster_network(&config, "gc") else { return Ok(()) };
        if !call.config.can_collect() {
            return Ok(());
        }
        let mut valid = Value::Null;
        for key in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
            if let Some(node) = request.root().get(key) {
                valid = node.value.clone();
                break;
            }
        }
        let mut world = self.world("gc", None, &request.env.path);
        sequence::gc_one(&call, &valid, &mut world)
    }
}
