//! Finding and ending the processes of a lab: those in one of its namespaces, and their descendants.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::{Error, Result};

/// What tells one namespace from all others: device and inode of its file in nsfs.
pub(crate) type NamespaceId = (u64, u64);

/// Longest wait for killed processes to be gone, for each round. One that waits in the kernel for the lock of all network changes
/// ends only when it has it, after hundreds of others on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// A process may fork while it is looked for; after this many rounds something is wrong.
const ROUNDS: usize = 20;

/// Where processes are a lab's or a host's.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// In one of these.
    pub(crate) namespaces: HashSet<NamespaceId>,
    /// Or in this cgroup or one below it: a container has namespaces of its own, and when its shim was killed no parent here.
    pub(crate) cgroup: String,
}

/// The namespace a file stands for, `None` when there is none.
pub(crate) fn id_of(path: &Path) -> Option<NamespaceId> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// Kills every process of the scope, and every descendant of one, and waits until they are gone.
pub(crate) fn kill_all(lab: &str, scope: &Scope) -> Result<()> {
    for _ in 0..ROUNDS {
        let victims = find(scope)?;
        if victims.is_empty() {
            return Ok(());
        }
        let handles: Vec<OwnedFd> =
            victims.into_iter().filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect();
        for handle in &handles {
            let _ = pidfd_send_signal(handle, Signal::KILL);
        }
        for handle in &handles {
            let timeout = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
            let _ = poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&timeout));
        }
    }
    let left = find(scope)?.len();
    Err(Error::io(
        "end",
        format!("{left} processes of lab {lab}"),
        std::io::Error::from(rustix::io::Errno::BUSY),
    ))
}

/// A process of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number on the machine.
    pub pid: i32,
    /// File name of the program it runs.
    pub program: String,
}

/// The processes of the scope, and their descendants, with their programs.
pub(crate) fn list(scope: &Scope) -> Result<Vec<Process>> {
    let named = find(scope)?.into_iter().filter_map(|pid| {
        let pid = pid.as_raw_nonzero().get();
        // One that has ended meanwhile has no program any more.
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let name = exe.file_name()?.to_str()?;
        Some(Process { pid, program: name.trim_end_matches(" (deleted)").to_owned() })
    });
    Ok(named.collect())
}

/// Sends these processes a signal that ends them, and waits until they are gone.
pub(crate) fn end(node: &str, victims: &[Process], signal: Signal, patience: Duration) -> Result<()> {
    let pids = victims.iter().filter_map(|process| Pid::from_raw(process.pid));
    let handles: Vec<OwnedFd> = pids.filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect();
    for handle in &handles {
        let _ = pidfd_send_signal(handle, signal);
    }
    for handle in &handles {
        let timeout = Timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: 0 };
        let gone =
            poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&timeout)).is_ok_and(|ready| ready > 0);
        if !gone {
            return Err(Error::io("end", format!("a process of {node}"), rustix::io::Errno::TIMEDOUT));
        }
    }
    Ok(())
}

/// Processes of the scope, and their descendants. Never the caller itself.
pub(crate) fn find(scope: &Scope) -> Result<Vec<Pid>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let mut found: Vec<i32> = Vec::new();
    for entry in fs::read_dir("/proc").map_err(|error| Error::io("read", "/proc", error))?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // A process that ends meanwhile, or a zombie, has none of these files.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some(parent) = parent_of(&stat) {
            children.entry(parent).or_default().push(pid);
        }
        let inside = ["net", "mnt"]
            .iter()
            .filter_map(|kind| id_of(&entry.path().join("ns").join(kind)))
            .any(|id| scope.namespaces.contains(&id));
        // A zombie has a cgroup still, and nobody can end it but its parent.
        if has_ended(&stat) {
            continue;
        }
        let groups = || fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        if inside || in_cgroup(&groups(), &scope.cgroup) {
            found.push(pid);
        }
    }
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut seen = HashSet::from([own]);
    let mut all = Vec::new();
    while let Some(pid) = found.pop() {
        if seen.insert(pid) {
            all.extend(Pid::from_raw(pid));
            found.extend(children.remove(&pid).unwrap_or_default());
        }
    }
    Ok(all)
}

/// Field 3 of /proc/PID/stat: a zombie, or dead.
fn has_ended(stat: &str) -> bool {
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| matches!(rest.trim_start().as_bytes().first(), Some(b'Z' | b'X' | b'x')))
}

/// Whether a line of /proc/PID/cgroup (`4:memory:/path`) is that cgroup or one below it.
fn in_cgroup(lines: &str, cgroup: &str) -> bool {
    let mut paths = lines.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    !cgroup.is_empty() && paths.any(|path| Path::new(path).starts_with(cgroup))
}

/// Field 4 of /proc/PID/stat; the name before it may hold spaces and parentheses.
fn parent_of(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_holds_itself_and_what_is_below() {
        let lines = "5:memory:/lab-a/node1/kubepods/x:y\n0::/\n";
        assert!(in_cgroup(lines, "/lab-a") && in_cgroup(lines, "/lab-a/node1"));
        assert!(!in_cgroup(lines, "/lab-a/node"), "another host");
        assert!(!in_cgroup("5:memory:/lab-a\n", "/lab-a/node1"));
        assert!(!in_cgroup(lines, ""));
    }

    #[test]
    fn parent_is_read_behind_a_hostile_name() {
        assert_eq!(parent_of("42 (a) S 7) S 17 42 42 0"), Some(17));
        assert!(!has_ended("42 (a) Z) S 17 42") && has_ended("42 (a) Z 17 42") && !has_ended(""));
        assert_eq!(parent_of(""), None);
    }
}
