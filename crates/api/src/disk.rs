//! Configurations in a directory of the node: those of definitions without one of their own, and the cluster network's.
//! A name asked for is compared with the `name` in the files, and never becomes a path.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::PluginConfig;
use crate::{Error, LONGEST_CONFIG, NetConfig, Result};

/// The configuration named `name` of the directory: of its `.conf`, `.json` and `.conflist` files in the order of their
/// names the first whose `name` is it. A file that cannot be read stands in no other's way; when none fits, the error
/// tells of it. Differs: in Multus a broken file hides every file after it.
///
/// # Errors
/// [`Error::Configuration`].
pub fn by_name(dir: &Path, name: &str) -> Result<NetConfig> {
    let mut broken = None;
    for path in files(dir, &["conf", "json", "conflist"])? {
        match file(&path) {
            Ok(config) if config.name() == name => return Ok(config),
            Ok(_) => {}
            Err(error) => broken = broken.or(Some(error)),
        }
    }
    let mut problem = format!("no file of {} has this name", dir.display());
    if let Some(error) = broken {
        problem.push_str("; ");
        problem.push_str(&error.to_string());
    }
    Err(Error::Configuration { origin: name.to_owned(), problem })
}

/// The first `.conf`, `.json` or `.conflist` file of the directory, in the order of their names, that `accept` takes by
/// its file name.
///
/// # Errors
/// [`Error::Configuration`] when there is none, or it cannot be read.
pub fn first(dir: &Path, accept: &dyn Fn(&str) -> bool) -> Result<NetConfig> {
    let files = files(dir, &["conf", "json", "conflist"])?;
    let accepted =
        files.iter().find(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(accept));
    match accepted {
        Some(path) => file(path),
        None => Err(problem(dir, "no .conf, .json or .conflist file")),
    }
}

/// One file. A list also takes the plugins of the directory beside it that has the list's name, as libcni does, unless it
/// says `loadOnlyInlinedPlugins`.
///
/// # Errors
/// [`Error::Configuration`].
pub fn file(path: &Path) -> Result<NetConfig> {
    let text = read(path)?;
    let mut config = NetConfig::parse(&text, None).map_err(|error| problem(path, &error))?;
    let is_list = path.extension().is_some_and(|extension| extension == "conflist");
    if is_list != config.is_list() {
        return Err(problem(path, "has a list in a .conf or .json file, or one plugin in a .conflist file"));
    }
    if is_list && !inlined_only(&text) {
        let chain = path.with_file_name(config.name());
        let mut plugins = Vec::new();
        for path in files(&chain, &["conf"])? {
            plugins.push(PluginConfig::parse(&read(&path)?).map_err(|error| problem(&path, &error))?);
        }
        config.extend(plugins);
    }
    Ok(config)
}

fn inlined_only(text: &str) -> bool {
    let value = cni::json::parse(text.as_bytes());
    let flag = value
        .as_ref()
        .ok()
        .and_then(|value| cni::json::Object::root(value).ok()?.bool("loadOnlyInlinedPlugins").ok()?);
    flag == Some(true)
}

/// The directory's files with one of these extensions, by name; none when there is no directory.
fn files(dir: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(problem(dir, &error)),
    };
    let fits = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| extensions.contains(&extension)) && path.is_file()
    };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(fits).collect();
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    let length = fs::metadata(path).map_err(|error| problem(path, &error))?.len();
    if length > LONGEST_CONFIG as u64 {
        return Err(problem(path, format!("has {length} bytes, at most {LONGEST_CONFIG} are allowed")));
    }
    fs::read_to_string(path).map_err(|error| problem(path, &error))
}

fn problem(path: &Path, problem: impl std::fmt::Display) -> Error {
    Error::Configuration { origin: path.display().to_string(), problem: problem.to_string() }
}
