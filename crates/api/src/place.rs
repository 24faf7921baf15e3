//! Where a definition may let plugins keep files. Whoever may write definitions is not the node's administrator, and the plugins are
//! root on every node: a directory of theirs is made, written in and emptied.

use std::path::{Component, Path, PathBuf};

use crate::NetConfig;
use crate::config::Problem;

/// The directories of CNI.
const CNI: [&str; 3] = ["/var/lib/cni", "/run/cni", "/var/run/cni"];

/// Refuses a `dataDir`, a plugin's own or of its `ipam`, that is neither in CNI's directories nor in these.
pub(crate) fn check(config: &NetConfig, more: &[PathBuf]) -> Result<(), Problem> {
    for plugin in config.plugins() {
        let root = plugin.root();
        let own = root.text("dataDir");
        let ipam = root.object("ipam").and_then(|ipam| match ipam {
            Some(ipam) => ipam.text("dataDir"),
            None => Ok(None),
        });
        for (key, found) in [("dataDir", own), ("ipam.dataDir", ipam)] {
            let Some(dir) = found.map_err(|error| error.to_string())? else { continue };
            let path = Path::new(dir);
            let plain =
                path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
            let allowed = CNI.iter().map(Path::new).chain(more.iter().map(PathBuf::as_path));
            if !plain || !allowed.into_iter().any(|allowed| path.starts_with(allowed)) {
                return Err(format!(
                    "{key}: {:?}, expected a directory in {}; the administrator can add others to dataDirs",
                    crate::error::shorten(dir),
                    CNI.join(", ")
                ));
            }
        }
    }
    Ok(())
}
