//! What container runtimes leave on the disk about their containers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;

use crate::file::{self, LIMIT, entries, name};
use crate::{Container, Pod, process};

/// A container with its first process.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) pid: u32,
    pub(crate) container: Container,
    pub(crate) pod: Option<Pod>,
}

/// The state directories of containerd, each with `io.containerd.runtime.v2.task/NAMESPACE/ID`.
const CONTAINERD: [&str; 4] =
    ["/run/containerd", "/run/containerd/state", "/run/k3s/containerd", "/run/docker/containerd/daemon"];
/// State directories of runc and crun. Those of containerd and docker have another level.
const RUNTIMES: [(&str, &str, bool); 5] = [
    ("runc", "/run/runc", false),
    ("crun", "/run/crun", false),
    ("containerd", "/run/containerd/runc", true),
    ("docker", "/run/docker/runtime-runc", true),
    ("docker", "/run/docker/runtime-runc/moby", false),
];

/// Every running container on the disk. What cannot be read, or is about a process that is gone, is left out.
/// `wanted` says of which processes more is to be known: files of others are not opened.
pub(crate) fn read(wanted: &dyn Fn(u32) -> bool) -> Vec<Found> {
    let mut all = Vec::new();
    for state in CONTAINERD {
        for namespace in entries(&Path::new(state).join("io.containerd.runtime.v2.task")) {
            for bundle in entries(&namespace) {
                all.extend(of_containerd(&bundle, &name(&namespace), wanted));
            }
        }
    }
    for (runtime, root, nested) in RUNTIMES {
        let parents = if nested { entries(Path::new(root)) } else { vec![PathBuf::from(root)] };
        for dir in parents.iter().flat_map(|parent| entries(parent)) {
            all.extend(of_runtime(&dir, runtime, wanted));
        }
    }
    all
}

fn of_containerd(bundle: &Path, namespace: &str, wanted: &dyn Fn(u32) -> bool) -> Option<Found> {
    let (bytes, written) = file::read(&bundle.join("init.pid"), 32)?;
    let pid: u32 = std::str::from_utf8(&bytes).ok()?.trim().parse().ok()?;
    if !wanted(pid) || !process::is_older_than(pid, written) {
        return None;
    }
    let annotations = annotations(&bundle.join("config.json"));
    let id = name(bundle);
    let docker = namespace == "moby";
    let runtime = if docker { "docker" } else { "containerd" };
    let from_annotations =
        annotations.get("nerdctl/name").or(annotations.get("io.kubernetes.cri.container-name"));
    let container = Container {
        name: from_annotations.cloned().or_else(|| docker_name(&id).filter(|_| docker)).unwrap_or_default(),
        id,
        runtime: runtime.to_owned(),
    };
    Some(Found { pid, pod: pod(&annotations), container })
}

/// `state.json` of runc, `status` of crun.
#[derive(Deserialize, Default)]
#[serde(default)]
struct State {
    id: String,
    init_process_pid: u32,
    pid: u32,
    bundle: PathBuf,
    config: Config,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    labels: Vec<String>,
}

fn of_runtime(dir: &Path, runtime: &str, wanted: &dyn Fn(u32) -> bool) -> Option<Found> {
    let read = |name: &str| file::read(&dir.join(name), LIMIT);
    let (bytes, written): (Vec<u8>, Option<SystemTime>) = read("state.json").or_else(|| read("status"))?;
    let state: State = serde_json::from_slice(&bytes).ok()?;
    let pid = state.init_process_pid.max(state.pid);
    if pid == 0 || !wanted(pid) || !process::is_older_than(pid, written) {
        return None;
    }
    let label = state.config.labels.iter().find_map(|label| label.strip_prefix("bundle="));
    let bundle = label.map_or(state.bundle, PathBuf::from);
    let annotations = annotations(&bundle.join("config.json"));
    let runtime = match annotations.get("io.container.manager").map(String::as_str) {
        Some("libpod") => "podman",
        Some("cri-o") => "cri-o",
        _ => runtime,
    };
    let id = if state.id.is_empty() { name(dir) } else { state.id };
    let named = annotations.get("io.kubernetes.container.name").cloned();
    let container = Container {
        name: named.or_else(|| docker_name(&id).filter(|_| runtime == "docker")).unwrap_or_default(),
        id,
        runtime: runtime.to_owned(),
    };
    Some(Found { pid, pod: pod(&annotations), container })
}

/// The annotations of an OCI configuration.
fn annotations(config: &Path) -> BTreeMap<String, String> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Oci {
        annotations: BTreeMap<String, String>,
    }
    let bytes = file::read(config, LIMIT).map(|(bytes, _)| bytes).unwrap_or_default();
    serde_json::from_slice::<Oci>(&bytes).unwrap_or_default().annotations
}

/// The pod as containerd's CRI and CRI-O annotate it.
fn pod(annotations: &BTreeMap<String, String>) -> Option<Pod> {
    const KEYS: [[&str; 3]; 2] = [
        [
            "io.kubernetes.cri.sandbox-namespace",
            "io.kubernetes.cri.sandbox-name",
            "io.kubernetes.cri.sandbox-uid",
        ],
        ["io.kubernetes.pod.namespace", "io.kubernetes.pod.name", "io.kubernetes.pod.uid"],
    ];
    let pod = KEYS.map(|keys| {
        let [namespace, name, uid] = keys.map(|key| annotations.get(key).cloned().unwrap_or_default());
        Pod { namespace, name, uid }
    });
    pod.into_iter().find(|pod| !pod.name.is_empty())
}

/// Docker's own record of a container.
pub(crate) fn docker_name(id: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Record {
        #[serde(rename = "Name")]
        name: String,
    }
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let path = Path::new("/var/lib/docker/containers").join(id).join("config.v2.json");
    let record: Record = serde_json::from_slice(&file::read(&path, LIMIT)?.0).ok()?;
    Some(record.name.trim_start_matches('/').to_owned())
}

/// What a process's parent and its control groups say of its container: conmon and the shims have it in their words.
pub(crate) fn of_process(pid: u32) -> (Option<Container>, Option<Pod>) {
    let (id, uid) = in_cgroups(&process::cgroups(pid));
    let pod = uid.map(|uid| Pod { uid, ..Pod::default() });
    let parent = process::parent_and_start(pid).map(|(parent, _)| parent).filter(|parent| *parent > 1);
    let watcher = parent.and_then(|parent| Some((process::name(parent)?, process::words(parent))));
    let named = watcher.and_then(|(name, words)| in_words(&name, &words));
    let container = match (named, id) {
        (Some(container), _) => Some(container),
        (None, Some((id, runtime))) => {
            Some(Container { id, name: String::new(), runtime: runtime.to_owned() })
        }
        (None, None) => None,
    };
    (container, pod)
}

/// The words of conmon (`-c ID -n NAME`) and of containerd's shims (`-namespace NAMESPACE -id ID`).
fn in_words(name: &str, words: &[String]) -> Option<Container> {
    let after = |flags: [&str; 2]| {
        let at = words.iter().position(|word| flags.contains(&word.as_str()))?;
        words.get(at + 1).cloned()
    };
    if name == "conmon" {
        let cri = words.iter().any(|word| word.contains("crio"));
        let runtime = if cri { "cri-o" } else { "podman" }.to_owned();
        return Some(Container {
            id: after(["-c", "--cid"])?,
            name: after(["-n", "--name"]).unwrap_or_default(),
            runtime,
        });
    }
    // The kernel cuts names at 15 bytes.
    if name.starts_with("containerd-shim") {
        let id = after(["-id", "--id"])?;
        let docker = after(["-namespace", "--namespace"]).is_some_and(|namespace| namespace == "moby");
        let name = if docker { docker_name(&id).unwrap_or_default() } else { String::new() };
        let runtime = if docker { "docker" } else { "containerd" }.to_owned();
        return Some(Container { id, name, runtime });
    }
    None
}

/// The container's ID with its runtime, and the pod's UID, as kubelets and runtimes name their groups.
fn in_cgroups(text: &str) -> (Option<(String, &'static str)>, Option<String>) {
    const PREFIXES: [(&str, &str); 4] =
        [("cri-containerd-", "containerd"), ("crio-", "cri-o"), ("libpod-", "podman"), ("docker-", "docker")];
    let (mut id, mut uid) = (None, None);
    for part in text.split(['/', ':', '\n']) {
        let part = part.strip_suffix(".scope").or(part.strip_suffix(".slice")).unwrap_or(part);
        if let Some(at) = part.rfind("pod") {
            let found = part[at + 3..].replace('_', "-");
            if found.len() == 36 && found.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) {
                uid = Some(found);
            }
        }
        let (rest, runtime) = PREFIXES
            .iter()
            .find_map(|(prefix, runtime)| Some((part.strip_prefix(prefix)?, *runtime)))
            .unwrap_or((part, if text.contains("/docker/") { "docker" } else { "runc" }));
        if rest.len() == 64 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            id = Some((rest.to_owned(), runtime));
        }
    }
    (id, uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn conmon_and_shims_name_their_containers() {
        let conmon =
            in_words("conmon", &words("conmon --api-version 1 -c abc -u abc -b /x -n web --exit-dir /y"));
        let web = Container { id: "abc".into(), name: "web".into(), runtime: "podman".into() };
        assert_eq!(conmon, Some(web));
        let shim = words("/usr/bin/containerd-shim-runc-v2 -namespace k8s.io -id f00 -address /run/x");
        let shim = in_words("containerd-shim", &shim).unwrap();
        assert_eq!((shim.id.as_str(), shim.runtime.as_str()), ("f00", "containerd"));
        assert_eq!(in_words("conmon", &words("conmon -n")), None);
        assert_eq!(in_words("bash", &words("bash -c x -n y")), None);
    }

    #[test]
    fn groups_name_pods_and_containers() {
        let id = "0123456789abcdef".repeat(4);
        let uid = "11111111-2222-3333-4444-555555555555";
        let systemd = format!(
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{id}.scope\n",
            uid.replace('-', "_")
        );
        let plain = format!("9:memory:/kubepods/besteffort/pod{uid}/{id}\n1:name=systemd:/x\n");
        assert_eq!(in_cgroups(&systemd), (Some((id.clone(), "containerd")), Some(uid.to_owned())));
        assert_eq!(in_cgroups(&plain), (Some((id.clone(), "runc")), Some(uid.to_owned())));
        assert_eq!(in_cgroups(&format!("0::/docker/{id}")), (Some((id, "docker")), None));
        assert_eq!(in_cgroups("0::/user.slice/podium\n"), (None, None));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_safe(text in "[pod/é_:a-f0-9-]{0,90}", name: String) {
            let _ = in_cgroups(&text);
            let _ = in_words(&name, &words(&text));
            let _ = in_words("conmon", &words(&text));
        }
    }
}
