//! From a declared state to a change that can be made.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::boot::without_missing;
use super::{Change, Keeper, Launcher, Machinery, Outcome, declared_text};
use crate::carried::{self, Carried};
use crate::files::File;
use crate::owner::{Foreign, Owner, Subject, Tool, View, find, taking};
use crate::state::{Declared, HostAccess, HostAccessWay, InterfaceState};
use crate::unit::{Made, Manifest, host_files, link_file};
use crate::{Difference, Error, Network, Plan, Result, State, Step, Wanted};

/// First line of `host.yaml`.
const HEAD: &str = "# The network of this host as last confirmed, brought up at boot by llano host boot.\n\
                    # llano host apply FILE adds to it, llano host undo takes away.\n";

/// A declared state with what it would change.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The network now.
    pub before: Network,
    /// The network that is wanted.
    pub wanted: Wanted,
    /// What is different.
    pub difference: Difference,
    /// What would be done.
    pub plan: Plan,
    /// `host.yaml` as it would be.
    pub declared: State,
    /// `host.yaml` as it would be written.
    pub text: String,
    /// Whether `host.yaml` is so already.
    pub is_declared: bool,
    /// What `host.yaml` says otherwise than the network will be.
    pub other: Difference,
}

/// How a change is to be made.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// In a person's words: `apply bond.yaml`.
    pub what: String,
    /// Take it back after this time unless confirmed.
    pub confirm: Option<Duration>,
    /// Keep other tools off the interfaces that are touched.
    pub take: bool,
    /// Go on though containers lose interfaces with a link.
    pub lose_containers: bool,
}

/// Plans what a state, added to what is declared already, changes.
///
/// # Errors
/// When the state cannot be applied here, or `host.yaml` cannot be read.
pub fn plan<M: Machinery>(keeper: &mut Keeper<M>, state: &State) -> Result<Planned> {
    let before = keeper.read()?;
    let mut wanted = state.wanted(&before)?;
    let mut difference = Difference::of(&before, &wanted);
    let mut plan = Plan::new(&before, &wanted)?;
    let old = keeper.declared()?;
    let path = keeper.places().declared();
    let mut declared = match &old {
        Some(text) => State::parse_kept(text).map_err(|error| Error::record(&path, &error))?,
        None => State::default(),
    };
    difference.host_access(&before, &wanted, &declared);
    plan.host_access(&before, &wanted, &declared);
    declared.overlay(state);
    for name in declared.without_lent(Some(&wanted.network)) {
        let note = format!("what is lent to {name} is not declared: who lends it brings it after a boot too");
        wanted.notes.push(note);
    }
    without_the_replaced(&mut declared, state, &wanted.network);
    // What is kept must bring up at boot what is made now, as far as its NICs are there.
    let at_boot = without_missing(&declared, &wanted.network).wanted(&wanted.network);
    let at_boot =
        at_boot.map_err(|error| Error::Contradiction { path: path.clone(), error: Box::new(error) })?;
    let other = Difference::of(&wanted.network, &at_boot);
    let text = format!("{HEAD}{}", declared.to_yaml());
    let is_declared = old.as_ref() == Some(&text);
    Ok(Planned { before, wanted, difference, plan, declared, text, is_declared, other })
}

/// Takes out of what was declared earlier what a newer state has ended without naming it: what stood on a link that is
/// absent now, routes by an interface that they cannot be on any more, and ports that another bond has taken.
fn without_the_replaced(declared: &mut State, newer: &State, wanted: &Network) {
    let stays = |name: &str| newer.interface(name).is_some() || wanted.links.contains_key(name);
    declared.interfaces.retain(|interface| {
        interface.is_absent() || interface.is_ignored() || !interface.is_made() || stays(&interface.name)
    });
    let State { interfaces, routes, .. } = &mut *declared;
    routes.config.retain(|route| {
        let Some(dev) = &route.next_hop_interface else { return true };
        let Some(interface) = interfaces.iter().find(|interface| interface.name == *dev) else {
            return stays(dev);
        };
        if route.state.is_some() {
            return true;
        }
        let family = match route.destination {
            Some(to) if to.addr().is_ipv6() => Declared::V6,
            _ => Declared::V4,
        };
        let off = interface.ip(family).is_some_and(|ip| ip.enabled == Some(false));
        // IPv4 needs an address only to reach a router.
        let cannot = family == Declared::V6 || route.next_hop_address.is_some_and(|via| via.is_ipv4());
        let is_down = interface.is_absent() || interface.state == Some(InterfaceState::Down);
        // What the newer state itself says of it was looked at already.
        newer.routes.config.contains(route) || !(is_down || off && cannot)
    });
    for interface in &mut declared.interfaces {
        let name = interface.name.clone();
        let Some(bond) = interface.link_aggregation.as_mut().filter(|bond| bond.port.is_some()) else {
            continue;
        };
        let controller = |port: &str| wanted.links.get(port).and_then(|link| link.controller.as_deref());
        let listed = newer.interface(&name).is_some_and(|newer| newer.ports().is_some());
        bond.retain_ports(|port| listed || controller(port).is_none_or(|controller| controller == name));
    }
}

impl Planned {
    /// Whether neither the network nor `host.yaml` would change.
    pub fn is_nothing(&self) -> bool {
        self.plan.is_empty() && self.difference.is_empty() && self.is_declared
    }

    /// Gives containers that have come since the access that is declared, where nothing else is to be done.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn refresh<M: Machinery>(&self, keeper: &mut Keeper<M>) -> Result<()> {
        let by_shim = |access: &HostAccess| access.way == Some(HostAccessWay::Shim);
        if self.wanted.host_access.values().any(by_shim) {
            keeper.lend()?.converge(&self.wanted)
        } else {
            Ok(())
        }
    }

    /// The interfaces that are changed, not those that are only spoken of.
    pub fn touched(&self) -> BTreeSet<&str> {
        self.plan.steps.iter().flat_map(Step::touches).collect()
    }

    /// Who else looks after the interfaces that are changed.
    pub fn owners(&self, view: &View, subjects: &[Subject]) -> Vec<Owner> {
        let touched = self.touched();
        let mut subjects: Vec<Subject> =
            subjects.iter().filter(|subject| touched.contains(subject.name.as_str())).cloned().collect();
        let new = touched.iter().filter(|name| !self.before.links.contains_key(**name));
        subjects.extend(new.map(|name| Subject::to_be_made(name)));
        find(view, &subjects)
    }

    /// What containers would lose.
    ///
    /// # Errors
    /// When the host's namespaces cannot be read.
    pub fn carried(&self) -> Result<Vec<Carried>> {
        self.plan.carried_here()
    }

    /// Whether the interface would keep an IPv4 address that ends when nobody renews it.
    fn has_leased(&self, interface: &str) -> bool {
        let link = self.wanted.network.links.get(interface);
        link.is_some_and(|link| link.addresses.iter().any(|a| a.valid.is_some() && a.net.addr().is_ipv4()))
    }

    /// Why it would not be done, the first being what [`declare`] says.
    pub fn refusals(&self, how: &How, owners: &[Owner], carried: &[Carried]) -> Vec<Error> {
        let mut refusals = Vec::new();
        let stays = |owner: &&Owner| !how.take || !owner.tool.can_be_kept_off();
        refusals.extend(owners.iter().filter(stays).map(Error::owned));
        if !how.lose_containers {
            refusals.extend(carried::refuse(carried).err());
        }
        // What cannot be kept off, or is not to be, is said already.
        let leased = owners.iter().filter(|owner| !stays(owner) && self.has_leased(&owner.interface));
        refusals.extend(
            leased.map(|owner| Error::Leased { interface: owner.interface.clone(), tool: owner.tool.name() }),
        );
        refusals
    }

    /// The files outside our own directories that go with it.
    ///
    /// # Errors
    /// When a tool cannot be kept off.
    pub fn files(&self, how: &How, view: &View, owners: &[Owner], manifest: &Manifest) -> Result<Vec<File>> {
        let mut files = if how.take { taking(view, owners)?.files } else { Vec::new() };
        let made = Made::of(&self.declared);
        let permanent = host_files(&view.root, &made);
        if permanent.iter().any(|file| manifest.has(&file.path)) || is_enabled(manifest) {
            files.extend(permanent);
        } else if view.root.join("run/udev/control").exists() {
            // udev looks at a link as soon as it is there: what keeps it off must be there before.
            files.extend(link_file(&view.root.join("run/systemd/network"), &made));
        }
        Ok(files)
    }

    /// What a person should know though it does not stop the change.
    pub fn warnings(&self, view: &View, how: &How) -> Vec<String> {
        let mut warnings = self.wanted.notes.clone();
        let other: Vec<&str> = self.other.interfaces.keys().map(String::as_str).collect();
        if !other.is_empty() {
            let other = other.join(", ");
            warnings.push(format!("what was declared earlier of {other} holds again after a boot"));
        }
        if let Some(foreign) = Foreign::of(view).filter(|_| !how.take) {
            let adds = |is: fn(&Step) -> bool| self.plan.steps.iter().any(is);
            let routes = foreign.routes && adds(|step| matches!(step, Step::AddRoute(_)));
            let rules = foreign.rules && adds(|step| matches!(step, Step::AddRule(_)));
            if routes || rules {
                let what = match (routes, rules) {
                    (true, true) => "routes and rules",
                    (true, false) => "routes",
                    _ => "rules",
                };
                warnings.push(format!(
                    "{} takes away {what} of others when it starts anew: --take tells it not to",
                    Tool::SystemdNetworkd.name()
                ));
            }
        }
        warnings
    }
}

impl Step {
    /// The interfaces that this step changes.
    pub fn touches(&self) -> Vec<&str> {
        match self {
            Self::AddLink { name, .. } | Self::ChangeLink { name, .. } | Self::DeleteLink { name } => {
                vec![name]
            }
            Self::AddAddress { dev, .. }
            | Self::DeleteAddress { dev, .. }
            | Self::SetNeighbour { dev, .. }
            | Self::DeleteNeighbour { dev, .. } => vec![dev],
            Self::AddRoute(route) | Self::DeleteRoute(route) => {
                route.dev.iter().chain(route.hops.iter().map(|hop| &hop.dev)).map(String::as_str).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Makes what was planned.
///
/// # Errors
/// [`Error::Owned`] when another tool looks after an interface and may not, or cannot, be kept off;
/// [`Error::Carries`] when containers would lose interfaces; as [`Keeper::make`].
pub fn declare<M: Machinery>(
    keeper: &mut Keeper<M>,
    planned: Planned,
    how: &How,
    view: &View,
    subjects: &[Subject],
    watchdog: Option<&Launcher>,
) -> Result<Outcome> {
    let owners = planned.owners(view, subjects);
    let carried = if how.lose_containers { Vec::new() } else { planned.carried()? };
    if let Some(refusal) = planned.refusals(how, &owners, &carried).into_iter().next() {
        return Err(refusal);
    }
    let places = keeper.places().clone();
    let mut manifest = Manifest::read(&places)?;
    let files = planned.files(how, view, &owners, &manifest)?;
    let lasting: Vec<_> = files.iter().filter(|file| !file.path.starts_with(view.root.join("run"))).collect();
    let replaced =
        lasting.into_iter().filter(|file| !file.is_there()).map(File::look).collect::<Result<Vec<_>>>()?;
    manifest.note(&places, &replaced)?;
    let change = Change {
        what: how.what.clone(),
        before: planned.before,
        wanted: planned.wanted,
        declared: Some(planned.text),
        confirm: how.confirm,
        files,
    };
    keeper.make(change, watchdog)
}

fn is_enabled(manifest: &Manifest) -> bool {
    manifest.replaced.iter().any(|replaced| replaced.path.extension() == Some("service".as_ref()))
}

/// `host.yaml` of these places as a state.
///
/// # Errors
/// When it cannot be read, or holds what cannot be applied.
pub fn declared_state(places: &super::Places) -> Result<Option<State>> {
    let parse =
        |text: String| State::parse_kept(&text).map_err(|error| Error::record(&places.declared(), &error));
    declared_text(places)?.map(parse).transpose()
}

/// The name that a person knows a file by.
pub fn words_for(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
