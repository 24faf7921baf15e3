//! Which files of others we have written, with what was there before: `files.json`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::files::{File, Replaced};
use crate::keep::{Places, write_durably};
use crate::{Error, Result};

/// Version of the file's format.
const VERSION: u32 = 1;

/// What was there before we wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    /// In the order in which they were written.
    pub replaced: Vec<Replaced>,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { version: VERSION, replaced: Vec::new() }
    }
}

impl Manifest {
    /// Reads it; empty when there is none.
    ///
    /// # Errors
    /// [`Error::Record`] when it is no whole record of a version that we know.
    pub fn read(places: &Places) -> Result<Self> {
        let path = places.files();
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::file("read", &path, error)),
        };
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| Error::record(&path, &error))?;
        if manifest.version == VERSION {
            Ok(manifest)
        } else {
            let reason = format!("version {}, and this program knows {VERSION}", manifest.version);
            Err(Error::record(&path, &reason))
        }
    }

    /// Whether we wrote this path.
    pub fn has(&self, path: &std::path::Path) -> bool {
        self.replaced.iter().any(|replaced| replaced.path == path)
    }

    /// Writes files, each noted before it is written; those that are there already are left alone. Which were written.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&mut self, places: &Places, files: &[File]) -> Result<Vec<PathBuf>> {
        let mut written = Vec::new();
        for file in files.iter().filter(|file| !file.is_there()) {
            if !self.has(&file.path) {
                self.replaced.push(file.look()?);
                self.save(places)?;
            }
            file.write()?;
            written.push(file.path.clone());
        }
        Ok(written)
    }

    /// Notes what was replaced, before or after somebody else writes it; what is noted already stays as first noted.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn note(&mut self, places: &Places, replaced: &[Replaced]) -> Result<()> {
        let new: Vec<_> = replaced.iter().filter(|new| !self.has(&new.path)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        self.replaced.extend(new);
        self.save(places)
    }

    /// Puts everything back, the last first. Which paths.
    ///
    /// # Errors
    /// When the file system refuses; what was put back until then is forgotten.
    pub fn put_back(&mut self, places: &Places) -> Result<Vec<PathBuf>> {
        let mut done = Vec::new();
        while let Some(last) = self.replaced.last() {
            last.put_back()?;
            done.push(last.path.clone());
            self.replaced.pop();
            self.save(places)?;
        }
        Ok(done)
    }

    fn save(&self, places: &Places) -> Result<()> {
        let path = places.files();
        if self.replaced.is_empty() {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::file("remove", &path, error))
                }
                _ => Ok(()),
            };
        }
        let text = serde_json::to_vec_pretty(self).map_err(|error| Error::record(&path, &error))?;
        write_durably(&path, &text)
    }
}
