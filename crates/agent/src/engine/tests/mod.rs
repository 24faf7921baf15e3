//! The engine with a recorded cluster and runtime, and plugins that are shell scripts: no kernel, no root.

mod calls;
mod claimed;
mod lans;
mod lost;
mod plugged;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use api::{Event, Nad, NadSource, NetworkRef};
use cni::Request;
use cni::json::Object;

use super::{Config, Engine, Limits, Setup};
use crate::claims::Claims;
use crate::claims::tests::Agent;
use crate::{Cluster, Error, Found, PodKey, PodView, Result, Runtime, Sandbox, Store};

/// Writes down its call, and does what files beside it say: `fail-ADD-net1` fails, `hang-DEL-net1`, a pipe, hangs until its other end
/// is closed. An ADD answers with the address that it was given as a static one; `used-10.0.0.6` is used by somebody else on the LAN,
/// who is in the file.
const PLUGIN: &str = r#"#!/bin/sh
dir=$(dirname "$0")
cat > "$dir/stdin-$CNI_COMMAND-$CNI_IFNAME"
echo "$CNI_COMMAND $CNI_IFNAME" >> "$dir/log"
echo "$CNI_NETNS" > "$dir/netns-$CNI_COMMAND"
if [ -p "$dir/hang-$CNI_COMMAND-$CNI_IFNAME" ]; then cat "$dir/hang-$CNI_COMMAND-$CNI_IFNAME" > /dev/null; fi
if [ -e "$dir/fail-$CNI_COMMAND-$CNI_IFNAME" ]; then
    echo '{"code":100,"msg":"told to fail"}'
    exit 1
fi
address=$(sed -n 's/.*"ipam":{"type":"static","addresses":\[{"address":"\([^"]*\)".*/\1/p' "$dir/stdin-$CNI_COMMAND-$CNI_IFNAME")
if [ "$CNI_COMMAND" = ADD ] && [ -e "$dir/used-${address%/*}" ]; then
    holder=$(cat "$dir/used-${address%/*}")
    echo '{"code":110,"msg":"address '${address%/*}' is in use on the LAN by '"${holder:-02:00:00:00:00:99}"'"}'
    exit 1
fi
address=${address:-10.0.0.5/24}
if [ "$CNI_COMMAND" = ADD ]; then
    echo '{"cniVersion":"1.0.0","interfaces":[{"name":"'$CNI_IFNAME'","mac":"02:00:00:00:00:01","sandbox":"'$CNI_NETNS'"}],"ips":[{"address":"'$address'","interface":0}]}'
fi
"#;

/// A cluster of what it is told, which writes down what it is asked for.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) pods: Mutex<BTreeMap<String, PodView>>,
    statuses: Mutex<BTreeMap<String, String>>,
    events: Mutex<Vec<String>>,
    definitions: Mutex<BTreeSet<String>>,
    cut_off: Mutex<bool>,
    sandboxes: Mutex<Option<Vec<Sandbox>>>,
    /// Who claims addresses.
    pub(crate) agent: OnceLock<Agent>,
}

impl Cluster for Fake {
    fn pod(&self, key: &PodKey, _: Instant) -> Result<Found> {
        if *self.cut_off.lock().unwrap() {
            return Err(Error::Behind { what: format!("pod {}", key.name), reason: "cut off".to_owned() });
        }
        let pods = self.pods.lock().unwrap();
        Ok(match pods.get(&key.name).filter(|view| view.key == *key) {
            Some(view) => Found::Pod(Arc::new(view.clone())),
            None => Found::Gone,
        })
    }

    fn pods(&self) -> Option<Vec<Arc<PodView>>> {
        let cut_off = *self.cut_off.lock().unwrap();
        (!cut_off).then(|| self.pods.lock().unwrap().values().cloned().map(Arc::new).collect())
    }

    fn definition(&self, network: &NetworkRef) -> api::Result<Arc<Nad>> {
        if !self.definitions.lock().unwrap().contains(network.name()) {
            return Err(api::Error::NoNetwork(network.clone()));
        }
        let config = match network.name() {
            "flat" => r#"{"cniVersion":"1.0.0","type":"recorder","ipam":{"type":"llano","network":"lan"}}"#,
            "own" => {
                r#"{"cniVersion":"1.0.0","type":"recorder","master":"eth9","ipam":{"type":"llano","network":"lan"}}"#
            }
            _ => r#"{"cniVersion":"1.0.0","type":"recorder"}"#,
        };
        let (namespace, name) = (network.namespace(), network.name());
        Nad::new(NadSource { namespace, name, config: Some(config), ..NadSource::default() }).map(Arc::new)
    }

    fn definitions(&self) -> Option<Vec<NetworkRef>> {
        let all = self.definitions.lock().unwrap();
        Some(all.iter().filter_map(|name| NetworkRef::new("shop", name)).collect())
    }

    fn devices(&self, _: &PodKey, _: &str) -> api::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn write_status(&self, pod: &PodKey, annotation: &str, _: Instant) -> Result<()> {
        if *self.cut_off.lock().unwrap() {
            return Err(Error::Behind { what: "status".to_owned(), reason: "cut off".to_owned() });
        }
        self.statuses.lock().unwrap().insert(pod.name.clone(), annotation.to_owned());
        Ok(())
    }

    fn claims(&self) -> Option<&dyn Claims> {
        self.agent.get().map(|agent| &agent.claimer as &dyn Claims)
    }

    fn event(&self, pod: &PodKey, event: Event) {
        let text = format!("{} {} {}: {}", pod.name, event.kind(), event.reason, event.message);
        self.events.lock().unwrap().push(text);
    }
}

impl Runtime for Fake {
    fn sandboxes(&self) -> Result<Vec<Sandbox>> {
        self.sandboxes.lock().unwrap().clone().ok_or_else(|| Error::Runtime {
            endpoint: "nowhere".to_owned(),
            reason: "it does not answer".to_owned(),
        })
    }
}

/// A node: an engine with its store, cluster and plugins.
pub(crate) struct Node {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) fake: Arc<Fake>,
    pub(crate) engine: Arc<Engine>,
}

fn config() -> Config {
    let text = r#"{"cniVersion":"1.0.0","name":"cbr0",
        "delegates":[{"cniVersion":"1.0.0","name":"cbr0","type":"recorder"}],"binDir":"/nowhere"}"#;
    Config::parse(&Object::root(&cni::json::parse(text.as_bytes()).unwrap()).unwrap()).unwrap()
}

fn engine(dir: &Path, fake: &Arc<Fake>) -> Arc<Engine> {
    let limits = Limits {
        cluster: Duration::from_secs(20),
        del: Duration::from_secs(20),
        missing: Duration::from_secs(3600),
        retry: Duration::ZERO,
        slowest: Duration::from_millis(1),
    };
    let paths = attach::paths::Paths { run: dir.join("run") };
    let setup = Setup {
        config: config(),
        spool: dir.join("spool"),
        settings: dir.join("settings.json"),
        paths,
        limits,
    };
    let store = Store::open(&dir.join("store")).unwrap();
    let (cluster, runtime): (Arc<dyn Cluster>, Arc<dyn Runtime>) =
        (Arc::clone(fake) as _, Arc::clone(fake) as _);
    Engine::new(store, cluster, runtime, setup)
}

impl Node {
    pub(crate) fn new(definitions: &[&str]) -> Node {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        fs::write(bin.join("recorder"), PLUGIN).unwrap();
        fs::set_permissions(bin.join("recorder"), fs::Permissions::from_mode(0o755)).unwrap();
        let fake = Arc::new(Fake::default());
        fake.definitions.lock().unwrap().extend(definitions.iter().map(|name| (*name).to_owned()));
        let engine = engine(dir.path(), &fake);
        Node { dir, fake, engine }
    }

    /// The agent ended, and a new one is there.
    fn restart(self) -> Node {
        let Node { dir, fake, engine: old } = self;
        drop(Arc::into_inner(old).expect("nobody works any more"));
        let engine = engine(dir.path(), &fake);
        Node { dir, fake, engine }
    }

    /// The same with these settings.
    fn anew(self, setup: Setup) -> Node {
        let Node { dir, fake, engine: old } = self;
        drop(Arc::into_inner(old).expect("nobody works any more"));
        let store = Store::open(&dir.path().join("store")).unwrap();
        let engine = Engine::new(store, Arc::clone(&fake) as _, Arc::clone(&fake) as _, setup);
        Node { dir, fake, engine }
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    pub(crate) fn tell(&self, name: &str) {
        fs::write(self.bin().join(name), "").unwrap();
    }

    pub(crate) fn untell(&self, name: &str) {
        fs::remove_file(self.bin().join(name)).unwrap();
    }

    /// Plugins of this call will hang.
    pub(crate) fn hang(&self, call: &str) {
        let pipe = self.bin().join(format!("hang-{call}"));
        rustix::fs::mknodat(rustix::fs::CWD, pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .unwrap();
    }

    /// Until one of them hangs. It does as long as the answer is kept, and no other after it.
    pub(crate) fn hanging(&self, call: &str) -> fs::File {
        let pipe = self.bin().join(format!("hang-{call}"));
        let (give, opened) = std::sync::mpsc::channel();
        // Opening waits for who reads; a test that fails does not wait for ever.
        std::thread::spawn(move || {
            let file = fs::File::options().write(true).open(&pipe).unwrap();
            fs::remove_file(&pipe).unwrap();
            give.send(file)
        });
        opened.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    /// What the plugins were called with since the last look.
    pub(crate) fn log(&self) -> Vec<String> {
        let log = self.bin().join("log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(log);
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn pod(&self, name: &str, networks: Option<&str>) -> PodView {
        let key = key(name);
        let view = PodView {
            key,
            networks: networks.map(str::to_owned),
            default_network: None,
            status: None,
            host_network: false,
            is_static: false,
            addressing: crate::Addressing::default(),
        };
        self.fake.pods.lock().unwrap().insert(name.to_owned(), view.clone());
        view
    }

    fn call(&self, verb: &str, pod: &str) -> cni::Result<Option<cni::CniResult>> {
        self.call_with(verb, pod, "")
    }

    fn call_with(&self, verb: &str, pod: &str, more: &str) -> cni::Result<Option<cni::CniResult>> {
        let reply = self.engine.call(&request(verb, pod, &self.bin(), more));
        let answer = reply.answer.clone();
        self.engine.sent(reply);
        answer
    }

    pub(crate) fn events(&self) -> Vec<String> {
        std::mem::take(&mut *self.fake.events.lock().unwrap())
    }

    /// Places, interfaces and what is to become of them: `eth0 net1? net2!`.
    pub(crate) fn stored(&self, pod: &str) -> Option<String> {
        let record = self.engine.store.get(&container(pod)).unwrap()?.unwrap();
        let mut text: Vec<String> = record
            .attachments
            .iter()
            .map(|attachment| {
                let made = if attachment.result.is_some() { "" } else { "?" };
                let doomed = if attachment.doomed.is_some() { "!" } else { "" };
                format!("{}:{}{made}{doomed}", attachment.call.position, attachment.call.ifname)
            })
            .collect();
        text.extend(record.doomed.map(|_| "!".to_owned()));
        Some(text.join(" "))
    }

    /// Lets the worker run until nothing waits.
    fn work_off(&self) {
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| self.engine.repeat_deletions());
            self.engine.later.wait_for_none();
            self.engine.stop();
            worker.join().unwrap();
        });
    }
}

fn key(name: &str) -> PodKey {
    PodKey { namespace: "shop".to_owned(), name: name.to_owned(), uid: format!("uid-{name}") }
}

pub(crate) fn container(pod: &str) -> String {
    format!("c-{pod}")
}

pub(crate) fn request(verb: &str, pod: &str, bin: &Path, more: &str) -> Request {
    let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={pod};K8S_POD_UID=uid-{pod}");
    let variables = [
        ("CNI_COMMAND", verb),
        ("CNI_CONTAINERID", &container(pod)),
        ("CNI_NETNS", "/nowhere/netns"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", &args),
        ("CNI_PATH", bin.to_str().unwrap()),
    ];
    let config = format!(r#"{{"cniVersion":"1.1.0","name":"llano","type":"llano"{more}}}"#);
    Request::from_texts(&variables, &config).unwrap()
}
