//! SIGKILL at every call of `llano install` and `llano uninstall`: run again, it is as if nothing had happened.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use netns_tests::bin_dir;
use netns_tests::kill::{Call, calls};

const PRIMARY: &str = r#"{"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel"}]}"#;

struct Node {
    dir: tempfile::TempDir,
}

impl Node {
    fn new() -> Node {
        let node = Node { dir: tempfile::tempdir().unwrap() };
        for dir in ["opt/cni/bin", "etc/cni/net.d", "var/lib"] {
            fs::create_dir_all(node.root().join(dir)).unwrap();
        }
        fs::write(node.root().join("opt/cni/bin/macvlan"), "the reference's macvlan").unwrap();
        symlink("macvlan", node.root().join("opt/cni/bin/vlan")).unwrap();
        fs::write(node.root().join("etc/cni/net.d/10-flannel.conflist"), PRIMARY).unwrap();
        node
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("node")
    }

    /// Runs the command below strace, which may kill it.
    fn run(&self, verb: &str, options: &[String]) -> (ExitStatus, String) {
        let trace = self.dir.path().join("trace");
        let mut strace = Command::new("strace");
        strace.args(["-qq", "-s", "0", "-o"]).arg(&trace).args(options).arg(bin_dir().join("llano"));
        strace.args([verb, "--root"]).arg(self.root());
        if verb == "install" {
            // A short plugin: reading and writing the real one is one call as well, only longer.
            strace.arg("--plugin").arg("/bin/true").args(["--link", "macvlan,vlan,host-local"]);
        }
        let status =
            strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        (status, fs::read_to_string(&trace).unwrap())
    }

    fn ok(&self, verb: &str, when: &str) -> String {
        let (status, trace) = self.run(verb, &[]);
        assert!(status.success(), "{when}: {verb} ends with {status}");
        trace
    }

    /// Every file with its inode: what is given back is the very same file.
    fn picture(&self) -> BTreeMap<PathBuf, (u32, u64, Vec<u8>)> {
        fn walk(dir: &Path, all: &mut BTreeMap<PathBuf, (u32, u64, Vec<u8>)>) {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let meta = path.symlink_metadata().unwrap();
                let content = if meta.is_symlink() {
                    fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
                } else if meta.is_dir() {
                    walk(&path, all);
                    Vec::new()
                } else {
                    fs::read(&path).unwrap()
                };
                let inode = if meta.is_dir() { 0 } else { meta.ino() };
                all.insert(path, (meta.mode(), inode, content));
            }
        }
        let mut all = BTreeMap::new();
        walk(&self.root(), &mut all);
        all
    }

    /// At any moment the runtime and the kernel find whole files: the old or the new.
    fn assert_usable(&self, when: &str) {
        let conflist = self.root().join("etc/cni/net.d/00-llano.conflist");
        if let Ok(text) = fs::read_to_string(&conflist) {
            assert!(
                text.contains("\"clusterNetwork\":\"/etc/cni/net.d/10-flannel.conflist\""),
                "{when}: {text}"
            );
            let plugin = fs::read(self.root().join("opt/cni/bin/llano")).unwrap_or_default();
            assert!(
                plugin == fs::read("/bin/true").unwrap(),
                "{when}: the configuration calls what is not there"
            );
        }
        let macvlan = fs::read(self.root().join("opt/cni/bin/macvlan")).unwrap();
        let theirs = macvlan == b"the reference's macvlan";
        assert!(theirs || macvlan == fs::read("/bin/true").unwrap(), "{when}: macvlan is neither");
    }
}

/// The calls that change something, and one of each pair between them.
fn walked(trace: &str) -> Vec<Call> {
    let changing = [
        "rename",
        "link",
        "unlink",
        "mkdir",
        "rmdir",
        "write",
        "fsync",
        "fchmod",
        "symlink",
        "ftruncate",
        "open",
    ];
    let all = calls(trace);
    let first = all.iter().position(|call| call.name == "flock").expect("it takes the lock");
    let walked: Vec<Call> = all[first.saturating_sub(5)..]
        .iter()
        .filter(|call| changing.iter().any(|name| call.name.starts_with(name)))
        .cloned()
        .collect();
    assert!(walked.len() > 40, "{} calls are not the whole of it", walked.len());
    walked
}

#[test]
fn install_killed_at_every_call_is_finished_by_the_next() {
    let node = Node::new();
    let before = node.picture();
    let calls = walked(&node.ok("install", "at first"));
    node.ok("uninstall", "at first");
    assert_eq!(node.picture(), before);
    let mut killed = 0;
    for (at, call) in calls.iter().enumerate() {
        let (status, trace) = node.run("install", &call.inject());
        killed += usize::from(call.killed(status, &trace));
        let when = format!("install killed at {call}");
        node.assert_usable(&when);
        // Every other time it is given back from where it stands, else finished first.
        if at % 2 == 0 {
            node.ok("install", &when);
            assert!(node.root().join("etc/cni/net.d/00-llano.conflist").exists(), "{when}");
        }
        node.ok("uninstall", &when);
        assert_eq!(node.picture(), before, "{when}");
    }
    assert_eq!(killed, calls.len(), "each of them is reached");
}

#[test]
fn uninstall_killed_at_every_call_is_finished_by_the_next() {
    let node = Node::new();
    let before = node.picture();
    node.ok("install", "at first");
    let calls = walked(&node.ok("uninstall", "at first"));
    for (at, call) in calls.iter().enumerate() {
        node.ok("install", "anew");
        let (status, trace) = node.run("uninstall", &call.inject());
        assert!(call.killed(status, &trace), "{call} is reached");
        let when = format!("uninstall killed at {call}");
        node.assert_usable(&when);
        // Every other time it is installed again first.
        if at % 2 == 1 {
            node.ok("install", &when);
        }
        node.ok("uninstall", &when);
        assert_eq!(node.picture(), before, "{when}");
    }
}
