//! Where tools are looked for: a root directory, and the processes of this network namespace.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A process that may configure interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its number.
    pub pid: u32,
    /// `/proc/PID/comm`, at most 15 bytes.
    pub name: String,
    /// Its command line.
    pub arguments: Vec<String>,
}

/// What is looked at.
#[derive(Clone, Debug)]
pub struct View {
    /// Before every path.
    pub root: PathBuf,
    /// Processes of this network namespace with a name out of [`NAMES`].
    pub running: Vec<Running>,
}

/// Processes that matter.
pub(super) const NAMES: [&str; 5] = ["NetworkManager", "systemd-network", "dhclient", "dhcpcd", "udhcpc"];

impl View {
    /// This host.
    pub fn of_this_host() -> Self {
        Self { root: PathBuf::from("/"), running: running() }
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The path as it is on the host itself.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        Path::new("/").join(path.strip_prefix(&self.root).unwrap_or(path))
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// A file's text; what is no text is read as well as it goes.
    pub(super) fn read(&self, path: &Path) -> Option<String> {
        // Configuration is short; a device or a log that someone linked there is not read to its end.
        use std::io::Read;
        let mut bytes = Vec::new();
        std::fs::File::open(path).ok()?.take(1 << 20).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Files with this ending in these directories, by file name; the first directory that has a name counts.
    pub(super) fn files(&self, dirs: &[&str], ending: &str) -> Vec<PathBuf> {
        let mut files = std::collections::BTreeMap::new();
        for dir in dirs {
            for entry in std::fs::read_dir(self.path(dir)).into_iter().flatten().flatten() {
                if entry.file_name().to_str().is_some_and(|name| name.ends_with(ending)) {
                    files.entry(entry.file_name()).or_insert_with(|| entry.path());
                }
            }
        }
        files.into_values().collect()
    }

    pub(super) fn runs(&self, name: &str) -> bool {
        self.running.iter().any(|process| process.name == name)
    }

    /// Whether systemd starts this unit at boot.
    pub(super) fn is_enabled(&self, unit: &str) -> bool {
        ["multi-user.target.wants", "network-online.target.wants", "sysinit.target.wants"]
            .iter()
            .any(|dir| self.exists(&format!("etc/systemd/system/{dir}/{unit}")))
    }
}

/// Processes of the calling thread's network namespace: another host of a lab, or a container, has its own.
fn running() -> Vec<Running> {
    let id = |path: &Path| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    let Some(own) = id(Path::new("/proc/thread-self/ns/net")) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let dir = entry.path();
        let Ok(name) = std::fs::read_to_string(dir.join("comm")) else { continue };
        let name = name.trim_end().to_owned();
        if !NAMES.contains(&name.as_str()) || id(&dir.join("ns/net")) != Some(own) {
            continue;
        }
        let line = std::fs::read(dir.join("cmdline")).unwrap_or_default();
        let arguments = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        found.push(Running { pid, name, arguments: arguments.filter(|word| !word.is_empty()).collect() });
    }
    found
}
