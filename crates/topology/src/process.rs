//! The process table: who is in which network namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, readlinkat, statx};
use serde::Serialize;

use crate::file;
use crate::mounts::inode_of;

/// Most bytes of a process's files that are read.
const LIMIT: u64 = 1 << 16;
/// `USER_HZ`, the unit of times in proc(5) on every architecture we build for.
const TICKS: u64 = 100;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its number in this process's PID namespace.
    pub pid: u32,
    /// Its name (`comm`), which it may choose freely.
    pub name: String,
}

/// Where processes are.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// By process number: inode of its network namespace.
    pub(crate) net: BTreeMap<u32, u64>,
    /// Namespaces in which only a thread of a process is: process, thread, inode.
    pub(crate) threads: Vec<(u32, u32, u64)>,
    /// One process of each other mount namespace.
    pub(crate) other_mounts: Vec<u32>,
}

/// Reads it. What is not ours to see is left out.
pub(crate) fn table() -> Table {
    let mut table = Table::default();
    let own_mounts = link("/proc/thread-self/ns/mnt");
    let own_users = link("/proc/thread-self/ns/user");
    let mut seen_mounts = BTreeSet::new();
    for pid in numbers(Path::new("/proc")) {
        let Some(net) = net_of(&format!("/proc/{pid}/ns/net")) else { continue };
        table.net.insert(pid, net);
        threads(pid, net, &mut table);
        if let Some(mounts) = link(&format!("/proc/{pid}/ns/mnt"))
            && Some(&mounts) != own_mounts.as_ref()
            && !seen_mounts.contains(&mounts)
            // Whoever is root in a user namespace of his own can mount a file system that never answers.
            && link(&format!("/proc/{pid}/ns/user")) == own_users
        {
            seen_mounts.insert(mounts);
            table.other_mounts.push(pid);
        }
    }
    table
}

/// Threads that have left the namespace of their process.
fn threads(pid: u32, net: u64, table: &mut Table) {
    let tasks = PathBuf::from(format!("/proc/{pid}/task"));
    // Two more than threads; most processes have one.
    if fs::metadata(&tasks).is_ok_and(|tasks| tasks.nlink() <= 3) {
        return;
    }
    for tid in numbers(&tasks).into_iter().filter(|tid| *tid != pid) {
        if let Some(other) = net_of(&format!("/proc/{pid}/task/{tid}/ns/net"))
            && other != net
        {
            table.threads.push((pid, tid, other));
        }
    }
}

/// Network namespaces that processes hold open by a descriptor: path to open it by, process, inode.
pub(crate) fn descriptors(table: &Table, device: u64) -> Vec<(PathBuf, u32, u64)> {
    /// Most descriptors of the whole machine that are looked at, at some microseconds each.
    const MOST: usize = 100_000;
    let mut found = Vec::new();
    let mut looked = 0;
    for pid in table.net.keys() {
        for fd in numbers(Path::new(&format!("/proc/{pid}/fd"))) {
            looked += 1;
            if looked > MOST {
                return found;
            }
            let path = format!("/proc/{pid}/fd/{fd}");
            if let Some(inode) = namespace_of(&path, device) {
                found.push((path.into(), *pid, inode));
            }
        }
    }
    found
}

/// The inode of a descriptor that may be a network namespace. Opened by way of a mount, it has that path as its name, so
/// that the file itself must be asked.
fn namespace_of(path: &str, device: u64) -> Option<u64> {
    let target = link(path)?;
    if !target.starts_with(b"/") {
        return inode_of(std::str::from_utf8(&target).ok()?);
    }
    // A server of files that does not answer is not waited for.
    let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let stat = statx(CWD, path, flags, StatxFlags::INO).ok()?;
    (makedev(stat.stx_dev_major, stat.stx_dev_minor) == device).then_some(stat.stx_ino)
}

/// Entries of a directory that are numbers, sorted.
fn numbers(dir: &Path) -> Vec<u32> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut all: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    all.sort_unstable();
    all
}

fn link(path: &str) -> Option<Vec<u8>> {
    Some(readlinkat(CWD, path, Vec::new()).ok()?.into_bytes())
}

fn net_of(path: &str) -> Option<u64> {
    inode_of(std::str::from_utf8(&link(path)?).ok()?)
}

/// A process's name.
pub(crate) fn name(pid: u32) -> Option<String> {
    let text = file::text(Path::new(&format!("/proc/{pid}/comm")), LIMIT)?;
    Some(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// A process's words.
pub(crate) fn words(pid: u32) -> Vec<String> {
    let text = file::text(Path::new(&format!("/proc/{pid}/cmdline")), LIMIT).unwrap_or_default();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// A process's control groups, as proc writes them.
pub(crate) fn cgroups(pid: u32) -> String {
    file::text(Path::new(&format!("/proc/{pid}/cgroup")), LIMIT).unwrap_or_default()
}

/// A process's parent, and when it started in ticks since the machine did.
pub(crate) fn parent_and_start(pid: u32) -> Option<(u32, u64)> {
    parse_stat(&file::text(Path::new(&format!("/proc/{pid}/stat")), LIMIT)?)
}

fn parse_stat(stat: &str) -> Option<(u32, u64)> {
    // The name is in parentheses and may hold anything, also parentheses.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    Some((fields.nth(1)?.parse().ok()?, fields.nth(17)?.parse().ok()?))
}

/// Whether the process that now has this number was there when a file was written about it. When not, the number
/// belongs to somebody else now.
pub(crate) fn is_older_than(pid: u32, written: Option<SystemTime>) -> bool {
    let started = || {
        let (_, ticks) = parent_and_start(pid)?;
        let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let up = Duration::from_secs(u64::try_from(up.tv_sec).ok()?);
        SystemTime::now().checked_sub(up)?.checked_add(Duration::from_millis(ticks * 1000 / TICKS))
    };
    // The clocks are read to the second, and the wall clock may have been set a little since.
    let slack = Duration::from_secs(3);
    match (started(), written) {
        (Some(started), Some(written)) => started <= written + slack,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_confuse() {
        let tail = "S 77 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        assert_eq!(parse_stat(&format!("12 (a) b\n(c) {tail}")), Some((77, 4242)));
        assert_eq!(parse_stat("12 (a"), None);
        assert_eq!(parse_stat("12 (a) S x"), None);
    }

    #[test]
    fn this_process_is_found() {
        let pid = std::process::id();
        assert!(table().net.contains_key(&pid));
        assert!(is_older_than(pid, Some(SystemTime::now())));
        assert!(!is_older_than(pid, Some(SystemTime::now() - Duration::from_secs(86_400 * 365))));
        assert!(parent_and_start(pid).is_some());
    }

    proptest::proptest! {
        #[test]
        fn any_stat_is_safe(text: String) {
            let _ = parse_stat(&text);
        }
    }
}
