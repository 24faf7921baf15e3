//! The container runtime by its own interface, CRI.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tonic::transport::Channel;

use super::runtime_v1::runtime_service_client::RuntimeServiceClient;
use super::runtime_v1::{ListPodSandboxRequest, PodSandboxState, PodSandboxStatusRequest, VersionRequest};
use super::{ANSWER, LONGEST, channel, plain};
use crate::Driver;
use crate::{Error, PodKey, Result, Runtime, Sandbox};

/// How long the whole of a node's sandboxes may take.
const ALL: Duration = Duration::from_secs(60);

/// What the runtime calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeVersion {
    /// `containerd`, `cri-o`.
    pub name: String,
    /// `1.6.20`, also with a leading `v`.
    pub version: String,
}

/// The container runtime behind a socket.
#[derive(Debug)]
pub struct ContainerRuntime {
    driver: Arc<Driver>,
    socket: PathBuf,
    /// The namespaces of running sandboxes, which never change.
    netns: Arc<Mutex<HashMap<String, Option<PathBuf>>>>,
}

impl ContainerRuntime {
    /// Nothing is asked yet; a leading `unix://` is taken off.
    pub fn new(driver: Arc<Driver>, socket: &Path) -> ContainerRuntime {
        let text = socket.to_string_lossy();
        let socket = PathBuf::from(text.strip_prefix("unix://").unwrap_or(&text));
        ContainerRuntime { driver, socket, netns: Arc::default() }
    }

    /// What the runtime calls itself.
    ///
    /// # Errors
    /// [`Error::Runtime`].
    pub fn version(&self) -> Result<RuntimeVersion> {
        let socket = self.socket.clone();
        self.answer(ANSWER, async move {
            let asked = VersionRequest { version: "v1".to_owned() };
            let answer = client(&socket).version(asked).await?.into_inner();
            Ok(RuntimeVersion { name: answer.runtime_name, version: answer.runtime_version })
        })
    }

    fn answer<T: Send + 'static>(
        &self,
        limit: Duration,
        task: impl Future<Output = std::result::Result<T, tonic::Status>> + Send + 'static,
    ) -> Result<T> {
        let failed = |reason: String| Error::Runtime { endpoint: self.socket.display().to_string(), reason };
        match self.driver.wait(Instant::now() + limit, task) {
            Some(answer) => answer.map_err(|status| failed(plain(&status))),
            None => Err(failed(format!("no answer within {} s", limit.as_secs()))),
        }
    }
}

fn client(socket: &Path) -> RuntimeServiceClient<Channel> {
    RuntimeServiceClient::new(channel(socket)).max_decoding_message_size(LONGEST)
}

impl Runtime for ContainerRuntime {
    fn sandboxes(&self) -> Result<Vec<Sandbox>> {
        let (socket, known) = (self.socket.clone(), Arc::clone(&self.netns));
        self.answer(ALL, async move {
            let mut client = client(&socket);
            let listed = client.list_pod_sandbox(ListPodSandboxRequest {}).await?.into_inner();
            let mut found = Vec::with_capacity(listed.items.len());
            for item in listed.items {
                let ready = item.state() == PodSandboxState::SandboxReady;
                let metadata = item.metadata.unwrap_or_default();
                let pod = PodKey { namespace: metadata.namespace, name: metadata.name, uid: metadata.uid };
                found.push(Sandbox { id: item.id, pod, ready, netns: None });
            }
            let mut before = std::mem::take(&mut *known.lock().unwrap_or_else(PoisonError::into_inner));
            for sandbox in found.iter_mut().filter(|sandbox| sandbox.ready) {
                sandbox.netns = match before.remove(&sandbox.id) {
                    Some(netns) => netns,
                    None => netns_of(&mut client, &sandbox.id).await?,
                };
            }
            let ready = found.iter().filter(|sandbox| sandbox.ready);
            *known.lock().unwrap_or_else(PoisonError::into_inner) =
                ready.map(|sandbox| (sandbox.id.clone(), sandbox.netns.clone())).collect();
            Ok(found)
        })
    }
}

/// The path of a sandbox's namespace. A sandbox that went meanwhile has none, nor has a pod on the host's network.
async fn netns_of(
    client: &mut RuntimeServiceClient<Channel>,
    id: &str,
) -> std::result::Result<Option<PathBuf>, tonic::Status> {
    let asked = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: true };
    match client.pod_sandbox_status(asked).await {
        Ok(answer) => Ok(answer.into_inner().info.get("info").and_then(|info| netns_in(info))),
        Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}

/// containerd and CRI-O both tell the OCI runtime's configuration.
#[derive(serde::Deserialize)]
struct Info {
    #[serde(rename = "runtimeSpec")]
    spec: Option<Spec>,
}

#[derive(serde::Deserialize)]
struct Spec {
    linux: Option<Linux>,
}

#[derive(serde::Deserialize)]
struct Linux {
    #[serde(default)]
    namespaces: Vec<Namespace>,
}

#[derive(serde::Deserialize)]
struct Namespace {
    r#type: String,
    path: Option<PathBuf>,
}

/// The network namespace's path in the verbose description of a sandbox.
pub(super) fn netns_in(info: &str) -> Option<PathBuf> {
    let info: Info = serde_json::from_str(info).ok()?;
    let namespaces = info.spec?.linux?.namespaces;
    let network = namespaces.into_iter().find(|namespace| namespace.r#type == "network")?;
    network.path.filter(|path| path.is_absolute())
}
