//! `llano host access`: the host and the containers on its own interface reach each other.

use std::time::Duration;

use ::host::host_access::{self, Pod, Way};
use ::host::keep::{How, Places, declared_state};
use ::host::state::{HostAccess, Interface, Llano};
use ::host::{MoveAddress, Network, State};
use attach::paths::Paths;
use clap::Subcommand;
use kernel::Netlink;
use serde_json::json;

use crate::link::Ears;
use crate::output::{Colour, Out, Text, head};

/// How long `--follow` waits after what did not work.
const AGAIN: Duration = Duration::from_secs(1);

/// The commands about host access.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
The kernel blocks all traffic between an interface and the macvlans on it. Two ways
around that:

  llano host access on eth0            a silent shim beside the containers that are
                                       there now, with routes and neighbours on both
                                       sides; no address moves, nothing is declared
  llano host access on eth0 --move     the host's address itself moves onto a macvlan,
                                       for good: containers and host are neighbours")]
pub(crate) enum Command {
    /// Let the host and the containers on an interface reach each other
    On(On),
    /// Take back what `on` did
    Off(Off),
    /// Tell how each container on an interface and the host reach each other
    #[command(after_help = "\
Examples:
  llano host access status eth0
  llano host access status eth0 --output json | jq -r '.[] | select(.by == \"none\") | .why'")]
    Status {
        /// The interface that the containers are on
        parent: String,
    },
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano host access on eth0                          for the containers that are there now
  llano host access on eth0 --follow                 and for those that come, until Ctrl-C
  llano host access on eth0 --move --dry-run         how the address would move
  llano host access on eth0 --move --confirm 60      move it; taken back after a minute
                                                     unless `llano host confirm` is said
  llano host access on eth0 --move lan0 --keep-mac   onto lan0, which takes eth0's MAC")]
pub(crate) struct On {
    /// The interface that the containers are on
    parent: String,
    /// Move the host's address onto a macvlan, mv-PARENT unless named
    #[arg(long = "move", value_name = "NAME", num_args = 0..=1)]
    name: Option<Option<String>>,
    /// The macvlan takes the MAC of the interface
    #[arg(long, requires = "name")]
    keep_mac: bool,
    /// Stay, and give access to containers as they come
    #[arg(long, conflicts_with = "name")]
    follow: bool,
    /// Only show what would be changed, and by which steps
    #[arg(long, requires = "name")]
    dry_run: bool,
    /// Move it back after so many seconds unless confirmed
    #[arg(long, requires = "name", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    confirm: Option<u64>,
    /// Tell NetworkManager and systemd-networkd to leave the interfaces alone
    #[arg(long, requires = "name")]
    take: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano host access off eth0              the shim goes, or the address moves back
  llano host access off eth0 --dry-run    how it would move back")]
pub(crate) struct Off {
    /// The interface that the containers are on
    parent: String,
    /// Only show what would be changed, and by which steps
    #[arg(long)]
    dry_run: bool,
    /// Take it back after so many seconds unless confirmed
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    confirm: Option<u64>,
}

pub(crate) fn run(command: Command, out: &mut Out) -> anyhow::Result<()> {
    match command {
        Command::On(args) => on(args, out),
        Command::Off(args) => off(&args, out),
        Command::Status { parent } => {
            let pods = host_access::status(&mut Netlink::open()?, &parent)?;
            show(&parent, &pods, out)
        }
    }
}

fn on(args: On, out: &mut Out) -> anyhow::Result<()> {
    let Some(name) = args.name else { return shim(&args.parent, args.follow, out) };
    let mover = MoveAddress { child: name, keep_mac: args.keep_mac, ..MoveAddress::new(&args.parent) };
    let state = ::host::declaration(&mover, &Network::read(&mut Netlink::open()?)?);
    let how = How {
        what: format!("host access on {} --move", args.parent),
        confirm: args.confirm.map(Duration::from_secs),
        take: args.take,
        lose_containers: false,
    };
    super::apply::change(&state, &how, args.dry_run, out)
}

fn off(args: &Off, out: &mut Out) -> anyhow::Result<()> {
    let mut netlink = Netlink::open()?;
    let network = Network::read(&mut netlink)?;
    let declared = declared_state(&Places::default())?.unwrap_or_default();
    let is_declared = declared.interface(&args.parent).is_some_and(|interface| {
        let access = interface.llano.as_ref().and_then(|llano| llano.host_access.as_ref());
        access.is_some_and(|access| access.way.is_some())
    });
    if is_declared || MoveAddress::child_of(&network, &args.parent).is_some() {
        let state = without(&args.parent);
        let how = How {
            what: format!("host access off {}", args.parent),
            confirm: args.confirm.map(Duration::from_secs),
            take: false,
            lose_containers: false,
        };
        return super::apply::change(&state, &how, args.dry_run, out);
    }
    // It was never a change that could be confirmed.
    anyhow::ensure!(
        args.confirm.is_none(),
        "no host access on {0} is declared: the shim that `llano host access on {0}` made goes at once; leave --confirm out",
        args.parent
    );
    if args.dry_run {
        return show(&args.parent, &host_access::status(&mut netlink, &args.parent)?, out);
    }
    let pods = host_access::off(&Paths::from_env(), &mut netlink, &args.parent)?;
    out.json(&pods)?;
    out.line(&match pods.len() {
        0 => format!("No container on {} had access by a shim.", args.parent),
        1 => format!("1 container on {} has no access any more.", args.parent),
        many => format!("{many} containers on {} have no access any more.", args.parent),
    })
}

fn shim(parent: &str, follow: bool, out: &mut Out) -> anyhow::Result<()> {
    let (paths, mut netlink) = (Paths::from_env(), Netlink::open()?);
    if !follow {
        return show(parent, &host_access::on(&paths, &mut netlink, parent)?, out);
    }
    let mut ears = Ears::open()?;
    let mut last = None;
    let mut trouble = None;
    loop {
        let done = ears.listen_everywhere().and_then(|()| Ok(host_access::on(&paths, &mut netlink, parent)?));
        match done {
            Ok(pods) => {
                trouble = None;
                if last.as_ref() != Some(&pods) {
                    show(parent, &pods, out)?;
                    out.flush()?;
                    last = Some(pods);
                }
                ears.wait()?;
            }
            // What was wrong from the start is told at once.
            Err(error) if last.is_none() => return Err(error),
            // Containers come and go in its middle, even the parent may. It may be over without any event.
            Err(error) => {
                let error = format!("{error:#}");
                if trouble.as_ref() != Some(&error) {
                    eprintln!("llano: {error}; trying again");
                    trouble = Some(error);
                }
                std::thread::sleep(AGAIN);
            }
        }
    }
}

/// That no host access is declared.
fn without(parent: &str) -> State {
    let access = HostAccess { way: None, name: None, keep_mac: false };
    let llano = Llano { host_access: Some(access), ..Llano::default() };
    let interface = Interface { name: parent.to_owned(), llano: Some(llano), ..Interface::default() };
    State { interfaces: vec![interface], ..State::default() }
}

fn show(parent: &str, pods: &[Pod], out: &mut Out) -> anyhow::Result<()> {
    out.json(&json!(pods))?;
    if pods.is_empty() {
        return out.line(&format!("No container is on {parent}."));
    }
    let mut rows = vec![head(&["CONTAINER", "INTERFACE", "ADDRESSES", "HOST"])];
    for pod in pods {
        let addresses: Vec<String> = pod.addresses.iter().map(|net| net.addr().to_string()).collect();
        let (colour, way) = match &pod.way {
            Way::Shim { shim } => (Colour::Good, format!("by the shim {shim}")),
            Way::Network { shim } => (Colour::Good, format!("by its network's shim {shim}")),
            Way::Neighbour { macvlan } => (Colour::Good, format!("as a neighbour, by {macvlan}")),
            Way::None { why } => (Colour::Bad, format!("no: {why}")),
        };
        rows.push(vec![
            Text::new(pod.owner.clone()),
            Text::new(pod.interface.clone()),
            Text::new(addresses.join(" ")),
            Text::new(way).colour(colour),
        ]);
    }
    out.table(0, &rows)
}
