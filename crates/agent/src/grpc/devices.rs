//! The devices that kubelet gave a pod, by its pod resources.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tonic::Code;

use super::podresources_v1::pod_resources_lister_client::PodResourcesListerClient;
use super::podresources_v1::{GetPodResourcesRequest, ListPodResourcesRequest, PodResources as Resources};
use super::{ANSWER, LONGEST, channel, plain};
use crate::Driver;
use crate::{Devices, PodKey};

/// kubelet's pod resources behind a socket.
#[derive(Debug)]
pub struct PodResources {
    driver: Arc<Driver>,
    socket: PathBuf,
}

impl PodResources {
    /// Nothing is asked yet.
    pub fn new(driver: Arc<Driver>, socket: &Path) -> PodResources {
        PodResources { driver, socket: socket.to_owned() }
    }
}

impl Devices for PodResources {
    fn devices(&self, pod: &PodKey, resource: &str) -> api::Result<Vec<String>> {
        let unavailable = |problem: String| api::Error::Unavailable {
            what: format!("devices of {resource} of pod {}/{}", pod.namespace, pod.name),
            problem: format!("kubelet at {}: {problem}", self.socket.display()),
        };
        let (socket, key) = (self.socket.clone(), pod.clone());
        let answer = self.driver.wait(Instant::now() + ANSWER, async move { ask(&socket, &key).await });
        let found = match answer {
            Some(answer) => answer.map_err(|status| unavailable(plain(&status)))?,
            None => return Err(unavailable("no answer".to_owned())),
        };
        let containers = found.into_iter().flat_map(|pod| pod.containers);
        let devices = containers.flat_map(|container| container.devices);
        let mut ids: Vec<String> = devices
            .filter(|devices| devices.resource_name == resource)
            .flat_map(|devices| devices.device_ids)
            .collect();
        // kubelet tells them in any order, and a repeated ADD must come to the same.
        ids.sort();
        ids.dedup();
        Ok(ids)
    }
}

/// The pod's resources. An older kubelet, or one that has `Get` switched off, tells those of all pods.
async fn ask(socket: &Path, pod: &PodKey) -> Result<Option<Resources>, tonic::Status> {
    let mut client = PodResourcesListerClient::new(channel(socket)).max_decoding_message_size(LONGEST);
    let asked = GetPodResourcesRequest { pod_name: pod.name.clone(), pod_namespace: pod.namespace.clone() };
    match client.get(asked).await {
        Ok(answer) => return Ok(answer.into_inner().pod_resources),
        Err(status) if status.code() == Code::NotFound => return Ok(None),
        Err(status) if !matches!(status.code(), Code::Unimplemented | Code::Unknown) => return Err(status),
        Err(_) => {}
    }
    let all = client.list(ListPodResourcesRequest {}).await?.into_inner().pod_resources;
    Ok(all.into_iter().find(|found| found.name == pod.name && found.namespace == pod.namespace))
}
