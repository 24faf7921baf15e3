//! `llano link source-mac`: the senders that a macvlan of mode source receives from.

use anyhow::bail;
use clap::{Args, Subcommand};
use kernel::{Change, Link, LinkKind, MacAddr, MacvlanMode, MacvlanSet, SetLink, SourceMacs};
use topology::visible;

use super::equal::Ip;
use super::place::Place;
use super::show;
use crate::output::Out;

/// Change the list of senders.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  llano link source-mac add mv0 02:00:5e:10:00:01 02:00:5e:10:00:02
  llano link source-mac del mv0 02:00:5e:10:00:02 --netns web
  llano link source-mac set mv0 02:00:5e:10:00:03        this one and no other
  llano link source-mac flush mv0                        nobody: nothing is received any more")]
pub(crate) enum Command {
    /// Receive from these senders too
    Add(List),
    /// Receive from these senders no longer
    Del(List),
    /// Receive from these senders and no others
    Set(List),
    /// Receive from nobody
    Flush(Flush),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    link: Flush,
    /// The senders
    #[arg(required = true, value_name = "MAC")]
    macs: Vec<MacAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct Flush {
    /// The macvlan
    name: String,
    /// The namespace: name, path, process, container, POD_NAMESPACE/POD
    #[arg(long, value_name = "NETNS")]
    netns: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(command: &Command, out: &mut Out) -> anyhow::Result<()> {
    let (args, macs) = match command {
        Command::Add(list) | Command::Del(list) | Command::Set(list) => (&list.link, list.macs.as_slice()),
        Command::Flush(flush) => (flush, &[][..]),
    };
    check(macs)?;
    let mut place = Place::open(args.netns.as_deref())?;
    let link = place.link(&args.name)?;
    let old = list_of(&link)?;
    let wanted = match command {
        Command::Add(_) => once(&[old.as_slice(), macs].concat()),
        Command::Del(_) => old.iter().copied().filter(|mac| !macs.contains(mac)).collect(),
        Command::Set(_) => once(macs),
        Command::Flush(_) => Vec::new(),
    };
    if args.dry_run {
        return would(command, &args.name, &link, &place, macs, &wanted, out);
    }
    let each: Vec<SourceMacs> = match command {
        Command::Add(_) => macs.iter().copied().map(SourceMacs::Add).collect(),
        Command::Del(_) => macs.iter().copied().map(SourceMacs::Delete).collect(),
        Command::Set(_) => vec![SourceMacs::Set(wanted)],
        Command::Flush(_) => vec![SourceMacs::Flush],
    };
    let changes: Vec<Change> = each.into_iter().map(|change| of(&link, change)).collect();
    if let Err((_, error)) = place.socket.apply_all(&changes) {
        let _ = place.socket.apply(&of(&link, SourceMacs::Set(old)));
        return Err(error.into());
    }
    show::one(&place, &args.name, out)
}

fn of(link: &Link, change: SourceMacs) -> Change {
    let tap = matches!(link.kind, LinkKind::Macvtap(_));
    let macvlan = MacvlanSet { tap, source_macs: Some(change), ..MacvlanSet::default() };
    Change::SetLink { index: link.index, set: SetLink { macvlan: Some(macvlan), ..SetLink::default() } }
}

/// The list of a macvlan that has one.
fn list_of(link: &Link) -> anyhow::Result<Vec<MacAddr>> {
    let name = visible(&link.name);
    match link.kind.as_macvlan() {
        Some(macvlan) if macvlan.mode == MacvlanMode::Source => Ok(macvlan.source_macs.clone()),
        Some(macvlan) => bail!(
            "{name} has mode {}: only mode source has a list of senders (llano link set {name} --mode source)",
            macvlan.mode
        ),
        None => bail!(
            "{name} is a {}: only a macvlan has a list of senders",
            link.kind.name().unwrap_or("device")
        ),
    }
}

/// Senders that can be: no group sends a frame.
pub(crate) fn check(macs: &[MacAddr]) -> anyhow::Result<()> {
    match macs.iter().find(|mac| mac.is_multicast() || mac.is_zero()) {
        Some(mac) => bail!("{mac} is no sender: allowed is a unicast MAC"),
        None => Ok(()),
    }
}

/// Each of them once, in order.
pub(crate) fn once(macs: &[MacAddr]) -> Vec<MacAddr> {
    let mut all: Vec<MacAddr> = Vec::with_capacity(macs.len());
    for mac in macs {
        if !all.contains(mac) {
            all.push(*mac);
        }
    }
    all
}

fn would(
    command: &Command,
    name: &str,
    link: &Link,
    place: &Place,
    macs: &[MacAddr],
    wanted: &[MacAddr],
    out: &mut Out,
) -> anyhow::Result<()> {
    let kind = link.kind.name().unwrap_or_default();
    let ip = |words: &[&str], macs: &[MacAddr]| {
        let ip = Ip::at(place)
            .words(["link", "set", "dev", name, "type", kind, "macaddr"])
            .words(words.iter().copied());
        ip.words(macs.iter().map(ToString::to_string))
    };
    let commands: Vec<Ip> = match command {
        Command::Add(_) => macs.iter().map(|mac| ip(&["add"], &[*mac])).collect(),
        Command::Del(_) => macs.iter().map(|mac| ip(&["del"], &[*mac])).collect(),
        Command::Set(_) => vec![ip(&["set"], wanted)],
        Command::Flush(_) => vec![ip(&["flush"], &[])],
    };
    let list = wanted.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let list = if list.is_empty() { "nobody".to_owned() } else { list };
    show::would(
        &format!("would let {} {} receive from {list}", visible(name), place.described()),
        &commands,
        out,
    )
}
