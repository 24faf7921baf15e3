//! libcni's cache: which container has which interface on which network.

use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use crate::{Pod, file};

/// One interface of one container on one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// The network's name.
    pub network: String,
    /// The container's ID as the runtime gave it.
    pub container_id: String,
    /// The interface.
    pub ifname: String,
    /// The pod, when the runtime is Kubernetes'.
    pub pod: Option<Pod>,
}

/// An attachment as it is in the cache.
#[derive(Debug)]
pub(crate) struct Cached {
    pub(crate) attachment: Attachment,
    /// Path of the namespace at the time; empty when the cache does not tell.
    pub(crate) netns: String,
    pub(crate) written: Option<SystemTime>,
}

/// Reads the cache. Files that are torn, too long or of another kind are left out.
pub(crate) fn read(dir: &Path) -> Vec<Cached> {
    let parse = |path: &Path| {
        let (bytes, written) = file::read(path, file::LIMIT)?;
        parse(&bytes).map(|(attachment, netns)| Cached { attachment, netns, written })
    };
    file::entries(dir).iter().filter_map(|path| parse(path)).collect()
}

fn parse(bytes: &[u8]) -> Option<(Attachment, String)> {
    let cached = cni::cache::parse(bytes).ok()?;
    if cached.container_id.is_empty() || cached.ifname.is_empty() {
        return None;
    }
    // Before libcni 1.2 only the result says where.
    let interfaces = cached.result.as_ref().map_or(&[][..], |result| &result.interfaces);
    let sandbox = interfaces.iter().find(|known| known.name == cached.ifname && !known.sandbox.is_empty());
    let netns = match sandbox {
        Some(interface) if cached.netns.is_empty() => interface.sandbox.clone(),
        _ => cached.netns,
    };
    let arg = |key: &str| {
        let found = cached.args.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let pod = Pod { namespace: arg("K8S_POD_NAMESPACE"), name: arg("K8S_POD_NAME"), uid: arg("K8S_POD_UID") };
    let attachment = Attachment {
        network: cached.network,
        container_id: cached.container_id,
        ifname: cached.ifname,
        // podman gives its containers' names as pods' too, without a namespace.
        pod: Some(pod).filter(|pod| !pod.name.is_empty() && !pod.namespace.is_empty()),
    };
    Some((attachment, netns))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"kind":"cniCacheV1","containerId":"c1","config":"e30=","ifName":"eth0","networkName":"lan",
        "cniArgs":[["IgnoreUnknown","1"],["K8S_POD_NAMESPACE","shop"],["K8S_POD_NAME","web-0"],["K8S_POD_UID","u"]],
        "netns":"/run/netns/cni-1","result":{"cniVersion":"1.0.0","ips":[]}}"#;

    #[test]
    fn the_pod_is_in_the_arguments() {
        let (attachment, netns) = parse(FILE.as_bytes()).unwrap();
        let pod = Pod { namespace: "shop".into(), name: "web-0".into(), uid: "u".into() };
        assert_eq!((attachment.pod, netns.as_str()), (Some(pod), "/run/netns/cni-1"));
    }

    #[test]
    fn old_caches_have_the_path_in_their_result() {
        let text = r#"{"kind":"cniCacheV1","containerId":"default-a","config":"e30=","ifName":"eth0","networkName":"lan",
            "result":{"cniVersion":"0.3.0","interfaces":[{"name":"eth0","sandbox":"/proc/7/ns/net"}]}}"#;
        let (attachment, netns) = parse(text.as_bytes()).unwrap();
        assert_eq!((attachment.container_id.as_str(), netns.as_str()), ("default-a", "/proc/7/ns/net"));
    }

    #[test]
    fn torn_files_and_foreign_ones_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for (at, length) in (0..FILE.len()).step_by(7).enumerate() {
            std::fs::write(dir.path().join(format!("torn-{at}")), &FILE[..length]).unwrap();
        }
        std::fs::write(dir.path().join("whole"), FILE).unwrap();
        std::fs::create_dir(dir.path().join("directory")).unwrap();
        let huge = std::fs::File::create(dir.path().join("huge")).unwrap();
        huge.set_len(1 << 40).unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let found = read(dir.path());
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
