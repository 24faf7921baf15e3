//! `llano uninstall --finish`: what of the pods outlived the uninstall.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use agent::{
    Cluster, Config, ContainerRuntime, Driver, Engine, Found, Limits, PodKey, PodView, Setup, Store,
};
use anyhow::{Context, bail};
use cni::json::{Object, Value};

use crate::agent::SETTINGS;

use super::take::{Remaining, STORE, remaining_in};

/// Nobody is asked about pods: records are enough to delete by.
struct NoCluster;

impl NoCluster {
    fn refusal(what: &str) -> agent::Error {
        agent::Error::Behind { what: what.to_owned(), reason: "the API server is not asked".to_owned() }
    }
}

impl Cluster for NoCluster {
    fn pod(&self, key: &PodKey, _: Instant) -> agent::Result<Found> {
        Err(Self::refusal(&key.name))
    }

    fn pods(&self) -> Option<Vec<Arc<PodView>>> {
        None
    }

    fn definition(&self, network: &api::NetworkRef) -> api::Result<Arc<api::Nad>> {
        Err(api::Error::NoNetwork(network.clone()))
    }

    fn definitions(&self) -> Option<Vec<api::NetworkRef>> {
        None
    }

    fn devices(&self, _: &PodKey, _: &str) -> api::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn write_status(&self, pod: &PodKey, _: &str, _: Instant) -> agent::Result<()> {
        Err(Self::refusal(&pod.name))
    }

    fn event(&self, _: &PodKey, _: api::Event) {}
}

/// Deletes what is left of pods whose sandboxes the runtime no longer has, and the store with its last record. The pods that remain.
pub(super) fn finish(root: &Path) -> anyhow::Result<Vec<Remaining>> {
    if root != Path::new("/") {
        bail!("--finish runs the node's plugins: run it on the node, without --root");
    }
    let dir = root.join(STORE);
    if !dir.join("agent.redb").exists() {
        return Ok(Vec::new());
    }
    let store = Store::open(&dir).context("is the agent still there?")?;
    let driver = Arc::new(Driver::start().context("cannot start a thread")?);
    let runtime = Arc::new(ContainerRuntime::new(driver, &crate::agent::runtime()));
    let empty = Value::object([]);
    let setup = Setup {
        config: Config::parse(&Object::root(&empty)?)?,
        spool: dir.join("spool"),
        settings: dir.join(SETTINGS),
        paths: attach::paths::Paths::from_env(),
        limits: Limits::default(),
    };
    let engine = Engine::new(store, Arc::new(NoCluster), runtime, setup);
    engine.reconcile();
    let left = remaining_in(engine.store())?;
    if left.is_empty() {
        drop(engine);
        std::fs::remove_file(dir.join("agent.redb")).context("cannot remove the store")?;
        for other in [SETTINGS, "agent.redb.damaged"] {
            let _ = std::fs::remove_file(dir.join(other));
        }
        // Whatever else is in there is not ours to remove.
        let _ = std::fs::remove_dir(dir.join("spool"));
        let _ = std::fs::remove_dir(&dir);
        let _ = dir.parent().map(std::fs::remove_dir);
    }
    Ok(left)
}
