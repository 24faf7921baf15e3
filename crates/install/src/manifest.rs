//! What was there before us, and what we wrote: `/var/lib/llano/install/manifest.json`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Places, Result, durable};

/// Version of the file's format.
const VERSION: u32 = 1;
/// How many contents of one path are remembered: the one that is there and the one that replaces it.
const REMEMBERED: usize = 2;

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    /// Directories that were not there, parents first.
    pub made: Vec<PathBuf>,
    /// Files and links, in the order in which they were first written.
    pub entries: Vec<Entry>,
}

/// One path of the node that we wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The path on the node.
    pub path: PathBuf,
    /// What was there.
    pub before: Before,
    /// What we wrote, the newest last: whatever else is found there is somebody else's.
    pub wrote: Vec<Wrote>,
}

/// What a path held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Before {
    /// Nothing.
    Nothing,
    /// Something that is kept, as it was, in [`Entry::kept`].
    Kept,
}

/// By what our content is recognized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrote {
    /// A file's hash.
    File {
        /// In hexadecimal.
        sha256: String,
    },
    /// A link's target.
    Link {
        /// As it stands in the link.
        to: PathBuf,
    },
}

impl Default for Manifest {
    fn default() -> Self {
        Manifest { version: VERSION, made: Vec::new(), entries: Vec::new() }
    }
}

impl Entry {
    /// Where what was there is kept: in the same file system, so that it comes back by renaming and is the very same file.
    pub fn kept(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default();
        self.path.with_file_name(KEPT).join(name)
    }
}

/// The directory for what is kept, beside it. Neither a runtime nor a plugin looks into it.
const KEPT: &str = ".llano-kept";

impl Manifest {
    /// Reads it; empty when there is none.
    ///
    /// # Errors
    /// [`Error::Manifest`] when it is not whole or of another version.
    pub fn read(places: &Places) -> Result<Manifest> {
        let path = places.manifest();
        let Some(text) = durable::read(&path)? else { return Ok(Manifest::default()) };
        let bad = |reason: String| Error::Manifest { path: path.clone(), reason };
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        match manifest.version {
            VERSION => Ok(manifest),
            other => Err(bad(format!("version {other}, and this program knows {VERSION}"))),
        }
    }

    /// Whether nothing is installed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.made.is_empty()
    }

    /// What is noted of a path.
    pub fn entry(&self, path: &Path) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    /// Notes a path and what is about to be written there.
    pub(crate) fn note(&mut self, path: &Path, before: Before, mark: Wrote) {
        match self.entries.iter_mut().find(|entry| entry.path == path) {
            None => {
                self.entries.push(Entry { path: path.to_owned(), before, wrote: vec![mark] });
            }
            Some(entry) => {
                entry.before = before;
                entry.wrote.retain(|old| *old != mark);
                entry.wrote.push(mark);
                let surplus = entry.wrote.len().saturating_sub(REMEMBERED);
                entry.wrote.drain(..surplus);
            }
        }
    }

    /// Writes it, durable; its directory is there.
    pub(crate) fn save(&self, places: &Places) -> Result<()> {
        let path = places.manifest();
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::Manifest { path: path.clone(), reason: error.to_string() })?;
        durable::write(&path, &text, 0o600)
    }
}
