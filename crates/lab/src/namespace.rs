//! A node's namespaces and the files that keep them: bind mounts, so that no process has to stay alive for them.

use std::fs::{self, File};
use std::path::Path;
use std::sync::mpsc;

use rustix::io::Errno;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::{Error, Result};
use crate::{mounts, sys};

/// File name of a node's network namespace below the node's directory.
pub(crate) const NET: &str = "net";
/// File name of a node's mount namespace.
pub(crate) const MNT: &str = "mnt";

/// Makes a network and a mount namespace and keeps them as `dir/net` and `dir/mnt`.
pub(crate) fn make_node(dir: &Path) -> Result<()> {
    make(dir, &[NET, MNT], || {
        sys::leave_network_and_mounts()
            .map_err(|error| Error::io("make namespaces for", dir.display(), error))?;
        mounts::furnish()
    })
}

/// Makes a network namespace and keeps it as `dir/net`.
pub(crate) fn make_network(dir: &Path) -> Result<()> {
    make(dir, &[NET], || {
        sys::leave_network().map_err(|error| Error::io("make a namespace for", dir.display(), error))
    })
}

/// Runs `enter` on a thread of its own, then binds the namespaces it ended up in.
///
/// The kernel binds no mount namespace whose number is below the caller's, and Linux 6.18 gives numbers in batches to each
/// processor: a namespace made on another one than the caller's was may be refused. On the same one it never is.
fn make(dir: &Path, kinds: &[&str], enter: impl Fn() -> Result<()> + Sync) -> Result<()> {
    fs::create_dir_all(dir).map_err(|error| Error::io("create", dir.display(), error))?;
    let mut result = make_on(None, dir, kinds, &enter);
    let Ok(allowed) = sched_getaffinity(None) else { return result };
    for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)) {
        match &result {
            Err(Error::Io { source, .. }) if source.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {}
            _ => break,
        }
        for kind in kinds {
            mounts::detach_all(&dir.join(kind))?;
        }
        result = make_on(Some(cpu), dir, kinds, &enter);
    }
    result
}

fn make_on(
    cpu: Option<usize>,
    dir: &Path,
    kinds: &[&str],
    enter: &(impl Fn() -> Result<()> + Sync),
) -> Result<()> {
    std::thread::scope(|scope| {
        let (entered, wait_entered) = mpsc::sync_channel(1);
        let (done, wait_done) = mpsc::sync_channel::<()>(1);
        scope.spawn(move || {
            if let Some(cpu) = cpu {
                let mut only = CpuSet::new();
                only.set(cpu);
                // Where that is not allowed it is one more try.
                let _ = sched_setaffinity(None, &only);
            }
            let result = enter().map(|()| rustix::thread::gettid().as_raw_nonzero());
            // The thread must live until its namespaces are bound; a closed channel means they are, or never will be.
            let _ = entered.send(result);
            let _ = wait_done.recv();
        });
        let thread =
            wait_entered.recv().map_err(|_| Error::Panicked { node: dir.display().to_string() })??;
        let result = kinds.iter().try_for_each(|kind| {
            let target = dir.join(kind);
            File::create(&target).map_err(|error| Error::io("create", target.display(), error))?;
            rustix::mount::mount_bind(format!("/proc/self/task/{thread}/ns/{kind}"), &target)
                .map_err(|errno| Error::io("bind a namespace onto", target.display(), errno))
        });
        drop(done);
        result
    })
}
