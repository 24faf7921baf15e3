//! A cluster and a runtime of files, for an agent without an API server.
//!
//! Below one directory: `pods/NS/NAME.json` has `uid`, `networks`, `default`; `definitions/NS/NAME.json` is the
//! configuration, `NAME.role` beside it the role; `status/NS/NAME` and `events` are written; `sandboxes` lists containers,
//! one a line, `ID` or `ID POD`, and while it is not there the runtime does not answer.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use agent::{Cluster, Error, Found, PodKey, PodView, Result, Runtime, Sandbox};
use api::{Event, Nad, NadSource, NetworkRef};

/// The directory.
#[derive(Debug, Clone)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// On this directory.
    pub fn new(dir: &Path) -> Files {
        Files { dir: dir.to_owned() }
    }

    fn path(&self, kind: &str, namespace: &str, name: &str) -> PathBuf {
        self.dir.join(kind).join(namespace).join(name)
    }

    /// Puts a pod there, or changes it.
    pub fn put_pod(&self, name: &str, networks: &str, default: &str) {
        let pod = serde_json::json!({"uid": format!("uid-{name}"), "networks": networks, "default": default});
        write(&self.path("pods", "shop", &format!("{name}.json")), &pod.to_string());
    }

    /// Puts a definition of the namespace `shop` there.
    pub fn put_definition(&self, name: &str, role: Option<&str>, config: &serde_json::Value) {
        if let Some(role) = role {
            write(&self.path("definitions", "shop", &format!("{name}.role")), role);
        }
        write(&self.path("definitions", "shop", &format!("{name}.json")), &config.to_string());
    }

    /// Takes a definition away.
    pub fn remove_definition(&self, name: &str) {
        fs::remove_file(self.path("definitions", "shop", &format!("{name}.json"))).unwrap();
    }

    /// What the runtime lists; `None` is a runtime that does not answer.
    pub fn put_sandboxes(&self, ids: Option<&[&str]>) {
        match ids {
            Some(ids) => write(&self.dir.join("sandboxes"), &ids.join("\n")),
            None => {
                let _ = fs::remove_file(self.dir.join("sandboxes"));
            }
        }
    }

    /// The status annotation of a pod.
    pub fn status(&self, pod: &str) -> Option<String> {
        fs::read_to_string(self.path("status", "shop", pod)).ok()
    }

    /// The events so far.
    pub fn events(&self) -> String {
        fs::read_to_string(self.dir.join("events")).unwrap_or_default()
    }

    fn view(&self, namespace: &str, name: &str) -> Option<PodView> {
        let text = fs::read_to_string(self.path("pods", namespace, &format!("{name}.json"))).ok()?;
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        let text = |key: &str| value[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let key = PodKey {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: text("uid").unwrap_or_default(),
        };
        Some(PodView {
            key,
            networks: text("networks"),
            default_network: text("default"),
            status: self.status(name),
            host_network: false,
            is_static: false,
            addressing: agent::Addressing::default(),
        })
    }
}

/// By rename: an agent may read it at any moment.
fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    fs::write(&draft, text).unwrap();
    fs::rename(&draft, path).unwrap();
}

impl Cluster for Files {
    fn pod(&self, key: &PodKey, _: Instant) -> Result<Found> {
        Ok(match self.view(&key.namespace, &key.name).filter(|view| view.key == *key) {
            Some(view) => Found::Pod(Arc::new(view)),
            None => Found::Gone,
        })
    }

    fn pods(&self) -> Option<Vec<Arc<PodView>>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.dir.join("pods/shop")).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            found.extend(name.strip_suffix(".json").and_then(|name| self.view("shop", name)).map(Arc::new));
        }
        Some(found)
    }

    fn definition(&self, network: &NetworkRef) -> api::Result<Arc<Nad>> {
        let (namespace, name) = (network.namespace(), network.name());
        let read =
            |end: &str| fs::read_to_string(self.path("definitions", namespace, &format!("{name}{end}"))).ok();
        let config = read(".json").ok_or_else(|| api::Error::NoNetwork(network.clone()))?;
        let labels: BTreeMap<String, String> =
            read(".role").map(|role| (api::ROLE.to_owned(), role)).into_iter().collect();
        let source =
            NadSource { namespace, name, config: Some(&config), labels: Some(&labels), annotations: None };
        Nad::new(source).map(Arc::new)
    }

    fn definitions(&self) -> Option<Vec<NetworkRef>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.dir.join("definitions/shop")).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            found.extend(name.strip_suffix(".json").and_then(|name| NetworkRef::new("shop", name)));
        }
        Some(found)
    }

    fn devices(&self, _: &PodKey, _: &str) -> api::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn write_status(&self, pod: &PodKey, annotation: &str, _: Instant) -> Result<()> {
        write(&self.path("status", &pod.namespace, &pod.name), annotation);
        Ok(())
    }

    fn event(&self, pod: &PodKey, event: Event) {
        let line = format!("{} {} {}: {}\n", pod.name, event.kind(), event.reason, event.message);
        let file = fs::File::options().append(true).create(true).open(self.dir.join("events"));
        file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
    }
}

impl Runtime for Files {
    fn sandboxes(&self) -> Result<Vec<Sandbox>> {
        let text = fs::read_to_string(self.dir.join("sandboxes"))
            .map_err(|error| Error::Runtime { endpoint: "of files".to_owned(), reason: error.to_string() })?;
        let sandbox = |line: &str| {
            let (id, name) = line.split_once(' ').unwrap_or((line, ""));
            let pod =
                PodKey { namespace: "shop".to_owned(), name: name.to_owned(), uid: format!("uid-{name}") };
            let netns = Some(Path::new("/run/netns").join(id));
            Sandbox { id: id.to_owned(), pod, ready: true, netns }
        };
        Ok(text.lines().map(sandbox).collect())
    }
}
