//! What DEL puts back: a small file per attachment, in the reference plugin's format, so that either plugin may
//! restore what the other changed.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use cni::json::{self, Object, Value};
use kernel::{Link, MacAddr, SetLink};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::config::Wanted;
use crate::{Error, Result};

/// A link's values before they were tuned; only those that are tuned.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Before {
    mac: Option<MacAddr>,
    promisc: Option<bool>,
    mtu: Option<u32>,
    allmulti: Option<bool>,
    tx_queue_len: Option<u32>,
}

impl Before {
    pub(crate) fn of(link: &Link, wanted: &Wanted) -> Self {
        Self {
            mac: wanted.mac.and(link.mac),
            promisc: wanted.promisc.then(|| is_promisc(link)),
            mtu: wanted.mtu.map(|_| link.mtu),
            allmulti: wanted.allmulti.map(|_| is_allmulti(link)),
            tx_queue_len: wanted.tx_queue_len.map(|_| link.tx_queue_len),
        }
    }

    /// The changes that put the values back, each alone: one that the kernel refuses must not stop the others.
    pub(crate) fn changes(&self) -> Vec<SetLink> {
        let none = SetLink::default;
        let mut changes = Vec::new();
        if self.mtu.is_some() {
            changes.push(SetLink { mtu: self.mtu, ..none() });
        }
        if self.mac.is_some() {
            changes.push(SetLink { mac: self.mac, ..none() });
        }
        if self.promisc.is_some() {
            changes.push(SetLink { promisc: self.promisc, ..none() });
        }
        if self.allmulti.is_some() {
            changes.push(SetLink { allmulti: self.allmulti, ..none() });
        }
        if self.tx_queue_len.is_some() {
            changes.push(SetLink { tx_queue_len: self.tx_queue_len, ..none() });
        }
        changes
    }

    fn to_json(&self, network: &str) -> Value {
        let mut members = Vec::new();
        let mut put =
            |key: &str, value: Option<Value>| members.extend(value.map(|value| (key.to_owned(), value)));
        put("mac", self.mac.map(|mac| Value::from(mac.to_string())));
        put("promisc", self.promisc.map(Value::from));
        put("mtu", self.mtu.map(Value::from));
        put("allmulti", self.allmulti.map(Value::from));
        put("txQLen", self.tx_queue_len.map(Value::from));
        // Not in the reference's file, which ignores it: without it GC could not tell whose file it is.
        put("network", Some(Value::from(network)));
        Value::Object(members)
    }

    /// Reads a file's content; anything wrong in it counts as absent, because DEL does what it can.
    fn from_json(value: &Value) -> Self {
        let Ok(object) = Object::root(value) else { return Self::default() };
        Self {
            mac: object.text("mac").ok().flatten().and_then(|mac| mac.parse().ok()),
            promisc: object.bool("promisc").ok().flatten(),
            mtu: object.u32("mtu").ok().flatten().filter(|mtu| *mtu != 0),
            allmulti: object.bool("allmulti").ok().flatten(),
            tx_queue_len: object.u32("txQLen").ok().flatten(),
        }
    }
}

/// Promiscuous by a user's flag; the kernel's own count (a macvlan in passthru mode, a capture) is not ours.
pub(crate) fn is_promisc(link: &Link) -> bool {
    link.flags & kernel::uapi::IFF_PROMISC != 0
}

/// All multicast by a user's flag.
pub(crate) fn is_allmulti(link: &Link) -> bool {
    link.flags & kernel::uapi::IFF_ALLMULTI != 0
}

/// The file of one attachment.
#[derive(Debug)]
pub(crate) struct BackupFile {
    path: PathBuf,
}

impl BackupFile {
    pub(crate) fn of(data_dir: &Path, container_id: &str, ifname: &str) -> Self {
        Self { path: data_dir.join(format!("{container_id}_{ifname}.json")) }
    }

    /// Writes the file. It appears whole or not at all, whenever we are killed: it is written without a name and
    /// then given one.
    ///
    /// # Errors
    /// [`Error::State`].
    pub(crate) fn write(&self, before: &Before, network: &str) -> Result<()> {
        let dir = self.path.parent().unwrap_or_else(|| Path::new("/"));
        let failed =
            |op| move |error: std::io::Error| Error::State { op, path: self.path.clone(), source: error };
        let open = || {
            rustix::fs::openat(
                CWD,
                dir,
                OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC,
                Mode::RUSR | Mode::WUSR,
            )
        };
        let file = match open() {
            Err(Errno::NOENT) => {
                let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
                made.map_err(failed("create the directory of"))?;
                open()
            }
            other => other,
        };
        let text = before.to_json(network).to_pretty();
        let fd = match file {
            Ok(fd) => fd,
            // A file system without nameless files: a temporary name, then.
            Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
                let temporary = self.path.with_extension("tmp");
                std::fs::write(&temporary, text).map_err(failed("write"))?;
                return std::fs::rename(&temporary, &self.path).map_err(failed("rename"));
            }
            Err(errno) => return Err(failed("create")(errno.into())),
        };
        let mut file = std::fs::File::from(fd);
        file.write_all(text.as_bytes()).map_err(failed("write"))?;
        let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
        let link = || rustix::fs::linkat(CWD, &nameless, CWD, &self.path, AtFlags::SYMLINK_FOLLOW);
        let linked = match link() {
            // An earlier ADD of this attachment that was never deleted.
            Err(Errno::EXIST) => self.remove().and_then(|()| link().map_err(std::io::Error::from)),
            other => other.map_err(std::io::Error::from),
        };
        linked.map_err(failed("name"))
    }

    /// The values to put back; `None` when there is no file or it cannot be read.
    pub(crate) fn read(&self) -> Option<Before> {
        Some(Before::from_json(&json::parse(&std::fs::read(&self.path).ok()?).ok()?))
    }

    /// Removes the file; absent is fine.
    pub(crate) fn remove(&self) -> std::io::Result<()> {
        // The temporary name of file systems without nameless files.
        let _ = std::fs::remove_file(self.path.with_extension("tmp"));
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// GC: removes the files of `network` whose attachment `is_valid` does not know. Files that do not say their network
/// (the reference's) stay.
pub(crate) fn sweep(
    data_dir: &Path,
    network: &str,
    is_valid: impl Fn(&str, &str) -> bool,
) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(data_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        // An interface's name may hold `_`, too: any split that is valid keeps the file.
        let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".json")) else { continue };
        let mut splits = stem.match_indices('_').map(|(at, _)| (&stem[..at], &stem[at + 1..]));
        if splits.any(|(container_id, ifname)| is_valid(container_id, ifname)) {
            continue;
        }
        let path = data_dir.join(&name);
        let owner = std::fs::read(&path).ok().and_then(|bytes| json::parse(&bytes).ok());
        let ours =
            owner.as_ref().and_then(|value| Object::root(value).ok()?.text("network").ok()?) == Some(network);
        if ours {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before() -> Before {
        Before {
            mac: "02:00:00:00:00:01".parse().ok(),
            promisc: Some(false),
            mtu: Some(1500),
            allmulti: Some(true),
            tx_queue_len: Some(1000),
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("new/tuning");
        let file = BackupFile::of(&data_dir, "c1", "eth0");
        file.write(&Before::default(), "net").unwrap();
        file.write(&before(), "net").unwrap();
        assert_eq!(file.read(), Some(before()));
        let names: Vec<_> =
            std::fs::read_dir(&data_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["c1_eth0.json"]);
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(file.read(), None);
    }

    #[test]
    fn the_references_file_is_understood_and_rubbish_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = BackupFile::of(dir.path(), "c1", "eth0");
        let text = "{\n \"mac\": \"02:00:00:00:00:01\",\n \"promisc\": false,\n \"mtu\": 1500,\n \"allmulti\": true,\n \"txQLen\": 1000\n}";
        std::fs::write(&file.path, text).unwrap();
        assert_eq!(file.read(), Some(before()));
        std::fs::write(&file.path, "{\"mtu\": \"x\", \"promisc\": true}").unwrap();
        assert_eq!(file.read(), Some(Before { promisc: Some(true), ..Before::default() }));
        std::fs::write(&file.path, "").unwrap();
        assert_eq!(file.read(), None);
    }

    #[test]
    fn sweeping_takes_only_our_networks_dead_attachments() {
        let dir = tempfile::tempdir().unwrap();
        let write = |id: &str, ifname: &str, network: &str| {
            BackupFile::of(dir.path(), id, ifname).write(&before(), network).unwrap();
        };
        write("dead", "eth0", "a");
        write("alive_1", "eth_0", "a");
        write("dead", "eth0_x", "b");
        std::fs::write(dir.path().join("reference_eth0.json"), "{}").unwrap();
        std::fs::write(dir.path().join("half_eth0.json"), "").unwrap();
        sweep(dir.path(), "a", |id, ifname| id == "alive_1" && ifname == "eth_0").unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["alive_1_eth_0.json", "dead_eth0_x.json", "half_eth0.json", "reference_eth0.json"]);
        sweep(&dir.path().join("absent"), "a", |_, _| false).unwrap();
    }
}
