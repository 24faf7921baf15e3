//! Proof that a test left nothing in the machine's own namespaces.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kernel::{NetNs, Netlink, RouteFilter};

/// What the machine's own namespaces held at one moment: links with addresses and routes, mounts, and the directories
/// that plugins and labs write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeakCheck {
    seen: BTreeSet<String>,
}

/// What a plugin, a lab or a daemon of ours would write, were it not in a lab.
const DIRECTORIES: [&str; 8] = [
    "/etc/llano",
    "/run/netns",
    "/run/llano",
    "/run/my-orchestrator",
    "/etc/cni",
    "/opt/cni",
    "/var/lib/cni",
    "/var/lib/llano",
];

impl LeakCheck {
    /// Looks at the machine now.
    ///
    /// # Panics
    /// When the machine cannot be looked at.
    pub fn begin() -> Self {
        crate::require_root();
        LeakCheck { seen: look() }
    }

    /// Compares with the machine now.
    ///
    /// Other tests may have their labs up meanwhile, so labs themselves do not count here: `tests/lab.rs` looks at them.
    ///
    /// # Panics
    /// When something is new or gone.
    pub fn assert_clean(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = look();
            let new: Vec<_> = now.difference(&self.seen).collect();
            // What another program put into a directory, it may take away again.
            let gone: Vec<_> = self.seen.difference(&now).filter(|item| is_of_network(item)).collect();
            if new.is_empty() && gone.is_empty() {
                return;
            }
            let late = Instant::now() > end;
            assert!(!late, "left on the machine: {new:#?}\ntaken from the machine: {gone:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The kernel frees a namespace some time after its last user is gone, and other programs on the machine make and
/// remove namespaces of their own.
const PATIENCE: Duration = Duration::from_secs(3);

fn is_of_network(item: &str) -> bool {
    ["link ", "address ", "route "].iter().any(|kind| item.starts_with(kind))
}

fn look() -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    // The world this program was started in is its parent's: a thread's own may be a lab's by now.
    let parent = PathBuf::from(format!("/proc/{}", std::os::unix::process::parent_id()));
    let net = NetNs::open(&parent.join("ns/net")).or_else(|_| NetNs::current()).unwrap();
    let mut netlink = Netlink::open_in(&net).unwrap();
    for link in netlink.links().unwrap() {
        seen.insert(format!(
            "link {} {:?} master {:?} up {}",
            link.name,
            link.mac,
            link.master,
            link.is_up()
        ));
    }
    for address in netlink.addresses(None).unwrap() {
        seen.insert(format!("address {} on {}", address.net, address.index));
    }
    for route in netlink.routes(&RouteFilter::default()).unwrap() {
        seen.insert(format!(
            "route {:?} via {:?} dev {:?} table {}",
            route.dst, route.gateway, route.oif, route.table
        ));
    }
    for mount in std::fs::read_to_string(parent.join("mountinfo")).unwrap_or_default().lines() {
        let point = mount.split(' ').nth(4).unwrap_or_default();
        if !point.starts_with("/run/llano-lab/") {
            seen.insert(format!("mount {point}"));
        }
    }
    for directory in DIRECTORIES {
        files(Path::new(directory), &mut seen);
    }
    seen
}

fn files(path: &Path, seen: &mut BTreeSet<String>) {
    if path.symlink_metadata().is_ok() {
        seen.insert(format!("file {}", path.display()));
    }
    if !path.is_symlink() {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            files(&entry.path(), seen);
        }
    }
}
