//! What is at a path, or is to be.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::manifest::Wrote;
use crate::{Error, Result, durable};

/// What is to be at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// A file.
    File { bytes: Vec<u8>, mode: u32 },
    /// A symbolic link.
    Link(PathBuf),
}

/// What is at a path, as far as it can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum There {
    /// Nothing.
    Nothing,
    /// A file or a link, with the file's permission bits.
    Something { what: Wrote, mode: Option<u32> },
}

impl Content {
    /// How it is recognized later.
    pub(crate) fn mark(&self) -> Wrote {
        match self {
            Content::File { bytes, .. } => Wrote::File { sha256: sha256(bytes) },
            Content::Link(to) => Wrote::Link { to: to.clone() },
        }
    }

    /// Whether it is there already.
    pub(crate) fn is(&self, there: &There) -> bool {
        let wanted = match self {
            Content::File { mode, .. } => Some(*mode),
            Content::Link(_) => None,
        };
        matches!(there, There::Something { what, mode } if *what == self.mark() && *mode == wanted)
    }

    /// Puts it at a path, in place of what is there.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        match self {
            Content::File { bytes, mode } => durable::write(path, bytes, *mode),
            Content::Link(to) => durable::link(path, to),
        }
    }
}

impl There {
    /// Looks at a path.
    ///
    /// # Errors
    /// [`Error::InTheWay`] for what is neither file nor link.
    pub(crate) fn look(path: &Path) -> Result<There> {
        let meta = match path.symlink_metadata() {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(There::Nothing),
            Err(error) => return Err(Error::file("read", path)(error)),
        };
        if meta.is_symlink() {
            let to = std::fs::read_link(path).map_err(Error::file("read", path))?;
            return Ok(There::Something { what: Wrote::Link { to }, mode: None });
        }
        if !meta.is_file() {
            let what = if meta.is_dir() { "a directory" } else { "a device, pipe or socket" };
            return Err(Error::InTheWay { path: path.to_owned(), what });
        }
        let mode = Some(meta.permissions().mode() & 0o7777);
        // Too long to be ours: there is no need to know what it is.
        let bytes = if meta.len() > durable::LONGEST { None } else { durable::read(path)? };
        let sha256 = bytes.map_or_else(|| format!("{} bytes", meta.len()), |bytes| sha256(&bytes));
        Ok(There::Something { what: Wrote::File { sha256 }, mode })
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
