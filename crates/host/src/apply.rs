//! Doing the steps of a plan, and seeing that the network is as wanted.

mod step;

use std::time::{Duration, Instant};

use kernel::{BondValue, Groups, Monitor, NetNs, Netlink};
use serde::Serialize;

use crate::host_access;
use crate::keep::Machinery;
use crate::state::BondOption;
use crate::{Difference, Error, Kind, Network, Plan, Result, Step, Wanted};

/// How often a plan is made anew because the kernel took more along than was foreseen.
const ROUNDS: usize = 5;
/// How long the kernel may take until what was asked is seen.
const SETTLE: Duration = Duration::from_secs(10);

/// What was done.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct Report {
    /// All steps, in order.
    pub steps: Vec<Step>,
    /// How many plans it took; more than one when the kernel did more than was foreseen.
    pub rounds: usize,
}

/// Does the steps, in the namespace of the socket, which must be the calling thread's.
///
/// # Errors
/// The first step that failed; those before it stay done.
pub fn apply(netlink: &mut Netlink, plan: &Plan, progress: &mut dyn FnMut(&Step)) -> Result<()> {
    for step in &plan.steps {
        progress(step);
        step::run(netlink, step)?;
    }
    Ok(())
}

/// Waits until the network is as wanted, by the kernel's events. What is still different after `timeout` is returned.
///
/// # Errors
/// When the kernel cannot be read.
pub fn verify(netlink: &mut Netlink, wanted: &Wanted, timeout: Duration) -> Result<Difference> {
    // Opened before the first look, so that nothing is missed between.
    let mut monitor =
        Monitor::open(Groups { links: true, addresses: true, routes: true, neighbours: false })?;
    let end = Instant::now() + timeout;
    loop {
        let difference = Difference::of(&Network::read(netlink)?, wanted);
        let left = end.saturating_duration_since(Instant::now());
        if difference.is_empty() || left.is_zero() {
            return Ok(difference);
        }
        monitor.wait(Some(left))?;
    }
}

/// Turns what is into what is wanted: reads, plans, applies, reads again, and plans anew for what the kernel took along.
///
/// # Errors
/// A step that failed, or [`Error::Mismatch`] with what is still different; nothing is rolled back here.
pub fn converge(netlink: &mut Netlink, wanted: &Wanted, progress: &mut dyn FnMut(&Step)) -> Result<Report> {
    let mut report = Report::default();
    let mut before = None;
    for _ in 0..ROUNDS {
        let current = Network::read(netlink)?;
        let plan = Plan::new(&current, wanted)?;
        if plan.is_empty() && Difference::of(&current, wanted).is_empty() {
            return Ok(report);
        }
        apply(netlink, &plan, progress)?;
        report.rounds += 1;
        report.steps.extend(plan.steps.iter().cloned());
        // What is left may come by itself, as an address that the kernel makes; a plan that changed nothing will not.
        let stuck = before.as_ref() == Some(&plan);
        let difference = verify(netlink, wanted, if stuck { SETTLE } else { Duration::ZERO })?;
        if difference.is_empty() {
            return Ok(report);
        }
        if stuck {
            return Err(lacks(netlink, wanted)?.unwrap_or(Error::Mismatch(difference)));
        }
        before = Some(plan);
    }
    let difference = verify(netlink, wanted, SETTLE)?;
    if difference.is_empty() { Ok(report) } else { Err(Error::Mismatch(difference)) }
}

/// An option of a bond that was asked for and of which this kernel says nothing: it does not know it, and did not say so.
fn lacks(netlink: &mut Netlink, wanted: &Wanted) -> Result<Option<Error>> {
    let current = Network::read(netlink)?;
    for (name, link) in &wanted.network.links {
        let (Kind::Bond(asked), Some(Kind::Bond(has))) =
            (&link.kind, current.links.get(name).map(|link| &link.kind))
        else {
            continue;
        };
        let missing = asked.options.options().find(|(number, value)| {
            !matches!(value, BondValue::Addresses(_)) && has.options.get(*number).is_none()
        });
        if let Some(option) = missing.and_then(|(number, _)| BondOption::of_number(number)) {
            return Ok(Some(Error::LacksOption { name: name.clone(), option: option.name.to_owned() }));
        }
    }
    Ok(None)
}

/// The namespace of the calling thread, as the records need it.
pub struct Here<'a> {
    netlink: Netlink,
    progress: Box<dyn FnMut(&Step) + 'a>,
}

impl<'a> Here<'a> {
    /// Opens a socket in the calling thread's namespace; each step is told before it is done.
    ///
    /// # Errors
    /// When there can be no socket.
    pub fn open(progress: impl FnMut(&Step) + 'a) -> Result<Self> {
        Ok(Self { netlink: Netlink::open()?, progress: Box::new(progress) })
    }
}

impl Machinery for Here<'_> {
    fn namespace(&self) -> Result<(u64, u64)> {
        Ok(NetNs::current()?.id()?)
    }

    fn read(&mut self) -> Result<Network> {
        Network::read(&mut self.netlink)
    }

    fn converge(&mut self, wanted: &Wanted) -> Result<()> {
        host_access::take(&mut self.netlink, &wanted.host_access, &mut *self.progress)?;
        converge(&mut self.netlink, wanted, &mut *self.progress)?;
        host_access::give(&mut self.netlink, &wanted.host_access, &mut *self.progress)
    }

    fn reload(&mut self, paths: &[std::path::PathBuf]) {
        let subjects = crate::owner::Subject::all(&mut self.netlink).unwrap_or_default();
        crate::owner::reload(&crate::owner::View::of_this_host(), paths, &subjects);
    }
}
