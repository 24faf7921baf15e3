//! The cgroups of a lab's containers. The machine has but one tree of them, so each lab has its own directory there.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::GRAIN;

const TREE: &str = "/sys/fs/cgroup";
/// How long the kernel may need to let go of killed processes.
const PATIENCE: Duration = Duration::from_secs(3);

/// The directory of a lab, below the root of the tree (of each controller's tree in version 1).
pub(crate) fn of(lab: &str) -> String {
    format!("llano-lab-{lab}")
}

/// Removes what a lab's containers left, when their processes are gone.
pub(crate) fn remove(lab: &str) {
    remove_below(&of(lab));
}

/// As [`remove`], for a path below the root of the tree.
pub(crate) fn remove_below(path: &str) {
    let name = path.trim_start_matches('/');
    let controllers = fs::read_dir(TREE).into_iter().flatten().flatten().map(|entry| entry.path());
    for dir in controllers.map(|tree| tree.join(name)).chain([Path::new(TREE).join(name)]) {
        let end = Instant::now() + PATIENCE;
        // The kernel takes a killed process out of its cgroup a moment after it is gone.
        while dir.is_dir() && !remove_tree(&dir) && Instant::now() < end {
            std::thread::sleep(GRAIN);
        }
    }
}

/// Only directories can be removed there; the files in them go with them.
fn remove_tree(dir: &Path) -> bool {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    fs::remove_dir(dir).is_ok()
}
