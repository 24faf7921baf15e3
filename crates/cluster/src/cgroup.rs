//! The cgroups below which a node's pods are. The machine has but one tree of them, so each node has a directory there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const TREE: &str = "/sys/fs/cgroup";

/// Makes a path of cgroups, in every controller's tree of version 1, or in the one tree of version 2.
pub(crate) fn make(path: &str) -> Result<()> {
    let tree = Path::new(TREE);
    if tree.join("cgroup.controllers").is_file() {
        return unified(tree, path);
    }
    let entries = fs::read_dir(tree).map_err(|error| Error::io("read", TREE, error))?.flatten();
    for tree in entries.map(|entry| entry.path()).filter(|tree| tree.is_dir() && !tree.is_symlink()) {
        let mut parent = tree;
        for name in parts(path) {
            let dir = parent.join(name);
            create(&dir)?;
            // A new cpuset is empty, and no process can be put into it.
            for key in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(value) = fs::read_to_string(parent.join(key))
                    && !value.trim().is_empty()
                {
                    write(&dir.join(key), value.trim())?;
                }
            }
            parent = dir;
        }
    }
    Ok(())
}

/// Version 2: what a cgroup hands on to its children is written down in it.
fn unified(tree: &Path, path: &str) -> Result<()> {
    let mut dir = tree.to_owned();
    for name in parts(path) {
        let controllers = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
        for controller in controllers.split_ascii_whitespace() {
            // One that is bound to version 1, or cannot be handed on, is refused: pods do without it.
            let _ = fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        dir.push(name);
        create(&dir)?;
    }
    Ok(())
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

fn create(dir: &PathBuf) -> Result<()> {
    fs::create_dir_all(dir).map_err(|error| Error::io("create", dir.display(), error))
}

fn write(file: &Path, value: &str) -> Result<()> {
    fs::write(file, value).map_err(|error| Error::io("write", file.display(), error))
}
