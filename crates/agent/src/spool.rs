//! DELs that no agent could take: one file each, in the form in which the plugin would have sent it.

use std::fs;
use std::path::{Path, PathBuf};

use cni::forward::parse_call;
use cni::{Request, Verb};

use crate::{Error, Result};

/// A spooled DEL.
#[derive(Debug)]
pub struct Spooled {
    /// Its file, to be removed by [`Spooled::done`] once the deletion is in the store.
    path: PathBuf,
    /// The call.
    pub request: Request,
}

impl Spooled {
    /// Removes the file; that it is gone already is no error.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn done(self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file("remove", self.path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// The DELs in the directory, by their files' names; none when there is no directory. A file with another end than `.json` is
/// being written, or was by a plugin that was killed. One that cannot be read is kept under another name, and logged: what
/// it meant is found again when the store is compared with the runtime.
///
/// # Errors
/// The directory cannot be read.
pub fn read(dir: &Path) -> Result<Vec<Spooled>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("read", dir)(error)),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let call = fs::read(&path).map_err(|error| error.to_string());
        match call.and_then(|body| parse_call(&body).map_err(|error| error.to_string())) {
            Ok(request) if request.env.verb == Verb::Del => found.push(Spooled { path, request }),
            other => {
                let reason = match other {
                    Ok(request) => format!("it is no DEL but {}", request.env.verb.as_str()),
                    Err(error) => error,
                };
                tracing::warn!(path = %path.display(), reason, "spooled call cannot be used, put aside");
                let _ = fs::rename(&path, path.with_extension("damaged"));
            }
        }
    }
    Ok(found)
}
