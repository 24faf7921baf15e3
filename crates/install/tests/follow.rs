//! Our configuration follows the primary plugin's.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use cni::Version;
use cni::json::{self, Object};
use install::{CONFLIST, Follower, Installation, Options, Places, Plugin, State, Status, Stopper};

const FLANNEL: &str = r#"{"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel"},{"type":"portmap","capabilities":{"portMappings":true}}]}"#;
const CALICO: &str = r#"{"name":"k8s-pod-network","cniVersion":"0.3.1","plugins":[{"type":"calico"},{"type":"bandwidth","capabilities":{"bandwidth":true}}]}"#;
/// Far more than an event of the kernel takes.
const PATIENCE: Duration = Duration::from_secs(20);

struct Node {
    dir: tempfile::TempDir,
    options: Options,
}

/// A follower in a thread, as the agent has it.
struct Running {
    states: Receiver<State>,
    stopper: Stopper,
    thread: JoinHandle<()>,
}

impl Node {
    fn new() -> Node {
        let dir = tempfile::tempdir().unwrap();
        let plugin = dir.path().join("llano-cni");
        fs::write(&plugin, b"\x7fELF").unwrap();
        let options = Options {
            places: Places::below(dir.path().join("node")),
            plugin: Plugin::Path(plugin),
            links: Vec::new(),
            version: Version::V100,
            cluster_network: None,
            service: None,
        };
        fs::create_dir_all(dir.path().join("node/etc/cni/net.d")).unwrap();
        Node { dir, options }
    }

    fn conf(&self, name: &str) -> PathBuf {
        self.dir.path().join("node/etc/cni/net.d").join(name)
    }

    /// As a careful installer does it.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.conf("temporary"), text).unwrap();
        fs::rename(self.conf("temporary"), self.conf(name)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.conf(name)).unwrap();
    }

    fn follower(&self) -> Follower {
        Follower::new(Installation::open(self.options.clone()).unwrap()).unwrap()
    }

    fn run(&self) -> Running {
        let follower = self.follower();
        let stopper = follower.stopper();
        let (sender, states) = channel();
        let thread = std::thread::spawn(move || {
            follower.run(&mut |state| drop(sender.send(state.clone()))).unwrap();
        });
        Running { states, stopper, thread }
    }

    /// Name and first network of our configuration.
    fn ours(&self) -> Option<(String, String)> {
        let text = fs::read(self.conf(CONFLIST)).ok()?;
        let value = json::parse(&text).unwrap();
        let root = Object::root(&value).unwrap();
        let plugin = root.items("plugins").unwrap()[0].object().unwrap();
        let text = |object: &Object<'_>, key| object.string(key).unwrap().unwrap().to_owned();
        Some((text(&root, "name"), text(&plugin, "clusterNetwork")))
    }
}

impl Running {
    /// The next state that is so.
    fn until(&self, is: impl Fn(&State) -> bool) -> State {
        loop {
            let state = self.states.recv_timeout(PATIENCE).unwrap();
            if is(&state) {
                return state;
            }
        }
    }

    fn end(self) {
        self.stopper.stop();
        self.thread.join().unwrap();
    }
}

fn wraps(file: &'static str) -> impl Fn(&State) -> bool {
    move |state| matches!(state, State::Wrapped { list, .. } if list.cluster.to_text().ends_with(file))
}

#[test]
fn it_waits_for_the_primary_and_follows_its_changes_until_it_goes() {
    let node = Node::new();
    let running = node.run();
    assert_eq!(running.until(|_| true), State::Waiting);
    assert_eq!(node.ours(), None);

    node.write("10-flannel.conflist", FLANNEL);
    let State::Wrapped { list, hidden_by } = running.until(wraps("10-flannel.conflist")) else {
        unreachable!()
    };
    assert_eq!((list.capabilities, hidden_by), (vec!["portMappings".to_owned()], None));
    let flannel = ("cbr0".to_owned(), "/etc/cni/net.d/10-flannel.conflist".to_owned());
    assert_eq!(node.ours(), Some(flannel.clone()), "the paths are the node's own");

    // Upgraded in place: another name, another capability.
    node.write("10-flannel.conflist", &FLANNEL.replace("cbr0", "cbr1"));
    running.until(|state| matches!(state, State::Wrapped { list, .. } if list.network == "cbr1"));

    // Another that sorts first, as when the primary is exchanged.
    node.write("05-calico.conflist", CALICO);
    let State::Wrapped { list, .. } = running.until(wraps("05-calico.conflist")) else { unreachable!() };
    assert_eq!((list.network.as_str(), list.capabilities), ("k8s-pod-network", vec!["bandwidth".to_owned()]));
    node.remove("05-calico.conflist");
    running.until(wraps("10-flannel.conflist"));

    node.remove("10-flannel.conflist");
    running.until(|state| *state == State::Waiting);
    assert_eq!(node.ours(), None, "the node is not ready, as without us");

    node.write("10-flannel.conflist", FLANNEL);
    running.until(wraps("10-flannel.conflist"));
    running.end();
    assert_eq!(node.ours(), Some(flannel), "an upgrade of the agent leaves everything in place");
    Installation::uninstall(&node.options.places).unwrap();
    assert_eq!(node.ours(), None);
    assert_eq!(fs::read_to_string(node.conf("10-flannel.conflist")).unwrap(), FLANNEL);
}

#[test]
fn half_a_configuration_changes_nothing() {
    let node = Node::new();
    node.write("10-flannel.conflist", FLANNEL);
    let running = node.run();
    running.until(wraps("10-flannel.conflist"));
    let before = fs::read(node.conf(CONFLIST)).unwrap();
    // An installer that writes in place: the file is empty, then half, then whole.
    fs::write(node.conf("10-flannel.conflist"), "").unwrap();
    running.until(|state| matches!(state, State::Unusable { file, .. } if file == "10-flannel.conflist"));
    assert_eq!(fs::read(node.conf(CONFLIST)).unwrap(), before);
    fs::write(node.conf("10-flannel.conflist"), &FLANNEL[..40]).unwrap();
    fs::write(node.conf("10-flannel.conflist"), FLANNEL.replace("cbr0", "whole")).unwrap();
    running.until(|state| matches!(state, State::Wrapped { list, .. } if list.network == "whole"));
    running.end();
}

#[test]
fn ours_is_put_back_when_it_is_removed_but_not_for_ever() {
    let node = Node::new();
    node.write("10-flannel.conflist", FLANNEL);
    let mut follower = node.follower();
    assert!(matches!(follower.look(), State::Wrapped { .. }));
    for _ in 0..5 {
        node.remove(CONFLIST);
        assert!(matches!(follower.look(), State::Wrapped { .. }));
        assert!(node.ours().is_some());
    }
    node.remove(CONFLIST);
    assert!(matches!(follower.look(), State::Blocked { reason } if reason.contains("again and again")));
    assert_eq!(node.ours(), None);
    // A new primary is a new beginning.
    node.write("10-flannel.conflist", CALICO);
    assert!(matches!(follower.look(), State::Wrapped { .. }));
}

#[test]
fn cilium_is_told_of_once_and_not_fought() {
    let node = Node::new();
    node.write("05-cilium.conflist", &CALICO.replace("calico", "cilium-cni"));
    let mut follower = node.follower();
    assert!(matches!(follower.look(), State::Wrapped { .. }));
    let renamed = node.conf("00-llano.conflist.cilium_bak");
    fs::rename(node.conf(CONFLIST), &renamed).unwrap();
    assert!(matches!(follower.look(), State::Blocked { reason } if reason.contains("cni.exclusive=false")));
    assert!(matches!(follower.look(), State::Blocked { .. }));
    assert_eq!(node.ours(), None);
    let status = Status::read(&node.options.places).unwrap();
    assert!(status.problems.iter().any(|line| line.contains("cni.exclusive=false")), "{status:?}");
    drop(follower);
    // Set right and restarted.
    let mut follower = node.follower();
    assert!(!renamed.exists());
    assert!(matches!(follower.look(), State::Wrapped { .. }));
    drop(follower);
    fs::rename(node.conf(CONFLIST), &renamed).unwrap();
    Installation::uninstall(&node.options.places).unwrap();
    assert!(!renamed.exists(), "ours goes under that name too");
}

#[test]
fn a_configuration_that_sorts_before_ours_is_told_of() {
    let node = Node::new();
    node.write("00-a.conf", r#"{"name":"a","type":"bridge"}"#);
    let State::Wrapped { hidden_by, .. } = node.follower().look() else { unreachable!() };
    assert_eq!(hidden_by.as_deref(), Some("00-a.conf"));
    let status = Status::read(&node.options.places).unwrap();
    assert_eq!(status.effective.unwrap(), PathBuf::from("/etc/cni/net.d/00-a.conf"));
    assert!(
        status.problems.iter().any(|line| line.contains("00-a.conf sorts before")),
        "{:?}",
        status.problems
    );
}

#[test]
fn the_directory_itself_may_go_and_come() {
    let node = Node::new();
    node.write("10-flannel.conflist", FLANNEL);
    let running = node.run();
    running.until(wraps("10-flannel.conflist"));
    fs::rename(node.conf(""), node.dir.path().join("away")).unwrap();
    running.until(|state| *state == State::Waiting);
    // It is made again by whoever comes first.
    while !node.conf("").is_dir() {
        std::thread::yield_now();
    }
    node.write("10-flannel.conflist", FLANNEL);
    running.until(wraps("10-flannel.conflist"));
    running.end();
}

#[test]
fn a_definition_as_first_network_needs_no_primary() {
    let mut node = Node::new();
    node.options.cluster_network = Some("kube-system/lan".to_owned());
    let mut follower = node.follower();
    assert!(matches!(follower.look(), State::Wrapped { .. }));
    assert_eq!(node.ours(), Some(("llano".to_owned(), "kube-system/lan".to_owned())));
}

/// The runtime ends a pod with the configuration that is current then. One that was made through us, and is ended after the
/// uninstall, is ended by the primary's own file: under the same network name, so that the result the runtime keeps is found, and with
/// everything the primary was called with.
#[test]
fn after_uninstall_the_runtime_finds_the_primary_under_the_name_it_knows() {
    let node = Node::new();
    node.write("10-flannel.conflist", FLANNEL);
    drop(node.follower().look());
    let name = |path: PathBuf| {
        let value = json::parse(&fs::read(path).unwrap()).unwrap();
        Object::root(&value).unwrap().string("name").unwrap().unwrap().to_owned()
    };
    let first = || Status::read(&node.options.places).unwrap().effective.unwrap();
    assert_eq!(first(), PathBuf::from("/etc/cni/net.d/00-llano.conflist"));
    let during = name(node.conf(CONFLIST));
    Installation::uninstall(&node.options.places).unwrap();
    assert_eq!(first(), PathBuf::from("/etc/cni/net.d/10-flannel.conflist"));
    assert_eq!(name(node.conf("10-flannel.conflist")), during);
}
