//! How a node's installation stands, by its files alone.

use std::path::PathBuf;

use serde::Serialize;

use crate::choose::{Choice, choose};
use crate::conflist::CONFLIST;
use crate::content::There;
use crate::installation::{configurations, conflist_path, renamed_path};
use crate::{Manifest, Places, Result};

/// A node's installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether anything of ours is there.
    pub installed: bool,
    /// The files that we wrote.
    pub files: Vec<FileStatus>,
    /// The primary plugin's configuration; none when there is none to wrap.
    pub primary: Option<PathBuf>,
    /// The configuration that the runtime takes: the first of the directory.
    pub effective: Option<PathBuf>,
    /// What is not as it should be, and what to do.
    pub problems: Vec<String>,
}

/// A file that we wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileStatus {
    /// The path on the node.
    pub path: PathBuf,
    /// How it is.
    pub state: FileState,
    /// Whether something else was there, and comes back.
    pub keeps: bool,
}

/// How a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileState {
    /// As we wrote it.
    Ours,
    /// Somebody else has written there.
    Changed,
    /// Gone.
    Missing,
}

impl Status {
    /// Looks.
    ///
    /// # Errors
    /// [`crate::Error::Manifest`].
    pub fn read(places: &Places) -> Result<Status> {
        let manifest = Manifest::read(places)?;
        let mut files = Vec::new();
        for entry in &manifest.entries {
            let state = match There::look(&places.here(&entry.path))? {
                There::Nothing => FileState::Missing,
                There::Something { what, .. } if entry.wrote.contains(&what) => FileState::Ours,
                There::Something { .. } => FileState::Changed,
            };
            let keeps = places.here(&entry.kept()).symlink_metadata().is_ok();
            files.push(FileStatus { path: entry.path.clone(), state, keeps });
        }
        let found = configurations(places);
        let first = found.iter().map(|file| file.name.as_str()).min().map(|name| places.conf().join(name));
        let choice = choose(&found);
        let problems = problems(places, &files, first.as_ref(), &choice);
        let primary = match choice {
            Choice::Primary { file, .. } | Choice::Unusable { file, .. } => Some(places.conf().join(file)),
            Choice::None => None,
        };
        Ok(Status { installed: !manifest.entries.is_empty(), files, primary, effective: first, problems })
    }
}

fn problems(places: &Places, files: &[FileStatus], first: Option<&PathBuf>, choice: &Choice) -> Vec<String> {
    let mut all = Vec::new();
    if files.is_empty() {
        return all;
    }
    let conflist = conflist_path(places);
    for file in files.iter().filter(|file| file.state != FileState::Ours && file.path != conflist) {
        let what =
            if file.state == FileState::Missing { "is gone" } else { "was replaced by another program" };
        all.push(format!("{} {what}: install again", file.path.display()));
    }
    if let Choice::Unusable { file, reason } = choice {
        all.push(format!("{}: {reason}", places.conf().join(file).display()));
    }
    if places.here(&renamed_path(&conflist)).exists() {
        let renamed = renamed_path(&conflist);
        all.push(format!("{}: Cilium has renamed it; set cni.exclusive=false", renamed.display()));
    }
    let ours = files.iter().any(|file| file.path == conflist && file.state == FileState::Ours);
    match first {
        Some(first) if ours && *first != conflist => {
            all.push(format!("{} sorts before {CONFLIST}, and the runtime takes it", first.display()));
        }
        _ if !ours => {
            let why = match choice {
                Choice::None => "there is no configuration of a primary plugin to wrap yet",
                _ => "the agent writes it when it runs",
            };
            all.push(format!("{} is not in place: {why}", conflist.display()));
        }
        _ => {}
    }
    all
}
