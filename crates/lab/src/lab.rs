//! Labs: bringing one up, finding it again, taking it down.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use kernel::NetNs;

use crate::error::{Error, Result};
use crate::host::{Host, Switch};
use crate::namespace::{self, MNT, NET};
use crate::processes::{self, NamespaceId, Scope};
use crate::spec::{End, LabSpec};
use crate::state::{self, Directory, Owner, Stage, State};
use crate::step::{Step, steps};
use crate::wiring::{self, Plug, PlugKind};
use crate::{mounts, sys};

/// Version of the state file's format.
const VERSION: u32 = 1;

/// A lab that is up. It stays up when this value goes away: [`Lab::down`] ends it.
#[derive(Debug)]
pub struct Lab {
    name: String,
    spec: LabSpec,
    hosts: Vec<Host>,
    switches: Vec<Switch>,
}

/// One line of [`Lab::list`].
#[derive(Debug, Clone, serde::Serialize)]
pub struct Summary {
    /// The lab's name.
    pub name: String,
    /// How far it came; `None` when its builder died before it wrote anything.
    pub stage: Option<Stage>,
    /// Names of its hosts and routers.
    pub nodes: Vec<String>,
    /// Names of its switches.
    pub switches: Vec<String>,
    /// How many processes run in it.
    pub processes: usize,
}

impl Lab {
    /// Brings a lab up. When that fails, what was made is taken away again.
    ///
    /// # Errors
    /// [`Error::Exists`] when there is one of that name; what the kernel refused otherwise.
    pub fn up(spec: &LabSpec, name: &str) -> Result<Self> {
        Self::up_with(spec, name, &mut |_, _| {})
    }

    /// As [`Lab::up`], telling `watch` the number of each step (from 0) and the step before it is taken.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn up_with(spec: &LabSpec, name: &str, watch: &mut dyn FnMut(usize, &Step)) -> Result<Self> {
        build(spec, name, None, watch)
    }

    /// As [`Lab::up`], a lab that belongs to this process: should the process be killed before it takes the lab down,
    /// the next one that calls this or [`Lab::ephemeral`] does.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn up_for_this_process(spec: &LabSpec, name: &str) -> Result<Self> {
        needs_root()?;
        remove_orphans();
        build(spec, name, Owner::current(), &mut |_, _| {})
    }

    /// A lab with a unique name that is taken down when the value is dropped, and, should the process be killed,
    /// when the next such lab is made.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn ephemeral(spec: &LabSpec) -> Result<Ephemeral> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self::up_for_this_process(spec, &name).map(|lab| Ephemeral { lab })
    }

    /// Opens a lab that is up.
    ///
    /// # Errors
    /// [`Error::NoSuchLab`], or [`Error::State`] when its building was cut short.
    pub fn open(name: &str) -> Result<Self> {
        let directory = Directory::of(name)?;
        if !directory.exists() {
            return Err(Error::NoSuchLab { lab: name.to_owned(), labs: state::names() });
        }
        let broken = || Error::State {
            lab: name.to_owned(),
            path: directory.path.clone(),
            reason: format!(
                "not complete: its building goes on, or was cut short; `llano lab down {name}` clears it away"
            ),
        };
        let state = directory.read()?.filter(|state| state.stage == Stage::Up).ok_or_else(broken)?;
        open(&directory, LabSpec::parse(&state.spec)?)
    }

    /// Every lab there is, also half-built ones.
    pub fn list() -> Vec<Summary> {
        state::names().iter().filter_map(|name| Directory::of(name).ok()).map(|dir| summary(&dir)).collect()
    }

    /// Takes a lab down, also one whose building or taking down was cut short: ends its processes, then lets go of its
    /// namespaces, and with them of every link, address and route in it.
    ///
    /// # Errors
    /// [`Error::NoSuchLab`]; what could not be ended or unmounted otherwise.
    pub fn down(name: &str) -> Result<()> {
        needs_root()?;
        let directory = Directory::of(name)?;
        let _lock = directory.lock()?;
        clear(&directory)
    }

    /// What a power cut and a boot leave of a host: ends all its processes, lets go of its namespaces, and makes them anew,
    /// with the wires and addresses of the description. Only what is on its disk is still there.
    ///
    /// # Errors
    /// [`Error::NoSuchNode`]; [`Error::Spec`] for one that is wired to another node directly; what the kernel refused.
    pub fn reboot(&mut self, node: &str) -> Result<()> {
        needs_root()?;
        let at = self.hosts.iter().position(|host| host.name() == node);
        let at = match at {
            Some(at) => at,
            None => return self.host(node).map(drop),
        };
        let directory = Directory::of(&self.name)?;
        let _lock = directory.lock()?;
        let host = self.hosts.remove(at);
        let fresh = power_cycle(&directory, &self.spec, host)?;
        self.hosts.insert(at, fresh);
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its description.
    pub fn spec(&self) -> &LabSpec {
        &self.spec
    }

    /// All hosts and routers, in the description's order.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// All switches.
    pub fn switches(&self) -> &[Switch] {
        &self.switches
    }

    /// The host or router of that name.
    ///
    /// # Errors
    /// [`Error::NoSuchNode`].
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.hosts.iter().find(|host| host.name() == name).ok_or_else(|| Error::NoSuchNode {
            lab: self.name.clone(),
            node: name.to_owned(),
            nodes: self.hosts.iter().map(|host| host.name().to_owned()).collect(),
        })
    }

    /// The switch of that name.
    ///
    /// # Errors
    /// [`Error::NoSuchNode`].
    pub fn switch(&self, name: &str) -> Result<&Switch> {
        self.switches.iter().find(|switch| switch.name() == name).ok_or_else(|| Error::NoSuchNode {
            lab: self.name.clone(),
            node: name.to_owned(),
            nodes: self.switches.iter().map(|switch| switch.name().to_owned()).collect(),
        })
    }
}

/// A test's lab: down when dropped.
#[derive(Debug)]
pub struct Ephemeral {
    lab: Lab,
}

impl std::ops::Deref for Ephemeral {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Drop for Ephemeral {
    fn drop(&mut self) {
        if let Err(error) = Lab::down(&self.lab.name) {
            eprintln!("lab {}: {error}", self.lab.name);
        }
    }
}

fn needs_root() -> Result<()> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Error::NeedsRoot) }
}

fn build(
    spec: &LabSpec,
    name: &str,
    owner: Option<Owner>,
    watch: &mut dyn FnMut(usize, &Step),
) -> Result<Lab> {
    needs_root()?;
    let directory = Directory::of(name)?;
    let _lock = directory.create()?;
    let mut state = State { version: VERSION, stage: Stage::Building, owner, spec: spec.source().to_owned() };
    let mut take = |step: &Step| match step {
        Step::Note { .. } => directory.write(&state),
        Step::Mount => mounts::make_private(&directory.path),
        Step::Complete => {
            let names = spec
                .nodes
                .iter()
                .map(|node| &node.name)
                .chain(spec.switches.iter().map(|switch| &switch.name));
            names.into_iter().try_for_each(|name| wiring::settle(name, &net(&directory, name)?))?;
            state.stage = Stage::Up;
            directory.write(&state)
        }
        other => make(&directory, spec, other),
    };
    let built = steps(name, spec).iter().enumerate().try_for_each(|(at, step)| {
        watch(at, step);
        take(step)
    });
    match built.and_then(|()| open(&directory, spec.clone())) {
        Ok(lab) => Ok(lab),
        Err(error) => {
            // The first error is the one to tell.
            let _ = clear(&directory);
            Err(error)
        }
    }
}

fn make(directory: &Directory, spec: &LabSpec, step: &Step) -> Result<()> {
    match step {
        Step::Switch { switch } => {
            namespace::make_network(&directory.node(switch))?;
            match spec.switches.iter().find(|known| known.name == *switch) {
                Some(spec) => wiring::switch(spec, &net(directory, switch)?),
                None => Ok(()),
            }
        }
        Step::Node { node, .. } => match spec.node(node) {
            Some(spec) => namespace::make_node(&directory.node(node), spec),
            None => Ok(()),
        },
        Step::Wire { between: [a, b], hairpin, mtu } => {
            let nets = [net(directory, end_node(a))?, net(directory, end_node(b))?];
            let [Some(first), Some(second)] =
                [plug(spec, a, b, &nets[0], *hairpin), plug(spec, b, a, &nets[1], *hairpin)]
            else {
                return Ok(());
            };
            wiring::wire(&first, &second, *mtu)
        }
        Step::Configure { node } => match spec.node(node) {
            Some(spec) => wiring::configure(spec, &net(directory, node)?),
            None => Ok(()),
        },
        Step::Note { .. } | Step::Mount | Step::Complete => Ok(()),
    }
}

fn net(directory: &Directory, node: &str) -> Result<NetNs> {
    NetNs::open(&directory.node(node).join(NET)).map_err(Error::network(node))
}

fn end_node(end: &End) -> &str {
    match end {
        End::Interface { node, .. } => node,
        End::Switch(name) => name,
    }
}

fn plug<'a>(spec: &'a LabSpec, end: &'a End, other: &End, net: &'a NetNs, hairpin: bool) -> Option<Plug<'a>> {
    match end {
        End::Interface { node, interface } => {
            let found = spec.node(node)?.interfaces.iter().find(|known| known.name == *interface)?;
            Some(Plug { node, net, name: interface.clone(), kind: PlugKind::Interface(found) })
        }
        End::Switch(name) => Some(Plug {
            node: name,
            net,
            name: port_name(spec, name, other),
            kind: PlugKind::Port { hairpin },
        }),
    }
}

/// A switch's port is named after what is plugged into it, where that fits the kernel's 15 bytes.
fn port_name(spec: &LabSpec, switch: &str, other: &End) -> String {
    let name = match other {
        End::Interface { node, interface } => format!("{node}-{interface}"),
        End::Switch(name) => format!("to-{name}"),
    };
    if name.len() <= 15 && name != wiring::BRIDGE {
        return name;
    }
    let wires = steps("", spec).into_iter().filter_map(|step| match step {
        Step::Wire { between, .. } => Some(between),
        _ => None,
    });
    let switch = End::Switch(switch.to_owned());
    let at =
        wires.into_iter().position(|ends| ends.contains(&switch) && ends.contains(other)).unwrap_or_default();
    format!("port{at}")
}

fn open(directory: &Directory, spec: LabSpec) -> Result<Lab> {
    let hosts = spec
        .nodes
        .iter()
        .map(|node| Host::open(&directory.lab, node, &directory.node(&node.name)))
        .collect::<Result<_>>()?;
    let switches = spec
        .switches
        .iter()
        .map(|switch| Switch::open(&switch.name, &directory.node(&switch.name)))
        .collect::<Result<_>>()?;
    Ok(Lab { name: directory.lab.clone(), spec, hosts, switches })
}

fn clear(directory: &Directory) -> Result<()> {
    processes::kill_all(&directory.lab, &scope(directory))?;
    crate::runtime::remove_cgroups(&directory.lab);
    mounts::detach_all(&directory.path)?;
    directory.remove()
}

fn power_cycle(directory: &Directory, spec: &LabSpec, host: Host) -> Result<Host> {
    let node = host.spec().clone();
    let of_node = |end: &End| end_node(end) == node.name;
    if let Some(link) = spec.links.iter().find(|link| link.between.iter().any(of_node)) {
        let [a, b] = &link.between;
        return Err(Error::spec(
            "links",
            format!("{a} - {b}"),
            "none for a host that is rebooted, only switches",
        ));
    }
    let dir = directory.node(&node.name);
    processes::kill_all(&directory.lab, &scope_of_node(&dir, host.cgroup()))?;
    crate::runtime::remove_cgroup(&host.cgroup());
    // Explicitly, and with them the switches' ends: a namespace dies when its last user lets go, at a moment of the kernel's choice.
    wiring::unplug(&node, host.net())?;
    drop(host);
    namespace::release(&dir)?;
    for step in steps(&directory.lab, spec) {
        let ours = match &step {
            Step::Node { node: name, .. } | Step::Configure { node: name } => *name == node.name,
            Step::Wire { between, .. } => between.iter().any(of_node),
            _ => false,
        };
        if ours {
            make(directory, spec, &step)?;
        }
    }
    wiring::settle(&node.name, &net(directory, &node.name)?)?;
    Host::open(&directory.lab, &node, &dir)
}

/// Where the lab's processes are: on its nodes and in the containers on them.
fn scope(directory: &Directory) -> Scope {
    let cgroup = format!("/{}", crate::runtime::cgroup_of(&directory.lab));
    Scope { namespaces: directory.nodes().iter().flat_map(|dir| namespaces_below(dir)).collect(), cgroup }
}

/// Where the processes of one node are.
pub(crate) fn scope_of_node(dir: &Path, cgroup: String) -> Scope {
    Scope { namespaces: namespaces_below(dir), cgroup }
}

/// The namespaces of one node and of the containers on it.
fn namespaces_below(dir: &Path) -> HashSet<NamespaceId> {
    // A file that nothing was bound onto yet is not a namespace.
    let bound = |path: &PathBuf| rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type == NSFS_MAGIC);
    let mut ids = HashSet::new();
    for path in [dir.join(NET), dir.join(MNT)].iter().filter(|path| bound(path)) {
        ids.extend(processes::id_of(path));
    }
    let mounts = dir.join(MNT);
    if bound(&mounts) {
        ids.extend(containers_below(&mounts));
    }
    ids
}

/// `NSFS_MAGIC` of linux/magic.h.
const NSFS_MAGIC: rustix::fs::FsWord = 0x6e73_6673;

fn containers_below(mounts: &PathBuf) -> Vec<NamespaceId> {
    let Ok(mounts) = fs::File::open(mounts) else { return vec![] };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            sys::enter_mounts(&mounts).ok()?;
            let entries = fs::read_dir(crate::container::DIRECTORY).ok()?.flatten();
            Some(entries.filter_map(|entry| processes::id_of(&entry.path())).collect::<Vec<_>>())
        });
        thread.join().ok().flatten().unwrap_or_default()
    })
}

fn summary(directory: &Directory) -> Summary {
    let state = directory.read().ok().flatten();
    let spec = state.as_ref().and_then(|state| LabSpec::parse(&state.spec).ok());
    let (nodes, switches) = match &spec {
        Some(spec) => (
            spec.nodes.iter().map(|node| node.name.clone()).collect(),
            spec.switches.iter().map(|switch| switch.name.clone()).collect(),
        ),
        None => (vec![], vec![]),
    };
    Summary {
        name: directory.lab.clone(),
        stage: state.map(|state| state.stage),
        nodes,
        switches,
        processes: processes::find(&scope(directory)).map_or(0, |found| found.len()),
    }
}

/// Takes down the labs of test processes that were killed.
fn remove_orphans() {
    for name in state::names() {
        let Ok(directory) = Directory::of(&name) else { continue };
        let owner = directory.read().ok().flatten().and_then(|state| state.owner);
        if owner.is_some_and(|owner| !owner.is_alive()) {
            // Another process may do the same at this moment.
            let _ = Lab::down(&name);
        }
    }
}
