//! `llano link add`.

use std::net::IpAddr;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use kernel::{
    Address, Bond, Change, Link, LinkKind, MacAddr, Macvlan, MacvlanMode, NewLink, SetLink, VethPeer, Vlan,
    VlanProtocol, Vxlan,
};
use topology::visible;

use super::equal::{self, Ip};
use super::place::Place;
use super::{refusal, show};
use crate::output::Out;

/// Make a link.
#[derive(Debug, Args)]
#[command(after_help = "\
The parent is looked for in the namespace of the caller, or in --parent-netns; the link is born in --netns. What
fails leaves nothing.

Examples:
  llano link add mv0 --parent eth0 --address 10.1.0.50/24 --up
  llano link add eth0 --parent bond0.100 --netns web --mac 02:00:5e:10:00:01 --up
  llano link add mv1 --parent eth1 --mode passthru --nopromisc
  llano link add mv2 --parent eth0 --mode source --source-mac 02:00:5e:10:00:02
  llano link add bond0.100 --type vlan --parent bond0 --id 100 --up
  llano link add v0 --type veth --peer eth0 --peer-netns web
  llano link add vx0 --type vxlan --id 42 --parent eth0 --remote 10.1.0.2 --port 4789
  llano link add mv0 --parent eth0 --dry-run")]
pub(crate) struct Add {
    /// Its name, 1 to 15 bytes
    name: String,
    /// What it is
    #[arg(long = "type", value_enum, default_value_t = Kind::Macvlan, value_name = "TYPE")]
    kind: Kind,
    /// The link it sits on
    #[arg(long, value_name = "LINK")]
    parent: Option<String>,
    /// Where it is born: name, path, process, container, POD_NAMESPACE/POD [default: here]
    #[arg(long, value_name = "NETNS")]
    netns: Option<String>,
    /// Where the parent is [default: here]
    #[arg(long, value_name = "NETNS", requires = "parent")]
    parent_netns: Option<String>,
    /// macvlan: bridge, private, vepa, passthru, source; bond: its mode by name or number
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// Mode passthru: do not make the parent promiscuous
    #[arg(long)]
    nopromisc: bool,
    /// Mode source: receive from this sender; may be given several times
    #[arg(long, value_name = "MAC")]
    source_mac: Vec<MacAddr>,
    /// How many broadcast frames may wait for a macvlan
    #[arg(long, value_name = "FRAMES")]
    bc_queue_len: Option<u32>,
    /// vlan: 0 to 4094; vxlan: the network identifier
    #[arg(long, value_name = "NUMBER")]
    id: Option<u32>,
    /// vlan: the tag's type
    #[arg(long, value_enum, value_name = "PROTOCOL")]
    protocol: Option<Protocol>,
    /// veth: the name of the other end
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// veth: where the other end is [default: with this end]
    #[arg(long, value_name = "NETNS")]
    peer_netns: Option<String>,
    /// vxlan: the only remote, or a multicast group
    #[arg(long, value_name = "ADDRESS")]
    remote: Option<IpAddr>,
    /// vxlan: the source of outer packets
    #[arg(long, value_name = "ADDRESS")]
    local: Option<IpAddr>,
    /// vxlan: the UDP port [kernel's default: 8472]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Its MAC
    #[arg(long, value_name = "MAC")]
    mac: Option<MacAddr>,
    /// Its MTU, at most the parent's
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(68..=65_535))]
    mtu: Option<u32>,
    /// Length of its transmit queue
    #[arg(long, value_name = "PACKETS")]
    tx_queue_len: Option<u32>,
    /// The bond or bridge it becomes a port of
    #[arg(long, value_name = "LINK")]
    controller: Option<String>,
    /// Free text, at most 255 bytes
    #[arg(long, value_name = "TEXT")]
    alias: Option<String>,
    /// An address; may be given several times
    #[arg(long, value_name = "ADDRESS/LEN")]
    address: Vec<IpNet>,
    /// Set it up
    #[arg(long)]
    up: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Macvlan,
    Macvtap,
    Vlan,
    Bond,
    Bridge,
    Veth,
    Vxlan,
    Dummy,
    Ifb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    #[value(name = "802.1Q", alias = "802.1q")]
    Q,
    #[value(name = "802.1ad", alias = "802.1AD")]
    Ad,
}

/// Everything that is to be done, known before anything is.
struct Plan {
    new: NewLink,
    parent: Option<Link>,
    place: Place,
    parents: Place,
    same_place: bool,
}

pub(crate) fn run(args: &Add, out: &mut Out) -> anyhow::Result<()> {
    let mut plan = plan(args)?;
    if args.dry_run {
        return dry_run(args, &plan, out);
    }
    let index = create(&mut plan)?;
    if let Err(error) = finish(args, &mut plan, index) {
        // The first error is the one to tell.
        let _ = plan.place.socket.apply(&Change::DeleteLink { index });
        return Err(error);
    }
    if let Some(parent) = plan.parent.filter(|parent| args.up && !parent.is_up()) {
        eprintln!(
            "llano: {} is down: {} gets no frame until it is up",
            visible(&parent.name),
            visible(&args.name)
        );
    }
    show::one(&plan.place, &args.name, out)
}

fn plan(args: &Add) -> anyhow::Result<Plan> {
    let mut place = Place::open(args.netns.as_deref())?;
    let mut parents = Place::open(args.parent_netns.as_deref())?;
    let needs_parent = matches!(args.kind, Kind::Macvlan | Kind::Macvtap | Kind::Vlan);
    let takes_parent = needs_parent || args.kind == Kind::Vxlan;
    let parent = match &args.parent {
        Some(_) if !takes_parent => bail!("--parent: a {} has no parent", word(args.kind)),
        Some(parent) => Some(parents.link(parent)?),
        None if needs_parent => bail!("--parent: a {} needs one", word(args.kind)),
        None => None,
    };
    if place.socket.index_of(&args.name)?.is_some() {
        bail!("there is a link {:?} {} already", visible(&args.name), place.described());
    }
    let same_place = parent.is_none() || place.net == parents.net;
    let mut new = NewLink::new(&args.name, kind(args, parent.as_ref(), &place)?);
    new.parent = parent.as_ref().map(|parent| parent.index).filter(|_| needs_parent);
    new.netns = (!same_place).then(|| place.net.clone());
    new.mtu = args.mtu;
    if let (Some(mtu), Some(parent)) = (args.mtu, parent.as_ref().filter(|_| needs_parent)) {
        attach::link::check_mtu(Some(mtu.into()), parent)?;
    }
    new.tx_queue_len = args.tx_queue_len;
    new.mac = mac(args, parent.as_ref())?;
    if let Some(controller) = &args.controller {
        place.link(controller).context("--controller")?;
    }
    if args.alias.as_ref().is_some_and(|alias| alias.len() > 255) {
        bail!("--alias: {} bytes, at most 255 are allowed", args.alias.as_ref().map_or(0, String::len));
    }
    Ok(Plan { new, parent, place, parents, same_place })
}

fn word(kind: Kind) -> String {
    kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn kind(args: &Add, parent: Option<&Link>, place: &Place) -> anyhow::Result<LinkKind> {
    let is_macvlan = matches!(args.kind, Kind::Macvlan | Kind::Macvtap);
    let has_id = matches!(args.kind, Kind::Vlan | Kind::Vxlan);
    let fits = [
        ("--mode", args.mode.is_some(), is_macvlan || args.kind == Kind::Bond),
        ("--nopromisc", args.nopromisc, is_macvlan),
        ("--source-mac", !args.source_mac.is_empty(), is_macvlan),
        ("--bc-queue-len", args.bc_queue_len.is_some(), is_macvlan),
        ("--id", args.id.is_some(), has_id),
        ("--protocol", args.protocol.is_some(), args.kind == Kind::Vlan),
        ("--peer", args.peer.is_some(), args.kind == Kind::Veth),
        ("--peer-netns", args.peer_netns.is_some(), args.kind == Kind::Veth),
        ("--remote", args.remote.is_some(), args.kind == Kind::Vxlan),
        ("--local", args.local.is_some(), args.kind == Kind::Vxlan),
        ("--port", args.port.is_some(), args.kind == Kind::Vxlan),
    ];
    if let Some((option, ..)) = fits.iter().find(|(_, given, fits)| *given && !fits) {
        bail!("{option}: not for a link of type {}", word(args.kind));
    }
    Ok(match args.kind {
        Kind::Macvlan => LinkKind::Macvlan(macvlan(args)?),
        Kind::Macvtap => LinkKind::Macvtap(macvlan(args)?),
        Kind::Vlan => {
            let id = args.id.context("--id: a vlan needs one, 0 to 4094")?;
            let id = u16::try_from(id).ok().filter(|id| *id <= 4094);
            let mut vlan = Vlan::new(id.context("--id: allowed is 0 to 4094")?);
            if args.protocol == Some(Protocol::Ad) {
                vlan.protocol = VlanProtocol::Ieee8021Ad;
            }
            LinkKind::Vlan(vlan)
        }
        Kind::Bond => LinkKind::Bond(bond_mode(args.mode.as_deref())?.map_or_else(Bond::default, Bond::new)),
        Kind::Bridge => LinkKind::Bridge,
        Kind::Veth => {
            let netns = args.peer_netns.as_deref().map(topology::select).transpose()?;
            let taken = |name: &str| {
                let socket = kernel::Netlink::open_in(netns.as_ref().unwrap_or(&place.net))?;
                socket.index_of(name)
            };
            if let Some(peer) = &args.peer
                && taken(peer)?.is_some()
            {
                bail!("--peer: there is a link {:?} in that namespace already", visible(peer));
            }
            LinkKind::Veth(VethPeer { name: args.peer.clone(), netns, ..VethPeer::default() })
        }
        Kind::Vxlan => LinkKind::Vxlan(Vxlan {
            id: args.id.filter(|id| *id < 1 << 24).context("--id: a vxlan needs one, below 16777216")?,
            local: args.local,
            remote: args.remote,
            port: args.port,
            link: parent.map(|parent| parent.index),
            collect_metadata: false,
        }),
        Kind::Dummy => LinkKind::Dummy,
        Kind::Ifb => LinkKind::Ifb,
    })
}

fn macvlan(args: &Add) -> anyhow::Result<Macvlan> {
    let mode = args.mode.as_deref().map_or(Ok(MacvlanMode::Bridge), str::parse).context("--mode")?;
    if args.nopromisc && mode != MacvlanMode::Passthru {
        bail!("--nopromisc: only with mode passthru, and mode is {mode}");
    }
    if !args.source_mac.is_empty() && mode != MacvlanMode::Source {
        bail!("--source-mac: only with mode source, and mode is {mode}");
    }
    super::source_mac::check(&args.source_mac)?;
    Ok(Macvlan {
        mode,
        nopromisc: args.nopromisc,
        nodst: false,
        source_macs: super::source_mac::once(&args.source_mac),
        bc_queue_len: args.bc_queue_len,
    })
}

/// The names of bonding(7), in the order of their numbers.
const BOND_MODES: [&str; 7] =
    ["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"];

fn bond_mode(text: Option<&str>) -> anyhow::Result<Option<u8>> {
    let Some(text) = text else { return Ok(None) };
    let found = BOND_MODES.iter().position(|mode| *mode == text || *mode == text.to_ascii_lowercase());
    let number = found.or_else(|| text.parse().ok().filter(|number| *number < BOND_MODES.len()));
    let number = number.and_then(|number| u8::try_from(number).ok());
    number.map(Some).with_context(|| format!("--mode: a bond's is {} or its number", BOND_MODES.join(", ")))
}

/// The MAC. A macvlan without one would get one that udev then replaces.
fn mac(args: &Add, parent: Option<&Link>) -> anyhow::Result<Option<MacAddr>> {
    if args.mac.is_some_and(|mac| mac.is_multicast() || mac.is_zero()) {
        bail!("--mac: allowed is a unicast MAC");
    }
    let passthru = args.mode.as_deref() == Some("passthru");
    match (args.kind, args.mac) {
        (Kind::Macvlan | Kind::Macvtap, Some(mac))
            if passthru && parent.is_some_and(|p| p.mac != Some(mac)) =>
        {
            bail!("--mac: in mode passthru it is the parent's own")
        }
        (Kind::Macvlan | Kind::Macvtap, None) if passthru => Ok(None),
        (Kind::Macvlan | Kind::Macvtap, None) => Ok(Some(MacAddr::random()?)),
        (_, mac) => Ok(mac),
    }
}

fn create(plan: &mut Plan) -> anyhow::Result<u32> {
    let Plan { new, parent, place, parents, same_place } = plan;
    let (home, creator) = match *same_place {
        true => (&place.net, &mut place.socket),
        false => (&parents.net, &mut parents.socket),
    };
    let mut change = Change::AddLink(new.clone());
    let mut made = creator.apply(&change);
    let mut name = new.name.clone();
    if !*same_place
        && made.as_ref().is_err_and(kernel::Error::is_exists)
        && !matches!(new.kind, LinkKind::Vlan(_))
    {
        // Older kernels look for a clash of names where the parent is, too.
        name = format!("ll{:x}", std::process::id());
        if let Change::AddLink(new) = &mut change {
            new.name.clone_from(&name);
        }
        made = creator.apply(&change);
    }
    made.map_err(|error| refusal::of_new(error, new, parent.as_ref(), home, creator))?;
    let gone = || format!("{} is gone as soon as it was made", visible(&new.name));
    let index = place.socket.index_of(&name)?.with_context(gone)?;
    if name != new.name {
        let set = SetLink { name: Some(new.name.clone()), ..SetLink::default() };
        let renamed = place.socket.apply(&Change::SetLink { index, set });
        if renamed.is_err() {
            let _ = place.socket.apply(&Change::DeleteLink { index });
        }
        renamed?;
    }
    Ok(index)
}

fn finish(args: &Add, plan: &mut Plan, index: u32) -> anyhow::Result<()> {
    let socket = &mut plan.place.socket;
    let mut set = SetLink { alias: args.alias.clone(), ..SetLink::default() };
    if let Some(controller) = &args.controller {
        set.master = socket.index_of(controller)?;
    }
    if set != SetLink::default() {
        socket.apply(&Change::SetLink { index, set })?;
    }
    for address in &args.address {
        socket.apply(&Change::AddAddress(Address::new(index, *address)))?;
    }
    if args.up {
        socket.apply(&Change::SetLink { index, set: SetLink::up() })?;
    }
    Ok(())
}

fn dry_run(args: &Add, plan: &Plan, out: &mut Out) -> anyhow::Result<()> {
    let new = &plan.new;
    let mut ip = Ip::at(if plan.same_place { &plan.place } else { &plan.parents }).words(["link", "add"]);
    let dev = plan.parent.as_ref().map(|parent| parent.name.as_str());
    if new.parent.is_some() {
        ip = ip.maybe("link", dev);
    }
    ip = ip.words(["name", &new.name]).maybe("txqueuelen", new.tx_queue_len);
    ip = ip.maybe("address", new.mac).maybe("mtu", new.mtu);
    if !plan.same_place {
        ip = ip.into_netns(&plan.place);
    }
    ip = ip.words(equal::kind(new, dev));
    if let Some(text) = &args.peer_netns {
        let (_, path) = topology::locate(text)?;
        ip = ip.words(["netns".to_owned(), equal::name(&path)]);
    }
    let mut commands = vec![ip];
    let change = || Ip::at(&plan.place).words(["link", "set", "dev", &args.name]);
    commands.extend(args.alias.as_ref().map(|alias| change().words(["alias", alias])));
    commands.extend(args.controller.as_ref().map(|controller| change().words(["master", controller])));
    commands.extend(args.address.iter().map(|address| {
        Ip::at(&plan.place).words(["address", "add", &address.to_string(), "dev", &args.name])
    }));
    commands.extend(args.up.then(|| change().words(["up"])));
    let kind = word(args.kind);
    let parent = dev.map(|dev| format!(" on {}", visible(dev))).unwrap_or_default();
    let what = format!("would make {kind} {}{parent}, {}", visible(&args.name), plan.place.described());
    show::would(&what, &commands, out)
}
