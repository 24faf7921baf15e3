//! Bringing the declared state up after a boot.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use kernel::{Groups, MacAddr, Monitor, Netlink};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use serde::Serialize;

use super::declare::declared_state;
use super::{Fate, History, Keeper, Machinery, Pending, Places, Stage, Told};
use crate::state::Identifier;
use crate::{Difference, Error, MoveAddress, Network, Result, State, Wanted};

/// What happens at boot.
#[derive(Debug)]
pub enum Boots<'a> {
    /// An unfinished change was found.
    Told(Told),
    /// The records cannot be used, as on a full or read-only disk: it goes without them.
    WithoutRecords(&'a Error),
    /// `host.yaml` cannot be used: what the newest change that holds declared takes its place.
    Instead(&'a Error, u32),
    /// These NICs are not there yet.
    Waiting(&'a BTreeSet<String>),
    /// They did not come: the rest is brought up.
    Without(&'a BTreeSet<String>),
    /// This is done now.
    Applying(&'a Wanted, &'a Difference),
    /// It could not be done as a whole: each interface is brought up for itself.
    OneByOne(&'a Error),
    /// This part could not be brought up.
    Left(&'a str, &'a Error),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Booted {
    /// Whether anything is declared.
    pub declared: bool,
    /// Whether anything had to be changed.
    pub changed: bool,
    /// NICs that did not come.
    pub missing: BTreeSet<String>,
    /// Parts that could not be brought up.
    pub left: Vec<String>,
    /// Whether `host.yaml` is damaged.
    pub damaged: bool,
}

impl Booted {
    /// Whether the network is as declared.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.left.is_empty() && !self.damaged
    }
}

/// Waits until the NICs are there that the declared state builds on, and makes the network what it says. Whatever is
/// missing or damaged, as much as can be is brought up: a host that can be reached can be mended.
///
/// # Errors
/// When nothing is left that could be applied, or a change waits to be confirmed.
pub fn boot<M: Machinery>(
    places: &Places,
    machinery: &mut dyn FnMut() -> Result<M>,
    limit: Duration,
    told: &mut dyn FnMut(Boots<'_>),
) -> Result<Booted> {
    let opened = Keeper::open(places.clone(), machinery()?, &mut |what| told(Boots::Told(what)));
    let (mut keeper, mut alone);
    let machine: &mut M = match opened {
        Ok(opened) => {
            keeper = opened;
            keeper.lend()?
        }
        Err(error) => {
            told(Boots::WithoutRecords(&error));
            alone = machinery()?;
            &mut alone
        }
    };
    let mut booted = Booted::default();
    let Some(mut state) = declared_at_boot(places, &mut booted, told)? else { return Ok(booted) };
    booted.declared = true;
    booted.missing = wait_for(&needed(&state), limit, told)?;
    if !booted.missing.is_empty() {
        told(Boots::Without(&booted.missing));
        leave_out(&mut state, &booted.missing);
    }
    match whole(machine, &state, told) {
        Ok(changed) => booted.changed = changed,
        Err(error) => {
            told(Boots::OneByOne(&error));
            booted.changed = true;
            booted.left = one_by_one(machine, &state, told);
        }
    }
    Ok(booted)
}

/// What was confirmed last, from wherever it can still be read.
fn declared_at_boot(
    places: &Places,
    booted: &mut Booted,
    told: &mut dyn FnMut(Boots<'_>),
) -> Result<Option<State>> {
    // Confirmed, and not written down because the disk has no room.
    let confirmed = Pending::read(places).ok().flatten().filter(|pending| pending.stage == Stage::Confirmed);
    if let Some(state) = confirmed.and_then(|pending| State::parse_kept(&pending.declared_after?).ok()) {
        return Ok(Some(state));
    }
    let error = match declared_state(places) {
        Err(error) => error,
        read => return read,
    };
    for numbered in History::of(places).entries().unwrap_or_default().into_iter().rev() {
        let Ok(entry) = numbered.entry else { continue };
        let text = entry.declared_after.filter(|_| entry.fate == Fate::Confirmed);
        if let Some(state) = text.and_then(|text| State::parse_kept(&text).ok()) {
            told(Boots::Instead(&error, numbered.number));
            booted.damaged = true;
            return Ok(Some(state));
        }
    }
    Err(error)
}

fn whole<M: Machinery>(machine: &mut M, state: &State, told: &mut dyn FnMut(Boots<'_>)) -> Result<bool> {
    let current = machine.read()?;
    let wanted = state.wanted(&current)?;
    let difference = Difference::of(&current, &wanted);
    if !difference.is_empty() {
        told(Boots::Applying(&wanted, &difference));
    }
    machine.converge(&wanted)?;
    Ok(!difference.is_empty())
}

/// Every part for itself, again and again as long as another succeeds: what one stands on may come after it.
fn one_by_one<M: Machinery>(machine: &mut M, state: &State, told: &mut dyn FnMut(Boots<'_>)) -> Vec<String> {
    let mut left = parts(state);
    loop {
        let before = left.len();
        let mut errors = Vec::new();
        left.retain(|(name, part)| {
            let done = machine.read().and_then(|current| machine.converge(&part.wanted(&current)?));
            done.map_err(|error| errors.push((name.clone(), error))).is_err()
        });
        if left.len() == before || left.is_empty() {
            errors.iter().for_each(|(name, error)| told(Boots::Left(name, error)));
            return left.into_iter().map(|(name, _)| name).collect();
        }
    }
}

fn parts(state: &State) -> Vec<(String, State)> {
    let mut parts = Vec::new();
    for interface in &state.interfaces {
        let part = State { interfaces: vec![interface.clone()], ..State::default() };
        parts.push((interface.name.clone(), part));
    }
    for route in &state.routes.config {
        let mut part = State::default();
        part.routes.config.push(route.clone());
        let to = route.destination.map_or_else(|| "a route".to_owned(), |to| format!("the route to {to}"));
        parts.push((to, part));
    }
    if !state.route_rules.is_empty() {
        let route_rules = state.route_rules.clone();
        parts.push(("the rules".to_owned(), State { route_rules, ..State::default() }));
    }
    parts
}

/// What has to be there before a state can be applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nic {
    Named(String),
    WithMac { mac: MacAddr, declared_as: String },
}

fn needed(state: &State) -> BTreeSet<Nic> {
    let mut names = state.names();
    let mut nics = BTreeSet::new();
    for interface in &state.interfaces {
        let by_mac = match interface.identifier {
            Some(Identifier::MacAddress) => interface.mac_address,
            _ => None,
        };
        if let Some(how) = MoveAddress::declared(interface) {
            names.remove(&how.child());
        }
        let is_made = interface.is_made();
        if is_made || interface.is_absent() || interface.is_ignored() || by_mac.is_some() {
            names.remove(&interface.name);
        }
        if let Some(mac) = by_mac.filter(|_| !is_made && !interface.is_absent() && !interface.is_ignored()) {
            nics.insert(Nic::WithMac { mac, declared_as: interface.name.clone() });
        }
    }
    nics.extend(names.into_iter().map(Nic::Named));
    nics
}

/// Waits by events. What is still missing when the time is over.
fn wait_for(
    nics: &BTreeSet<Nic>,
    limit: Duration,
    told: &mut dyn FnMut(Boots<'_>),
) -> Result<BTreeSet<String>> {
    let end = Instant::now() + limit;
    // Before the first look: what comes between the two is heard.
    let mut monitor = Monitor::open(Groups { links: true, ..Groups::default() })?;
    let udev = Udev::here();
    let mut netlink = Netlink::open()?;
    let mut last = None;
    loop {
        let missing = missing(&mut netlink, nics, udev.as_ref())?;
        let left = end.saturating_duration_since(Instant::now());
        if missing.is_empty() || left.is_zero() {
            return Ok(missing);
        }
        if last.as_ref() != Some(&missing) {
            told(Boots::Waiting(&missing));
            last = Some(missing);
        }
        let mut fds = vec![PollFd::from_borrowed_fd(monitor.as_fd(), PollFlags::IN)];
        fds.extend(udev.as_ref().map(|udev| PollFd::from_borrowed_fd(udev.notify.as_fd(), PollFlags::IN)));
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::file("wait for", Path::new("links"), errno.into())),
        }
        monitor.wait(Some(Duration::ZERO))?;
        if let Some(udev) = &udev {
            udev.drain();
        }
    }
}

fn missing(netlink: &mut Netlink, nics: &BTreeSet<Nic>, udev: Option<&Udev>) -> Result<BTreeSet<String>> {
    let links = netlink.links()?;
    let ready = |index: u32| udev.is_none_or(|_| Udev::knows(index));
    let is_there = |nic: &&Nic| {
        links.iter().any(|link| {
            let is = match nic {
                Nic::Named(name) => link.name == *name,
                Nic::WithMac { mac, .. } => link.perm_mac.or(link.mac) == Some(*mac),
            };
            is && (link.is_loopback() || ready(link.index))
        })
    };
    let missing = nics.iter().filter(|nic| !is_there(nic));
    Ok(missing
        .map(|nic| match nic {
            Nic::Named(name) => name.clone(),
            Nic::WithMac { declared_as, .. } => declared_as.clone(),
        })
        .collect())
}

/// udev renames NICs after they appear: one is taken only when udev is done with it.
struct Udev {
    notify: rustix::fd::OwnedFd,
}

impl Udev {
    /// The udev that runs here, if one does.
    fn here() -> Option<Self> {
        if !Path::new("/run/udev/control").exists() {
            return None;
        }
        let notify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).ok()?;
        std::fs::create_dir_all("/run/udev/data").ok()?;
        let flags = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CREATE;
        inotify::add_watch(&notify, "/run/udev/data", flags).ok()?;
        Some(Self { notify })
    }

    fn knows(index: u32) -> bool {
        Path::new(&format!("/run/udev/data/n{index}")).exists()
    }

    fn drain(&self) {
        let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
        while let Ok((read, _)) = rustix::io::read(&self.notify, &mut buffer[..]) {
            if read.is_empty() {
                break;
            }
        }
    }
}

/// The state without what builds on NICs that are not there.
pub(super) fn without_missing(state: &State, network: &Network) -> State {
    let is_there = |nic: &Nic| match nic {
        Nic::Named(name) => network.links.contains_key(name),
        Nic::WithMac { mac, .. } => {
            network.links.values().any(|link| link.permanent_mac.or(link.mac) == Some(*mac))
        }
    };
    let missing = needed(state).into_iter().filter(|nic| !is_there(nic));
    let missing = missing.map(|nic| match nic {
        Nic::Named(name) => name,
        Nic::WithMac { declared_as, .. } => declared_as,
    });
    let mut state = state.clone();
    leave_out(&mut state, &missing.collect());
    state
}

/// Takes interfaces out of a state, with what stands on them. A bond stays with the ports that are there, and what was to
/// have the MAC of one that is not has another.
fn leave_out(state: &mut State, missing: &BTreeSet<String>) {
    let mut gone = missing.clone();
    loop {
        let on_it = |interface: &&crate::state::Interface| {
            !gone.contains(&interface.name) && interface.parent().is_some_and(|parent| gone.contains(parent))
        };
        let more: Vec<String> = state.interfaces.iter().filter(on_it).map(|i| i.name.clone()).collect();
        if more.is_empty() {
            break;
        }
        gone.extend(more);
    }
    state.interfaces.retain(|interface| !gone.contains(&interface.name));
    for interface in &mut state.interfaces {
        if let Some(bond) = &mut interface.link_aggregation {
            bond.retain_ports(|port| !gone.contains(port));
        }
        interface.copy_mac_from.take_if(|from| gone.contains(from));
    }
    let by_it = |name: &Option<String>| name.as_ref().is_some_and(|name| gone.contains(name));
    state.routes.config.retain(|route| !by_it(&route.next_hop_interface));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "
interfaces:
- { name: eth0, type: ethernet, state: up }
- name: bond0
  type: bond
  state: up
  copy-mac-from: eth1
  link-aggregation: { mode: active-backup, port: [eth0, eth1], options: { primary: eth1, miimon: 100 } }
- { name: bond0.100, type: vlan, vlan: { base-iface: bond0, id: 100 } }
- { name: eth2.5, type: vlan, vlan: { base-iface: eth2, id: 5 } }
- { name: shop, type: mac-vlan, mac-vlan: { base-iface: eth2.5, mode: bridge } }
- { name: gone0, state: absent }
";

    fn seed() -> State {
        State::parse(SEED).unwrap()
    }

    #[test]
    fn what_is_made_is_not_waited_for() {
        let named: Vec<Nic> = ["eth0", "eth1", "eth2"].map(|name| Nic::Named(name.to_owned())).into();
        assert_eq!(needed(&seed()).into_iter().collect::<Vec<_>>(), named);
    }

    #[test]
    fn the_rest_goes_without_what_is_missing() {
        let mut state = seed();
        leave_out(&mut state, &["eth1", "eth2"].map(str::to_owned).into());
        let names: Vec<&str> = state.interfaces.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["eth0", "bond0", "bond0.100", "gone0"]);
        assert_eq!(state.interface("bond0").unwrap().ports(), Some(&vec!["eth0".to_owned()]));
        // What is left can be made of what is there.
        let text = r#"{"kind":"physical","parent":null,"controller":null,"mac":null,"permanent_mac":null,"mtu":1500,"up":true,
            "promiscuous":false,"all_multicast":false,"arp":true,"tx_queue_len":1000,"addr_gen_mode":null,
            "addresses":[],"neighbours":[]}"#;
        let mut network = Network::default();
        network.links.insert("eth0".to_owned(), serde_json::from_str(text).unwrap());
        let wanted = state.wanted(&network).unwrap().network;
        assert_eq!(wanted.links["eth0"].controller.as_deref(), Some("bond0"));
        assert!(wanted.links.contains_key("bond0.100"));
        assert_eq!(without_missing(&seed(), &network), state, "so it is looked at before it is declared");
    }
}
