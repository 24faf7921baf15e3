//! Files outside our own directories: what was there before we wrote is kept, so that it can be given back.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::keep::durable;
use crate::{Error, Result};

/// What a path held before we wrote to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The path.
    pub path: PathBuf,
    /// What was there.
    pub before: Before,
}

/// What can be at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Before {
    /// Nothing.
    Nothing,
    /// A file with this text and mode.
    File {
        /// Its text.
        text: String,
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link to here.
    Link(PathBuf),
}

/// What is to be at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A file with this text.
    Text(String),
    /// A symbolic link to here.
    Link(PathBuf),
}

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub content: Content,
}

impl File {
    /// A file of this text.
    pub fn text(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { path: path.into(), content: Content::Text(text.into()) }
    }

    /// A symbolic link.
    pub fn link(path: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), content: Content::Link(to.into()) }
    }

    /// What is at its path now.
    ///
    /// # Errors
    /// When it cannot be read, is no text, or is neither file nor symbolic link.
    pub fn look(&self) -> Result<Replaced> {
        Ok(Replaced { path: self.path.clone(), before: Before::at(&self.path)? })
    }

    /// Whether its path holds it already.
    pub fn is_there(&self) -> bool {
        match (&self.content, Before::at(&self.path)) {
            (Content::Text(wanted), Ok(Before::File { text, .. })) => *wanted == text,
            (Content::Link(wanted), Ok(Before::Link(to))) => *wanted == to,
            _ => false,
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self) -> Result<()> {
        match &self.content {
            Content::Text(text) => durable::write(&self.path, text.as_bytes()),
            Content::Link(to) => durable::link(&self.path, to),
        }
    }
}

impl Before {
    fn at(path: &Path) -> Result<Self> {
        let failed = |error| Error::file("read", path, error);
        let meta = match path.symlink_metadata() {
            Ok(meta) => meta,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::Nothing),
            Err(error) => return Err(failed(error)),
        };
        if meta.is_symlink() {
            return std::fs::read_link(path).map(Self::Link).map_err(failed);
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        Ok(Self::File { text, mode: meta.permissions().mode() & 0o7777 })
    }
}

impl Replaced {
    /// Puts back what was there.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn put_back(&self) -> Result<()> {
        match &self.before {
            Before::Nothing => durable::remove(&self.path),
            Before::File { text, mode } => durable::write_as(&self.path, text.as_bytes(), Some(*mode)),
            Before::Link(to) => durable::link(&self.path, to),
        }
    }
}
