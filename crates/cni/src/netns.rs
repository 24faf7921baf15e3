//! The guard against working on the plugin's own network namespace.

use std::path::Path;

/// Whether `path` is the network namespace this thread is in. A path that cannot be opened is not:
/// what to do about a missing namespace is the verb's business.
pub(crate) fn is_own(path: &Path) -> bool {
    let identity = |path: &Path| rustix::fs::stat(path).ok().map(|stat| (stat.st_dev, stat.st_ino));
    match (identity(path), identity(Path::new("/proc/thread-self/ns/net"))) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => false,
    }
}
