//! The two kinds that are watched.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::kube::core::Request;
use ::kube::core::params::GetParams;
use ::kube::{Client, Error};
use api::NetworkRef;
use apiserver::watch::Kind;
use apiserver::{is_not_found, within};

use super::object::{DefinitionObject, KnownDefinition, PodObject};
use super::view::{Change, PodName, View, pod_name};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// The pods of a node.
pub(super) struct Pods {
    pub(super) node: String,
    pub(super) view: Arc<View>,
    pub(super) changed: Arc<dyn Fn(Change) + Send + Sync>,
}

impl Kind for Pods {
    type Object = PodObject;
    type Name = PodName;

    const LABEL: &'static str = "pods";
    const PATH: &'static str = "/api/v1/pods";
    const OPTIONAL: bool = false;

    fn version(object: &PodObject) -> &str {
        object.version()
    }

    fn fields(&self) -> Option<String> {
        Some(format!("spec.nodeName={}", self.node))
    }

    fn applied(&self, object: PodObject) -> Option<PodName> {
        // A selector that is not honoured would make every node's agent hold all pods of the cluster.
        if object.node() != self.node {
            return None;
        }
        let pod = object.keep();
        let name = pod_name(&pod.view.key);
        self.view.pod_applied(pod).into_iter().for_each(&*self.changed);
        Some(name)
    }

    fn deleted(&self, object: PodObject) {
        let pod = object.keep();
        self.view.pod_deleted(&pod.view.key).into_iter().for_each(&*self.changed);
    }

    fn listed(&self, names: &BTreeSet<PodName>) {
        self.view.pods_listed(names).into_iter().for_each(&*self.changed);
    }
}

/// All network-attachment-definitions.
pub(super) struct Definitions {
    pub(super) view: Arc<View>,
}

impl Kind for Definitions {
    type Object = DefinitionObject;
    type Name = NetworkRef;

    const LABEL: &'static str = "definitions";
    const PATH: &'static str = "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions";
    const OPTIONAL: bool = true;

    fn version(object: &DefinitionObject) -> &str {
        object.version()
    }

    fn fields(&self) -> Option<String> {
        None
    }

    fn applied(&self, object: DefinitionObject) -> Option<NetworkRef> {
        let (network, definition) = object.keep()?;
        self.view.definition_applied(network.clone(), definition);
        Some(network)
    }

    fn deleted(&self, object: DefinitionObject) {
        if let Some((network, _)) = object.keep() {
            self.view.definition_deleted(&network);
        }
    }

    fn listed(&self, names: &BTreeSet<NetworkRef>) {
        self.view.definitions_listed(names);
    }
}

/// Asks for one definition; none when there is no such one, or no such kind.
pub(super) async fn get_definition(
    client: &Client,
    network: &NetworkRef,
) -> Result<Option<KnownDefinition>, Error> {
    let path =
        format!("/apis/k8s.cni.cncf.io/v1/namespaces/{}/network-attachment-definitions", network.namespace());
    let asked = Request::new(path).get(network.name(), &GetParams::default()).map_err(Error::BuildRequest)?;
    match within(ANSWER, client.request::<DefinitionObject>(asked)).await {
        Ok(object) => Ok(object.keep().map(|(_, known)| known)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
