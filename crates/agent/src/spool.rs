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

#[cfg(test)]
mod tests {
    use cni::forward::encode_request_body;
    use proptest::prelude::*;

    use super::*;

    fn body() -> impl Strategy<Value = Vec<u8>> {
        let call = ("(ADD|DEL|CHECK|X)", "[a-z./]{0,8}", "[a-z0-9/]{0,17}", "(llano|\\.\\.)").prop_map(|(verb, id, ifname, name)| {
            format!(
                r#"{{"verb":"{verb}","containerID":"{id}","ifname":"{ifname}","netns":"/n","path":"/opt/cni/bin","config":{{"cniVersion":"1.0.0","name":"{name}","type":"llano"}}}}"#
            )
            .into_bytes()
        });
        prop_oneof![3 => call, 1 => proptest::collection::vec(any::<u8>(), 0..64)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is in the files: what is taken is a deletion of something with a name and survives its text, everything else is
        /// put aside once.
        #[test]
        fn only_deletions_are_taken(bodies in proptest::collection::vec(body(), 0..6)) {
            let dir = tempfile::tempdir().unwrap();
            for (number, body) in bodies.iter().enumerate() {
                std::fs::write(dir.path().join(format!("{number}.json")), body).unwrap();
            }
            let found = read(dir.path()).unwrap();
            for Spooled { request, .. } in &found {
                prop_assert_eq!(request.env.verb, Verb::Del);
                prop_assert!(!request.env.container_id.is_empty() && !request.env.container_id.contains('/'));
                prop_assert!(!request.env.ifname.contains('/') && request.name == "llano");
                let again = parse_call(encode_request_body(request).unwrap().as_bytes()).unwrap();
                prop_assert_eq!((&again.env, &again.conf), (&request.env, &request.conf));
            }
            let aside = std::fs::read_dir(dir.path()).unwrap().flatten();
            let aside = aside.filter(|entry| entry.path().extension().is_some_and(|end| end == "damaged")).count();
            prop_assert_eq!(found.len() + aside, bodies.len());
            prop_assert_eq!(read(dir.path()).unwrap().len(), found.len());
        }
    }
}
