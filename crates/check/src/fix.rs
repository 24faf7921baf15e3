//! What `--fix` does: only what is safe while the host is in use, twice as good as once, and with its undo.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::ser::SerializeStruct;

use crate::error::{Error, Result};

/// The drop-in that keeps settings over a reboot.
pub const SYSCTL_FILE: &str = "/etc/sysctl.d/90-llano.conf";

/// The drop-in that loads modules at boot. Another than that of `llano host enable`, which writes its own whole.
pub const MODULES_FILE: &str = "/etc/modules-load.d/llano-check.conf";

/// What repairs one finding.
#[derive(Clone, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct Fix {
    /// In order.
    pub actions: Vec<Action>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Set a kernel setting now, and in [`SYSCTL_FILE`].
    Sysctl {
        /// Below /proc/sys, with slashes.
        key: String,
        /// What it was.
        before: String,
        /// What it becomes.
        value: String,
    },
    /// Load a module now, and at boot by [`MODULES_FILE`].
    Module {
        /// Its name.
        name: &'static str,
    },
    /// Make a program executable.
    Executable {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        before: u32,
    },
    /// Make a directory.
    Directory {
        /// Its path.
        path: PathBuf,
    },
    /// Turn all swap off. Done only when asked for by name: a machine short of memory may not survive it.
    SwapOff,
}

impl Fix {
    pub(crate) fn sysctl(
        key: impl Into<String>,
        before: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        Self::one(Action::Sysctl { key: key.into(), before: before.into(), value: value.into() })
    }

    pub(crate) fn one(action: Action) -> Self {
        Self { actions: vec![action] }
    }
}

impl Action {
    /// What it does, as a shell would.
    #[must_use]
    pub fn command(&self) -> String {
        match self {
            Self::Sysctl { key, value, .. } => {
                format!("echo {value:?} > /proc/sys/{key}, and in {SYSCTL_FILE}")
            }
            Self::Module { name } => format!("modprobe {name}, and in {MODULES_FILE}"),
            Self::Executable { path, before } => format!("chmod {:o} {}", before | 0o111, path.display()),
            Self::Directory { path } => format!("mkdir -p {}", path.display()),
            Self::SwapOff => "swapoff -a".to_owned(),
        }
    }

    /// How it is undone.
    #[must_use]
    pub fn undo(&self) -> String {
        match self {
            Self::Sysctl { key, before, .. } => {
                format!("remove the line {key} from {SYSCTL_FILE}; echo {before:?} > /proc/sys/{key}")
            }
            Self::Module { name } => {
                format!("remove the line {name} from {MODULES_FILE}; modprobe -r {name}")
            }
            Self::Executable { path, before } => format!("chmod {before:o} {}", path.display()),
            Self::Directory { path } => format!("rmdir {}", path.display()),
            Self::SwapOff => "swapon -a".to_owned(),
        }
    }

    /// Whether it is done only when asked for by name.
    #[must_use]
    pub fn needs_word(&self) -> bool {
        matches!(self, Self::SwapOff)
    }

    /// Does it. What is done already stays so.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn apply(&self) -> Result<()> {
        match self {
            Self::Sysctl { key, value, .. } => {
                kernel::sysctl::write(key, value)?;
                let path = Path::new(SYSCTL_FILE);
                replace(path, &with_setting(&read(path)?, key, value))
            }
            Self::Module { name } => {
                run("modprobe", &[name])?;
                let path = Path::new(MODULES_FILE);
                replace(path, &with_module(&read(path)?, name))
            }
            Self::Executable { path, before } => {
                fs::set_permissions(path, fs::Permissions::from_mode(before | 0o111))
                    .map_err(Error::file("make executable", path))
            }
            Self::Directory { path } => fs::create_dir_all(path).map_err(Error::file("create", path)),
            Self::SwapOff => run("swapoff", &["-a"]),
        }
    }
}

impl serde::Serialize for Action {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Action", 3)?;
        out.serialize_field("command", &self.command())?;
        out.serialize_field("undo", &self.undo())?;
        out.serialize_field("needsWord", &self.needs_word())?;
        out.end()
    }
}

/// The first line of a new drop-in.
const HEAD: &str = "# Written by `llano check --fix`.";

/// The drop-in with this setting: its line replaced, or put at the end. sysctl.d takes slashes as they are, which an
/// interface's name with a dot needs.
fn with_setting(old: &str, key: &str, value: &str) -> String {
    let line = format!("{key} = {value}");
    let mut done = false;
    let mut lines: Vec<&str> = Vec::new();
    for old in old.lines() {
        let same = old.split_once('=').is_some_and(|(name, _)| name.trim() == key);
        if !same {
            lines.push(old);
        } else if !done {
            lines.push(&line);
            done = true;
        }
    }
    if lines.is_empty() {
        lines.push(HEAD);
    }
    if !done {
        lines.push(&line);
    }
    lines.join("\n") + "\n"
}

/// The drop-in with this module on a line of its own.
fn with_module(old: &str, name: &str) -> String {
    let mut lines: Vec<&str> = old.lines().collect();
    if lines.is_empty() {
        lines.push(HEAD);
    }
    if !lines.iter().any(|line| line.trim() == name) {
        lines.push(name);
    }
    lines.join("\n") + "\n"
}

/// A file's text, empty when there is none.
fn read(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

/// A file is whole or as it was.
fn replace(path: &Path, text: &str) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
    durable::write(path, text.as_bytes(), None).map_err(Error::file("write", path))
}

fn run(program: &str, args: &[&str]) -> Result<()> {
    let failed = |reason: String| Error::Program { program: program.to_owned(), reason };
    let output = Command::new(program).args(args).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_there_once() {
        let once = with_module("", "8021q");
        assert_eq!(once, format!("{HEAD}\n8021q\n"));
        assert_eq!(with_module(&once, "8021q"), once);
        assert_eq!(with_module("# bonding\nbond", "bonding"), "# bonding\nbond\nbonding\n");
    }

    proptest::proptest! {
        #[test]
        fn a_setting_is_there_once_and_others_stay(old in "([a-c] ?= ?[0-9]\n|# [a-c]\n|\n){0,6}", key in "[a-c]", value in "[0-9]") {
            let once = with_setting(&old, &key, &value);
            proptest::prop_assert_eq!(&with_setting(&once, &key, &value), &once);
            let of = |text: &str, name: &str| -> Vec<String> {
                let settings = text.lines().filter_map(|line| line.split_once('='));
                settings.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned()).collect()
            };
            proptest::prop_assert_eq!(of(&once, &key), vec![value]);
            for other in ["a", "b", "c"].into_iter().filter(|other| *other != key) {
                proptest::prop_assert_eq!(of(&once, other), of(&old, other));
            }
        }
    }
}
