//! `llano link tree --watch`: drawn again when something changes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IsTerminal, Read, Seek};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use kernel::{Groups, Monitor};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use topology::record::Record;
use topology::{NamespaceId, Topology, namespaces};

use super::tree::{Tree, print};
use crate::output::{Format, Out};

/// Changes come in bursts: so long after the first one the tree is drawn.
const SETTLE: Duration = Duration::from_millis(100);
/// Namespaces of processes alone are bound nowhere, and no event tells of them.
const LOOK: Duration = Duration::from_secs(5);

pub(super) fn run(args: &Tree, out: &mut Out) -> anyhow::Result<()> {
    if matches!(out.format(), Format::Svg | Format::Dot) {
        bail!("--watch: for text and json only");
    }
    let mut ears = Ears::open()?;
    let mut last = String::new();
    loop {
        ears.listen_everywhere()?;
        let topology = Topology::read()?;
        let now = serde_json::to_string(&Record::of(&topology))?;
        if now != last {
            match draw(args, &topology, out) {
                // The link that is watched may come again; at the start it was a wrong word.
                Err(error) if error.is::<super::tree::NoSuchLink>() && !last.is_empty() => {
                    out.line(&error.to_string())?;
                    out.flush()?;
                }
                drawn => drawn?,
            }
            last = now;
        }
        ears.wait()?;
    }
}

fn draw(args: &Tree, topology: &Topology, out: &mut Out) -> anyhow::Result<()> {
    if out.format() == Format::Text && std::io::stdout().is_terminal() {
        out.raw(b"\x1b[H\x1b[2J\x1b[3J")?;
    }
    print(args, topology, out)?;
    out.line("")?;
    out.flush()
}

/// Everything that tells of a change.
pub(crate) struct Ears {
    monitors: BTreeMap<NamespaceId, Monitor>,
    /// The kernel marks it when a mount comes or goes, as a named namespace's.
    mounts: File,
}

impl Ears {
    pub(crate) fn open() -> anyhow::Result<Self> {
        let path = "/proc/self/mountinfo";
        let mounts = File::open(path).with_context(|| format!("cannot open {path}"))?;
        Ok(Self { monitors: BTreeMap::new(), mounts })
    }

    /// A monitor in each namespace that is there now.
    pub(crate) fn listen_everywhere(&mut self) -> anyhow::Result<()> {
        let all = namespaces()?;
        self.monitors.retain(|id, _| all.iter().any(|namespace| namespace.id == *id));
        let groups = Groups { links: true, addresses: true, ..Groups::default() };
        for namespace in all {
            if self.monitors.contains_key(&namespace.id) {
                continue;
            }
            match namespace.open() {
                Ok(net) => drop(self.monitors.insert(namespace.id, Monitor::open_in(&net, groups)?)),
                // It went meanwhile, or is not ours to enter.
                Err(topology::Error::Gone { .. }) => {}
                Err(topology::Error::Kernel(error)) if error.errno() != Some(kernel::Errno::MFILE) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits until something changed, and until the burst that it may belong to is over.
    pub(crate) fn wait(&mut self) -> anyhow::Result<()> {
        let mut end: Option<Instant> = None;
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(());
            }
            if self.poll(left.unwrap_or(LOOK))? {
                end = end.or_else(|| Some(Instant::now() + SETTLE));
            } else if end.is_none() && self.has_changed()? {
                return Ok(());
            }
        }
    }

    /// Whether something was told within this time; what was told is thrown away.
    fn poll(&mut self, time: Duration) -> anyhow::Result<bool> {
        let mut fds: Vec<PollFd<'_>> = vec![PollFd::from_borrowed_fd(self.mounts.as_fd(), PollFlags::PRI)];
        fds.extend(
            self.monitors.values().map(|monitor| PollFd::from_borrowed_fd(monitor.as_fd(), PollFlags::IN)),
        );
        let time = Timespec::try_from(time)?;
        match poll(&mut fds, Some(&time)) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(std::io::Error::from(errno).into()),
        }
        let told: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if told.first() == Some(&true) {
            // Read to its end, so that the next change is marked again.
            self.mounts.rewind()?;
            std::io::copy(&mut self.mounts.by_ref(), &mut std::io::sink())?;
        }
        for (monitor, _) in self.monitors.values_mut().zip(&told[1..]).filter(|(_, told)| **told) {
            // Which change it was does not matter: everything is read anew.
            let _ = monitor.wait(Some(Duration::ZERO))?;
        }
        Ok(true)
    }

    /// Whether there are other namespaces than those that are listened to.
    fn has_changed(&self) -> anyhow::Result<bool> {
        let all = namespaces()?;
        Ok(all.len() != self.monitors.len()
            || all.iter().any(|namespace| !self.monitors.contains_key(&namespace.id)))
    }
}
