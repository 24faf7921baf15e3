//! What a node sees of the file system: the machine's, with the directories that hold a host's network state its own.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    unmount,
};

use crate::error::{Error, Result};

/// Directories of which each node has its own, empty at first. /run is one too. What a node sets up for its boot, its
/// units and modules, is not the machine's.
const PRIVATE: [&str; 10] = [
    "/etc/cni",
    "/etc/containerd",
    "/etc/llano",
    "/etc/modprobe.d",
    "/etc/modules-load.d",
    "/etc/sysctl.d",
    "/etc/systemd",
    "/opt/cni",
    "/var/lib/cni",
    "/var/lib/llano",
];

/// Configuration of the machine's own network, where there is any: it says nothing of a node's interfaces.
const HIDDEN: [&str; 5] =
    ["/etc/NetworkManager", "/etc/netplan", "/etc/network", "/var/lib/NetworkManager", "/var/lib/dhcp"];

/// What is kept on a node's disk beside them.
const ON_DISK: [&str; 6] = [
    "/etc/kubernetes",
    "/var/lib/containerd",
    "/var/lib/etcd",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
];

/// Makes `dir` a private mount, the only kind onto which a mount namespace can be bound.
pub(crate) fn make_private(dir: &Path) -> Result<()> {
    mount_bind(dir, dir).map_err(|errno| Error::io("bind onto itself", dir.display(), errno))?;
    mount_change(dir, MountPropagationFlags::PRIVATE)
        .map_err(|errno| Error::io("make private the mount", dir.display(), errno))
}

/// Unmounts everything on and below `dir`, busy or not.
pub(crate) fn detach_all(dir: &Path) -> Result<()> {
    loop {
        match unmount(dir, UnmountFlags::DETACH) {
            Ok(()) => {}
            // Not a mount point (any more), or not there.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => break,
            Err(errno) => return Err(Error::io("unmount", dir.display(), errno)),
        }
    }
    match mount_points()?.into_iter().find(|mount| mount.path.starts_with(dir)) {
        None => Ok(()),
        Some(left) => Err(Error::io("unmount", left.path.display(), rustix::io::Errno::BUSY)),
    }
}

/// Turns the calling thread's fresh mount namespace into a node's, with its directories in `disk` when it has one.
pub(crate) fn furnish(disk: Option<&Path>) -> Result<()> {
    let all = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", all).map_err(|errno| Error::io("make private the mount", "/", errno))?;
    forget_the_machines_run()?;
    let stage = Path::new("/run");
    tmpfs(stage)?;
    let kept = disk.map(|disk| keep(disk, stage)).transpose()?;
    let on_disk: &[&str] = if disk.is_some() { &ON_DISK } else { &[] };
    let own: Vec<&Path> = PRIVATE.iter().chain(on_disk).map(Path::new).collect();
    // An overlay hides what is mounted below it: all of them first.
    own.iter().try_for_each(|dir| make_possible(dir, stage))?;
    for dir in own.iter().filter(|dir| dir.is_dir()) {
        match &kept {
            None => tmpfs(dir)?,
            Some(kept) => bind_from(kept, dir)?,
        }
    }
    for dir in HIDDEN.iter().map(Path::new) {
        if dir.is_dir() {
            tmpfs(dir)?;
        }
    }
    remount_sysfs(stage)?;
    unmount(stage, UnmountFlags::DETACH).map_err(|errno| Error::io("unmount", "/run", errno))?;
    tmpfs(stage)?;
    for dir in ["/run/netns", "/run/lock"] {
        fs::create_dir_all(dir).map_err(|error| Error::io("create", dir, error))?;
    }
    // Debian and most others have /var/run -> /run.
    let var_run = Path::new("/var/run");
    if var_run.is_dir() && !var_run.is_symlink() {
        mount_bind("/run", var_run).map_err(|errno| Error::io("bind /run onto", "/var/run", errno))?;
    }
    if disk.is_some() {
        // As systemd does on a machine: what a container of ours mounts with propagation is seen on the host, and the reverse.
        let all = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
        mount_change("/", all).map_err(|errno| Error::io("make shared the mount", "/", errno))?;
    }
    Ok(())
}

/// A node's disk at a place that no overlay hides.
fn keep(disk: &Path, stage: &Path) -> Result<PathBuf> {
    let kept = stage.join("disk");
    for dir in [disk, &kept] {
        fs::create_dir_all(dir).map_err(|error| Error::io("create", dir.display(), error))?;
    }
    mount_bind(disk, &kept).map_err(|errno| Error::io("bind", disk.display(), errno))?;
    Ok(kept)
}

fn bind_from(kept: &Path, dir: &Path) -> Result<()> {
    let from = kept.join(dir.strip_prefix("/").unwrap_or(dir));
    fs::create_dir_all(&from).map_err(|error| Error::io("create", from.display(), error))?;
    mount_bind(&from, dir).map_err(|errno| Error::io("bind onto", dir.display(), errno))
}

/// Drops this namespace's copies of the machine's mounts below /run and of every bound namespace: as long as a copy
/// exists, the machine (or another lab) could not get rid of a namespace by unmounting it.
fn forget_the_machines_run() -> Result<()> {
    let mut mounts = mount_points()?;
    mounts.reverse();
    for mount in mounts {
        if mount.path.starts_with("/run") || mount.path.starts_with("/var/run") || mount.filesystem == "nsfs"
        {
            match unmount(&mount.path, UnmountFlags::DETACH) {
                Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
                Err(errno) => return Err(Error::io("unmount", mount.path.display(), errno)),
            }
        }
    }
    Ok(())
}

fn tmpfs(dir: &Path) -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", dir, "tmpfs", flags, c"mode=755".to_owned().as_c_str())
        .map_err(|errno| Error::io("mount a tmpfs on", dir.display(), errno))
}

/// Makes `dir` where the machine has none, in an overlay of its nearest parent: nothing may be created on the machine's
/// own file system.
fn make_possible(dir: &Path, stage: &Path) -> Result<()> {
    let Some(parent) = dir.ancestors().find(|parent| parent.is_dir()) else { return Ok(()) };
    if parent == dir {
        return Ok(());
    }
    let name = parent.display().to_string().replace('/', "_");
    let own = |what: &str| stage.join(format!("{name}.{what}"));
    let (upper, work, kept) = (own("upper"), own("work"), own("kept"));
    // A second directory below the same parent finds the overlay there.
    if !upper.is_dir() {
        for dir in [&upper, &work, &kept] {
            fs::create_dir_all(dir).map_err(|error| Error::io("create", dir.display(), error))?;
        }
        mount_bind_recursive(parent, &kept).map_err(|errno| Error::io("bind", parent.display(), errno))?;
        let below = mounts_below(parent)?;
        let options =
            format!("lowerdir={},upperdir={},workdir={}", parent.display(), upper.display(), work.display());
        let options = std::ffi::CString::new(options).unwrap_or_default();
        mount("overlay", parent, "overlay", MountFlags::empty(), options.as_c_str())
            .map_err(|errno| Error::io("mount an overlay on", parent.display(), errno))?;
        put_back(&below, &kept, parent)?;
    }
    fs::create_dir_all(dir).map_err(|error| Error::io("create", dir.display(), error))
}

/// A sysfs that shows this network namespace's interfaces, with the machine's mounts below /sys (cgroups) put back.
fn remount_sysfs(stage: &Path) -> Result<()> {
    let kept = stage.join("sys");
    fs::create_dir_all(&kept).map_err(|error| Error::io("create", kept.display(), error))?;
    mount_bind_recursive("/sys", &kept).map_err(|errno| Error::io("bind", "/sys", errno))?;
    let below = mounts_below(Path::new("/sys"))?;
    mount("sysfs", "/sys", "sysfs", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)
        .map_err(|errno| Error::io("mount a sysfs on", "/sys", errno))?;
    put_back(&below, &kept, Path::new("/sys"))
}

/// The mount points below `dir`, relative to it.
fn mounts_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let points = mount_points()?.into_iter();
    let below = points.filter_map(|mount| mount.path.strip_prefix(dir).ok().map(Path::to_owned));
    Ok(below.filter(|path| path.components().count() > 0).collect())
}

/// Binds the mounts that were below a directory, which is `kept` elsewhere, onto what is mounted there now.
fn put_back(below: &[PathBuf], kept: &Path, dir: &Path) -> Result<()> {
    let mut done: Vec<&PathBuf> = Vec::new();
    for path in below {
        if done.iter().any(|outer| path.starts_with(outer)) {
            continue;
        }
        let target = dir.join(path);
        // What only the machine's own namespace shows (as some below /sys/class/net) is left out.
        if target.exists() {
            mount_bind_recursive(kept.join(path), &target)
                .map_err(|errno| Error::io("bind onto", target.display(), errno))?;
        }
        done.push(path);
    }
    Ok(())
}

struct MountPoint {
    path: PathBuf,
    filesystem: String,
}

/// The calling thread's mounts, in the order they were made (proc(5), mountinfo).
fn mount_points() -> Result<Vec<MountPoint>> {
    let path = "/proc/thread-self/mountinfo";
    let text = fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
    Ok(text.lines().filter_map(mount_point).collect())
}

fn mount_point(line: &str) -> Option<MountPoint> {
    let path = unescape(line.split(' ').nth(4)?);
    let filesystem = line.split_once(" - ")?.1.split(' ').next()?.to_owned();
    Some(MountPoint { path: PathBuf::from(path), filesystem })
}

/// mountinfo writes space, tab, newline and backslash as `\ooo`.
fn unescape(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(part.get(3..).unwrap_or_default());
            }
            None => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_lines_are_read() {
        let line = r"36 35 98:0 /mnt1 /mnt\0402/a rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let mount = mount_point(line).unwrap();
        assert_eq!(mount.path, Path::new("/mnt 2/a"));
        assert_eq!(mount.filesystem, "ext3");
        assert!(mount_point("nonsense").is_none());
    }
}
