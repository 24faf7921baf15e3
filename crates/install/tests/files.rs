//! Installing into a tree, and everything given back.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cni::Version;
use install::{Error, Installation, Lock, Manifest, Options, Places, Plugin, Service, Status};

/// Everything below a directory: kind, mode, inode, time and content.
fn picture(root: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(dir: &Path, root: &Path, all: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let what = if meta.is_dir() {
                walk(&path, root, all);
                format!("directory {:o}", meta.mode())
            } else if meta.is_symlink() {
                format!("link to {} inode {}", fs::read_link(&path).unwrap().display(), meta.ino())
            } else {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                format!(
                    "file {:o} inode {} links {} time {} {text}",
                    meta.mode(),
                    meta.ino(),
                    meta.nlink(),
                    meta.mtime()
                )
            };
            all.insert(path.strip_prefix(root).unwrap().to_owned(), what);
        }
    }
    let mut all = BTreeMap::new();
    walk(root, root, &mut all);
    all
}

const PRIMARY: &str = r#"{"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel"},{"type":"portmap","capabilities":{"portMappings":true}}]}"#;

struct Node {
    dir: tempfile::TempDir,
    plugin: PathBuf,
    options: Options,
}

impl Node {
    /// A node with a primary plugin, reference plugins among its files, and one link.
    fn new(links: &[&str]) -> Node {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("node");
        let bin = root.join("opt/cni/bin");
        fs::create_dir_all(&bin).unwrap();
        for dir in ["etc/cni/net.d", "var/lib"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for name in ["flannel", "macvlan", "host-local"] {
            let path = bin.join(name);
            fs::write(&path, format!("the reference's {name}")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
            let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        }
        symlink("host-local", bin.join("static")).unwrap();
        let plugin = dir.path().join("llano-cni");
        fs::write(&plugin, b"\x7fELF one").unwrap();
        let options = Options {
            places: Places::below(&root),
            plugin: Plugin::Path(plugin.clone()),
            links: links.iter().map(|name| (*name).to_owned()).collect(),
            version: Version::V100,
            cluster_network: None,
            service: None,
        };
        Node { dir, plugin, options }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.options.places.root().join(path)
    }

    fn read(&self, path: &str) -> String {
        String::from_utf8(fs::read(self.path(path)).unwrap()).unwrap()
    }

    fn install(&self) -> Vec<install::Step> {
        Installation::open(self.options.clone()).unwrap().install().unwrap()
    }

    fn uninstall(&self) -> Vec<(String, &'static str)> {
        let given = Installation::uninstall(&self.options.places).unwrap();
        given.into_iter().map(|given| (given.path.display().to_string(), given.how)).collect()
    }
}

#[test]
fn the_plugin_and_its_links_are_there_and_what_was_comes_back_as_the_same_files() {
    let node = Node::new(&["macvlan", "host-local", "static", "dhcp"]);
    let before = picture(node.options.places.root());
    let planned = Installation::plan(&node.options).unwrap();
    assert_eq!(picture(node.options.places.root()), before, "a plan writes nothing");
    let steps = node.install();
    assert_eq!(steps, planned);
    assert_eq!(fs::read(node.path("opt/cni/bin/macvlan")).unwrap(), b"\x7fELF one");
    assert_eq!(fs::read_link(node.path("opt/cni/bin/llano")).unwrap(), Path::new("llano-cni"));
    assert_eq!(node.path("opt/cni/bin/llano-cni").metadata().unwrap().mode() & 0o7777, 0o755);
    assert_eq!(node.read("opt/cni/bin/flannel"), "the reference's flannel", "not asked for");
    let kept: Vec<_> =
        steps.iter().filter(|step| step.keeps).map(|step| step.path.file_name().unwrap()).collect();
    assert_eq!(kept, ["macvlan", "host-local", "static"]);
    assert!(node.install().iter().all(|step| step.same), "the second time nothing is written");
    let given = node.uninstall();
    assert_eq!(given.iter().filter(|(_, how)| *how == "restored").count(), 3, "{given:?}");
    assert_eq!(picture(node.options.places.root()), before);
    assert!(node.uninstall().is_empty(), "the second time nothing is left to do");
    assert_eq!(picture(node.options.places.root()), before);
}

#[test]
fn an_upgrade_replaces_the_plugin_while_it_runs_and_still_gives_back_the_first() {
    let node = Node::new(&["macvlan"]);
    let before = picture(node.options.places.root());
    // A program that really runs, so that writing to its file would be refused.
    fs::copy("/bin/sleep", &node.plugin).unwrap();
    node.install();
    let mut running =
        std::process::Command::new(node.path("opt/cni/bin/llano-cni")).arg("60").spawn().unwrap();
    fs::write(&node.plugin, b"\x7fELF two").unwrap();
    node.install();
    let alive = running.try_wait().unwrap().is_none();
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(alive, "it went on");
    assert_eq!(fs::read(node.path("opt/cni/bin/macvlan")).unwrap(), b"\x7fELF two");
    node.uninstall();
    assert_eq!(picture(node.options.places.root()), before);
}

#[test]
fn what_somebody_else_wrote_since_is_theirs() {
    let node = Node::new(&["macvlan", "host-local"]);
    node.install();
    // The package of the reference plugins is upgraded, by writing new files as dpkg does.
    fs::write(node.path("opt/cni/bin/new"), "newer macvlan").unwrap();
    fs::rename(node.path("opt/cni/bin/new"), node.path("opt/cni/bin/macvlan")).unwrap();
    let status = Status::read(&node.options.places).unwrap();
    assert!(status.problems.iter().any(|line| line.contains("macvlan was replaced")), "{status:?}");
    let given = node.uninstall();
    assert!(given.contains(&("/opt/cni/bin/macvlan".to_owned(), "left alone")), "{given:?}");
    assert_eq!(node.read("opt/cni/bin/macvlan"), "newer macvlan");
    assert_eq!(node.read("opt/cni/bin/host-local"), "the reference's host-local");
    assert!(!node.path("opt/cni/bin/.llano-kept").exists());
}

#[test]
fn installed_again_over_somebody_elses_newer_file_that_one_is_kept() {
    let node = Node::new(&["macvlan"]);
    node.install();
    fs::remove_file(node.path("opt/cni/bin/macvlan")).unwrap();
    fs::write(node.path("opt/cni/bin/macvlan"), "newer macvlan").unwrap();
    node.install();
    assert_eq!(fs::read_link(node.path("opt/cni/bin/macvlan")).unwrap(), Path::new("llano-cni"));
    node.uninstall();
    assert_eq!(node.read("opt/cni/bin/macvlan"), "newer macvlan");
}

#[test]
fn what_somebody_removed_is_given_back_too() {
    let node = Node::new(&["macvlan"]);
    let before = picture(node.options.places.root());
    node.install();
    fs::remove_file(node.path("opt/cni/bin/macvlan")).unwrap();
    fs::remove_file(node.path("opt/cni/bin/llano")).unwrap();
    node.uninstall();
    assert_eq!(picture(node.options.places.root()), before);
}

#[test]
fn directories_that_were_not_there_go_unless_somebody_uses_them() {
    let node = Node::new(&[]);
    fs::remove_dir_all(node.path("opt")).unwrap();
    let before = picture(node.options.places.root());
    node.install();
    node.uninstall();
    assert_eq!(picture(node.options.places.root()), before);
    node.install();
    fs::write(node.path("opt/cni/bin/theirs"), "theirs").unwrap();
    node.uninstall();
    assert_eq!(node.read("opt/cni/bin/theirs"), "theirs");
}

#[test]
fn a_directory_in_the_way_and_a_plugin_that_is_none_are_refused_before_anything_is_written() {
    let mut node = Node::new(&["vlan"]);
    fs::create_dir(node.path("opt/cni/bin/vlan")).unwrap();
    let before = picture(node.options.places.root());
    let error = Installation::plan(&node.options).unwrap_err().to_string();
    assert!(
        error.ends_with("opt/cni/bin/vlan: is a directory, expected a file, a link or nothing"),
        "{error}"
    );
    assert_eq!(picture(node.options.places.root()), before);
    node.options.links = vec!["../../bin/sh".to_owned()];
    assert!(matches!(Installation::plan(&node.options), Err(Error::Link { .. })));
    node.options.links.clear();
    fs::write(&node.plugin, "#!/bin/sh").unwrap();
    let refused = Installation::open(node.options.clone()).unwrap().install();
    assert!(matches!(refused, Err(Error::Plugin { .. })), "{refused:?}");
}

#[test]
fn one_installer_at_a_time_and_it_says_who() {
    let node = Node::new(&[]);
    let lock = Lock::take(&node.options.places).unwrap();
    let error = Installation::uninstall(&node.options.places).unwrap_err();
    assert!(matches!(error, Error::Busy { holder: Some(pid), .. } if pid == std::process::id()), "{error}");
    drop(lock);
    node.uninstall();
}

#[test]
fn a_damaged_record_stops_everything() {
    let node = Node::new(&["macvlan"]);
    node.install();
    let path = node.path("var/lib/llano/install/manifest.json");
    for text in ["", "{", r#"{"version":2,"made":[],"entries":[]}"#] {
        fs::write(&path, text).unwrap();
        assert!(matches!(Manifest::read(&node.options.places), Err(Error::Manifest { .. })), "{text}");
        assert!(Installation::uninstall(&node.options.places).is_err());
    }
    assert_eq!(fs::read(node.path("opt/cni/bin/macvlan")).unwrap(), b"\x7fELF one", "nothing was touched");
}

#[test]
fn credentials_by_hand_are_for_root_alone_and_go_again() {
    let mut node = Node::new(&[]);
    fs::create_dir_all(node.path("etc/systemd/system/multi-user.target.wants")).unwrap();
    let before = picture(node.options.places.root());
    let kubeconfig = node.dir.path().join("kubeconfig");
    fs::write(&kubeconfig, "clusters: [{cluster: {server: https://10.0.0.1:6443}}]\n").unwrap();
    let args = vec!["--node".to_owned(), "node1".to_owned()];
    node.options.service =
        Some(Service { kubeconfig: kubeconfig.clone(), program: "/usr/local/bin/llano".into(), args });
    node.install();
    assert_eq!(node.path("etc/llano/kubeconfig").metadata().unwrap().mode() & 0o7777, 0o600);
    let unit = node.read("etc/systemd/system/llano-agent.service");
    assert!(
        unit.contains(
            "ExecStart=/usr/local/bin/llano agent --kubeconfig /etc/llano/kubeconfig --node node1\n"
        )
    );
    assert!(node.path("etc/systemd/system/multi-user.target.wants/llano-agent.service").exists());
    node.uninstall();
    assert_eq!(picture(node.options.places.root()), before);
    fs::write(&kubeconfig, "no").unwrap();
    assert!(matches!(Installation::plan(&node.options), Err(Error::Kubeconfig { .. })));
}

#[test]
fn the_plan_has_our_configuration_when_there_is_a_primary() {
    let node = Node::new(&[]);
    let paths = |steps: &[install::Step]| -> Vec<String> {
        steps.iter().map(|step| step.path.display().to_string()).collect()
    };
    assert_eq!(
        paths(&Installation::plan(&node.options).unwrap()),
        ["/opt/cni/bin/llano-cni", "/opt/cni/bin/llano"]
    );
    fs::write(node.path("etc/cni/net.d/10-flannel.conflist"), PRIMARY).unwrap();
    let planned = paths(&Installation::plan(&node.options).unwrap());
    assert_eq!(planned.last().unwrap(), "/etc/cni/net.d/00-llano.conflist");
}
