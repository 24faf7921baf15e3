//! `llano link set`: all of a change, or nothing of it.

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use kernel::{Address, Change, Link, LinkKind, MacAddr, Macvlan, MacvlanMode, MacvlanSet, SetLink};
use topology::visible;

use super::before::Before;
use super::equal::Ip;
use super::place::Place;
use super::{refusal, show};
use crate::output::Out;

/// Change a link.
#[derive(Debug, Args)]
#[command(after_help = "\
When the kernel refuses one of the changes, those before it are taken back.

Examples:
  llano link set mv0 --mode private
  llano link set eth0 --netns web --mtu 1400 --up
  llano link set mv1 --nopromisc off
  llano link set mv0 --mac 02:00:5e:10:00:07 --address 10.1.0.51/24
  llano link set eth1 --controller bond0
  llano link set mv0 --mode vepa --dry-run")]
pub(crate) struct Set {
    /// The link
    name: String,
    /// The namespace: name, path, process, container, POD_NAMESPACE/POD
    #[arg(long, value_name = "NETNS")]
    netns: Option<String>,
    /// macvlan: bridge, private, vepa, source; the kernel allows no change from or to passthru
    #[arg(long, value_name = "MODE")]
    mode: Option<MacvlanMode>,
    /// macvlan of mode passthru: whether it leaves the parent's promiscuity alone
    #[arg(long, value_enum, value_name = "ON|OFF")]
    nopromisc: Option<Switch>,
    /// macvlan: how many broadcast frames may wait
    #[arg(long, value_name = "FRAMES")]
    bc_queue_len: Option<u32>,
    /// A new name
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    /// Its MAC
    #[arg(long, value_name = "MAC")]
    mac: Option<MacAddr>,
    /// Its MTU
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(68..=65_535))]
    mtu: Option<u32>,
    /// Length of its transmit queue
    #[arg(long, value_name = "PACKETS")]
    tx_queue_len: Option<u32>,
    /// The bond or bridge to become a port of
    #[arg(long, value_name = "LINK", conflicts_with = "no_controller")]
    controller: Option<String>,
    /// Leave the bond or bridge
    #[arg(long)]
    no_controller: bool,
    /// Receive every frame
    #[arg(long, value_enum, value_name = "ON|OFF")]
    promisc: Option<Switch>,
    /// Receive every multicast frame
    #[arg(long, value_enum, value_name = "ON|OFF")]
    all_multicast: Option<Switch>,
    /// Speak ARP
    #[arg(long, value_enum, value_name = "ON|OFF")]
    arp: Option<Switch>,
    /// Free text, at most 255 bytes; empty removes it
    #[arg(long, value_name = "TEXT")]
    alias: Option<String>,
    /// Add an address; may be given several times
    #[arg(long, value_name = "ADDRESS/LEN")]
    address: Vec<IpNet>,
    /// Delete an address; may be given several times
    #[arg(long, value_name = "ADDRESS/LEN")]
    delete_address: Vec<IpNet>,
    /// Set it up
    #[arg(long, conflicts_with = "down")]
    up: bool,
    /// Set it down
    #[arg(long)]
    down: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Switch {
    fn word(self) -> &'static str {
        if self == Self::On { "on" } else { "off" }
    }
}

fn on(switch: Option<Switch>) -> Option<bool> {
    switch.map(|switch| switch == Switch::On)
}

pub(crate) fn run(args: &Set, out: &mut Out) -> anyhow::Result<()> {
    let mut place = Place::open(args.netns.as_deref())?;
    let link = place.link(&args.name)?;
    let set = wanted(args, &link, &mut place)?;
    if set == SetLink::default() && args.address.is_empty() && args.delete_address.is_empty() {
        bail!("nothing to change: see `llano link set --help`");
    }
    if args.dry_run {
        return dry_run(args, &link, &place, out);
    }
    let before = Before::read(&link, &mut place)?;
    check_addresses(args, &before, &place)?;
    if let Err(error) = apply(args, &before, set, &mut place) {
        before.restore(&mut place);
        return Err(error);
    }
    show::one(&place, args.rename.as_deref().unwrap_or(&args.name), out)
}

/// What the kernel would refuse in the middle of the change is refused before it.
fn check_addresses(args: &Set, before: &Before<'_>, place: &Place) -> anyhow::Result<()> {
    let mut present: Vec<IpNet> = before.addresses.iter().map(|address| address.net).collect();
    let name = visible(&args.name);
    for net in &args.delete_address {
        match present.iter().position(|known| known == net) {
            Some(at) => drop(present.swap_remove(at)),
            None => bail!("--delete-address: {name} {} has no address {net}", place.described()),
        }
    }
    for net in &args.address {
        if present.contains(net) {
            bail!("--address: {name} {} has the address {net} already", place.described());
        }
        present.push(*net);
    }
    Ok(())
}

/// What to ask of the kernel; what it would refuse without a word is refused here with some.
fn wanted(args: &Set, link: &Link, place: &mut Place) -> anyhow::Result<SetLink> {
    let name = visible(&link.name);
    if args.mac.is_some_and(|mac| mac.is_multicast() || mac.is_zero()) {
        bail!("--mac: allowed is a unicast MAC");
    }
    if args.alias.as_ref().is_some_and(|alias| alias.len() > 255) {
        bail!("--alias: at most 255 bytes are allowed");
    }
    if let (Some(mtu), Some(_), None) = (args.mtu, link.kind.as_macvlan(), link.parent_nsid)
        && let Some(parent) = link.parent.and_then(|parent| place.socket.link_by_index(parent).ok().flatten())
    {
        attach::link::check_mtu(Some(mtu.into()), &parent)?;
    }
    let of_macvlan = args.mode.is_some() || args.nopromisc.is_some() || args.bc_queue_len.is_some();
    let macvlan = match link.kind.as_macvlan() {
        Some(macvlan) if of_macvlan => Some(of(args, link, macvlan)?),
        None if of_macvlan => bail!(
            "{name} is a {}: --mode, --nopromisc and --bc-queue-len are for macvlans",
            link.kind.name().unwrap_or("device")
        ),
        _ => None,
    };
    let master = match (&args.controller, args.no_controller) {
        (Some(controller), _) => Some(place.link(controller).context("--controller")?.index),
        (None, true) => Some(0),
        (None, false) => None,
    };
    if let Some(new) = args.rename.as_ref().filter(|new| **new != args.name)
        && place.socket.index_of(new)?.is_some()
    {
        bail!("--rename: there is a link {:?} {} already", visible(new), place.described());
    }
    Ok(SetLink {
        name: args.rename.clone(),
        up: if args.up { Some(true) } else { args.down.then_some(false) },
        mtu: args.mtu,
        mac: args.mac,
        tx_queue_len: args.tx_queue_len,
        promisc: on(args.promisc),
        allmulti: on(args.all_multicast),
        arp: on(args.arp),
        alias: args.alias.clone(),
        master,
        macvlan,
        ..SetLink::default()
    })
}

fn of(args: &Set, link: &Link, macvlan: &Macvlan) -> anyhow::Result<MacvlanSet> {
    let name = visible(&link.name);
    let passthru = |mode| mode == MacvlanMode::Passthru;
    if let Some(mode) = args.mode.filter(|mode| passthru(*mode) != passthru(macvlan.mode)) {
        bail!(
            "{name} has mode {}, and the kernel changes no mode from or to passthru ({mode}): delete it and make it anew",
            macvlan.mode
        );
    }
    if args.nopromisc == Some(Switch::On) && !passthru(macvlan.mode) {
        bail!("--nopromisc: only with mode passthru, and {name} has mode {}", macvlan.mode);
    }
    Ok(MacvlanSet {
        tap: matches!(link.kind, LinkKind::Macvtap(_)),
        mode: args.mode,
        nopromisc: on(args.nopromisc),
        bc_queue_len: args.bc_queue_len,
        source_macs: None,
    })
}

fn apply(args: &Set, before: &Before<'_>, mut set: SetLink, place: &mut Place) -> anyhow::Result<()> {
    let link = before.link;
    let index = link.index;
    // Up comes last, so that what is refused has not been up for a moment.
    let up = set.up.take_if(|up| *up);
    if set != SetLink::default() {
        let changed = place.socket.apply(&Change::SetLink { index, set });
        changed.map_err(|error| refusal::of_change(error, link, args.mtu, place))?;
    }
    delete_addresses(&args.delete_address, before, place)?;
    for address in &args.address {
        place.socket.apply(&Change::AddAddress(Address::new(index, *address)))?;
    }
    if up.is_some() {
        let up = place.socket.apply(&Change::SetLink { index, set: SetLink::up() });
        up.map_err(|error| refusal::of_change(error, link, None, place))?;
    }
    Ok(())
}

/// A primary IPv4 address takes the later ones of its subnet along: these go first, and those that shall stay come back.
fn delete_addresses(gone: &[IpNet], before: &Before<'_>, place: &mut Place) -> kernel::Result<()> {
    let index = before.link.index;
    let is_gone = |address: &&Address| gone.contains(&address.net);
    for address in before.addresses.iter().rev().filter(is_gone) {
        place.socket.apply(&Change::DeleteAddress(Address::new(index, address.net)))?;
    }
    if gone.iter().any(|net| net.addr().is_ipv4()) {
        let now = place.socket.addresses(Some(index))?;
        let is_lost = |address: &&Address| {
            address.net.addr().is_ipv4()
                && !is_gone(address)
                && !now.iter().any(|known| known.net == address.net)
        };
        for address in before.addresses.iter().filter(is_lost) {
            place.socket.apply(&Change::AddAddress(address.clone()))?;
        }
    }
    Ok(())
}

fn dry_run(args: &Set, link: &Link, place: &Place, out: &mut Out) -> anyhow::Result<()> {
    let dev = || Ip::at(place).words(["link", "set", "dev", &args.name]);
    let mut commands = Vec::new();
    if args.mode.is_some() || args.nopromisc.is_some() || args.bc_queue_len.is_some() {
        // `ip` sets the flag to what it is given, and always wants the mode with it.
        let mode = args.mode.or(link
            .kind
            .as_macvlan()
            .map(|macvlan| macvlan.mode)
            .filter(|_| args.nopromisc.is_some()));
        let ip = dev().words(["type", link.kind.name().unwrap_or_default()]).maybe("mode", mode);
        let ip = if args.nopromisc == Some(Switch::On) { ip.words(["nopromisc"]) } else { ip };
        commands.push(ip.maybe("bcqueuelen", args.bc_queue_len));
    }
    let plain = dev()
        .maybe("name", args.rename.as_ref())
        .maybe("address", args.mac)
        .maybe("mtu", args.mtu)
        .maybe("txqueuelen", args.tx_queue_len)
        .maybe("master", args.controller.as_ref())
        .maybe("promisc", args.promisc.map(Switch::word))
        .maybe("allmulticast", args.all_multicast.map(Switch::word))
        .maybe("arp", args.arp.map(Switch::word))
        .maybe("alias", args.alias.as_ref());
    let plain = if args.no_controller { plain.words(["nomaster"]) } else { plain };
    let plain = if args.up { plain.words(["up"]) } else { plain };
    let plain = if args.down { plain.words(["down"]) } else { plain };
    if plain != dev() {
        commands.push(plain);
    }
    let name = args.rename.as_ref().unwrap_or(&args.name);
    for (verb, addresses) in [("del", &args.delete_address), ("add", &args.address)] {
        commands.extend(
            addresses
                .iter()
                .map(|address| Ip::at(place).words(["address", verb, &address.to_string(), "dev", name])),
        );
    }
    show::would(&format!("would change {} {}", visible(&args.name), place.described()), &commands, out)
}
