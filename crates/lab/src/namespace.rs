//! A node's namespaces and the files that keep them: bind mounts, so that no process has to stay alive for them.

use std::fs::{self, File};
use std::path::Path;
use std::sync::mpsc;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::{Error, Result};
use crate::spec::NodeSpec;
use crate::{mounts, sys};

/// File name of a node's network namespace below the node's directory.
pub(crate) const NET: &str = "net";
/// File name of a node's mount namespace.
pub(crate) const MNT: &str = "mnt";
/// File name of a node's UTS namespace, which holds its host name.
pub(crate) const UTS: &str = "uts";

/// Makes a node's namespaces and keeps them as `dir/net` and `dir/mnt`, and, when it has a disk, `dir/uts`.
pub(crate) fn make_node(dir: &Path, spec: &NodeSpec) -> Result<()> {
    let wrong = |error| Error::io("make namespaces for", dir.display(), error);
    match &spec.disk {
        None => make(dir, &[NET, MNT], || {
            sys::leave_network_and_mounts().map_err(wrong)?;
            mounts::furnish(None)
        }),
        Some(disk) => make(dir, &[NET, MNT, UTS], || {
            sys::leave_network_and_mounts().and_then(|()| sys::leave_host_name()).map_err(wrong)?;
            rustix::system::sethostname(spec.name.as_bytes())
                .map_err(|errno| Error::io("name", dir.display(), errno))?;
            mounts::furnish(Some(disk))
        }),
    }
}

/// Lets go of a node's namespaces; they end with the last process in them.
pub(crate) fn release(dir: &Path) -> Result<()> {
    for kind in [NET, MNT, UTS] {
        let path = dir.join(kind);
        match rustix::mount::unmount(&path, rustix::mount::UnmountFlags::DETACH) {
            // Not bound, or not there.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(Error::io("unmount", path.display(), errno)),
        }
    }
    Ok(())
}

/// Makes a network namespace and keeps it as `dir/net`.
pub(crate) fn make_network(dir: &Path) -> Result<()> {
    make(dir, &[NET], || {
        sys::leave_network().map_err(|error| Error::io("make a namespace for", dir.display(), error))
    })
}

/// Runs `enter` on a thread of its own, then binds the namespaces it ended up in.
///
/// The kernel binds a mount namespace only where its number is higher than the caller's own (against loops), and since 6.18
/// each CPU gives out numbers from a supply of its own. In a caller whose namespace is not the machine's first one, the CPU
/// decides whether it works: they are tried one after another.
fn make(dir: &Path, kinds: &[&str], enter: impl Fn() -> Result<()> + Send + Sync) -> Result<()> {
    fs::create_dir_all(dir).map_err(|error| Error::io("create", dir.display(), error))?;
    let cpus =
        sched_getaffinity(None).map_err(|errno| Error::io("read", "the CPUs of this process", errno))?;
    let mut result = attempt(dir, kinds, None, &enter);
    for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| cpus.is_set(*cpu)) {
        let by_number = matches!(&result, Err(Error::Io { what: BIND, source, .. })
            if source.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()));
        if !by_number {
            break;
        }
        release(dir)?;
        result = attempt(dir, kinds, Some(cpu), &enter);
    }
    result
}

const BIND: &str = "bind a namespace onto";

fn attempt(
    dir: &Path,
    kinds: &[&str],
    cpu: Option<usize>,
    enter: &(impl Fn() -> Result<()> + Send + Sync),
) -> Result<()> {
    std::thread::scope(|scope| {
        let (entered, wait_entered) = mpsc::sync_channel(1);
        let (done, wait_done) = mpsc::sync_channel::<()>(1);
        scope.spawn(move || {
            let pinned = cpu.map_or(Ok(()), |cpu| {
                let mut only = CpuSet::new();
                only.set(cpu);
                sched_setaffinity(None, &only).map_err(|errno| Error::io("run on CPU", cpu, errno))
            });
            let result = pinned.and_then(|()| enter()).map(|()| rustix::thread::gettid().as_raw_nonzero());
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
                .map_err(|errno| Error::io(BIND, target.display(), errno))
        });
        drop(done);
        result
    })
}
