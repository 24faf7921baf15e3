//! Who asks for networks: all that the resolver takes of a pod and its sandbox, and the pod's record.

use std::path::PathBuf;

use api::{DelegateCall, Lookup, Options, Plan, Sandbox, hotplug, resolve};
use cni::Request;

use super::host_access;
use crate::{Pod, PodKey, PodView};

/// What kubelet calls a pod's first interface.
pub(super) const FIRST: &str = "eth0";

/// A pod and its sandbox.
pub(super) struct Asking<'a> {
    /// As the runtime names it; none when it is not Kubernetes.
    named: Option<&'a PodKey>,
    /// As the API server has it.
    view: Option<&'a PodView>,
    sandbox: Sandbox<'a>,
}

impl<'a> Asking<'a> {
    /// In a call of the runtime.
    pub(super) fn in_call(
        request: &'a Request,
        named: Option<&'a PodKey>,
        view: Option<&'a PodView>,
    ) -> Asking<'a> {
        let env = &request.env;
        let runtime_config = request.root().get("runtimeConfig").map(|node| node.value);
        let sandbox =
            Sandbox { container_id: &env.container_id, ifname: &env.ifname, args: &env.args, runtime_config };
        Asking { named, view, sandbox }
    }

    /// Outside of a call, where nobody says arguments.
    pub(super) fn running(
        container_id: &'a str,
        ifname: &'a str,
        named: &'a PodKey,
        view: &'a PodView,
    ) -> Asking<'a> {
        Asking { named: Some(named), view: Some(view), sandbox: bare(container_id, ifname) }
    }

    /// No pod: what every pod gets. `container_id` is a word for logs.
    pub(super) fn nobody(container_id: &'a str) -> Asking<'a> {
        Asking { named: None, view: None, sandbox: bare(container_id, FIRST) }
    }

    /// With the UID that the runtime has: that is what plugins are told.
    pub(super) fn pod(&self) -> api::Pod<'a> {
        let mut pod = api::Pod::default();
        if let Some(named) = self.named {
            (pod.namespace, pod.name, pod.uid) = (&named.namespace, &named.name, &named.uid);
        }
        if let Some(view) = self.view {
            pod.networks = view.networks.as_deref();
            pod.default_network = view.default_network.as_deref();
            if pod.uid.is_empty() {
                pod.uid = &view.key.uid;
            }
        }
        pod
    }

    /// As the API server names it.
    pub(super) fn key(&self) -> Option<&'a PodKey> {
        self.view.map(|view| &view.key)
    }

    /// What goes into the store: with the UID of the API server, by which its changes come.
    pub(super) fn record(&self, netns: Option<PathBuf>, path: Vec<PathBuf>) -> Pod {
        let given = self.pod();
        Pod {
            container_id: self.sandbox.container_id.to_owned(),
            namespace: given.namespace.to_owned(),
            name: given.name.to_owned(),
            uid: self.key().map_or(given.uid, |key| &key.uid).to_owned(),
            netns,
            ifname: self.sandbox.ifname.to_owned(),
            path,
        }
    }

    /// What it asks for, as the definitions and configurations have it.
    pub(super) fn resolve(&self, options: &Options, lookup: &dyn Lookup) -> api::Result<Plan> {
        resolve(&self.pod(), &self.sandbox, options, lookup)
    }

    /// As [`Self::resolve`], with what we answer where a configuration leaves it open.
    pub(super) fn plan(&self, options: &Options, lookup: &dyn Lookup) -> api::Result<Plan> {
        let mut plan = self.resolve(options, lookup)?;
        plan.calls.iter_mut().for_each(host_access::default_on);
        Ok(plan)
    }

    /// What it asks for now against what it has. Only a first interface has host access, and that one never changes.
    pub(super) fn change(
        &self,
        held: &[DelegateCall],
        options: &Options,
        lookup: &dyn Lookup,
    ) -> api::Result<hotplug::Change> {
        hotplug::change(held, &self.pod(), &self.sandbox, options, lookup)
    }
}

fn bare<'a>(container_id: &'a str, ifname: &'a str) -> Sandbox<'a> {
    Sandbox { container_id, ifname, args: "", runtime_config: None }
}
