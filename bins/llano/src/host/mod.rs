//! `llano host`: the network of this host.

mod access;
mod apply;
mod boot;
mod enable;
mod history;
mod owners;
mod show;
mod watchdog;

use std::io::Write;
use std::process::ExitCode;

use ::host::Here;
use ::host::keep::{Keeper, Launcher, Places, Recovered, Told};
use clap::Subcommand;

use crate::output::Out;

/// The commands about the host's network.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A file says what the network of this host shall be, in nmstate's language; what
it does not say stays as it is:

  interfaces:
  - name: bond0
    type: bond
    link-aggregation: { mode: active-backup, port: [eth1, eth2] }
  - name: bond0.100
    type: vlan
    vlan: { base-iface: bond0, id: 100 }

  llano host diff bond.yaml                  what would change
  llano host apply bond.yaml --confirm 60    change it, and take it back unless
  llano host confirm                         this is said within a minute
  llano host enable                          and have it again after a reboot

A change that fails, or whose program is killed, is taken back.
Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong use.")]
pub(crate) enum Command {
    /// Make the network what a file says
    Apply(apply::Apply),
    /// Show the network, or some interfaces, in the language of files
    Show(show::Show),
    /// Show what a file would change
    Diff(apply::Diff),
    /// Keep the change that waits to be confirmed
    #[command(after_help = "\
Example:
  llano host apply bond.yaml --confirm 60 && llano host confirm")]
    Confirm,
    /// Take a change back
    Undo(history::Undo),
    /// List the changes, and what became of them
    #[command(after_help = "\
Examples:
  llano host history
  llano host history --output json | jq '.[-1]'")]
    History,
    /// Have the declared network again after a reboot
    Enable(enable::Enable),
    /// Give back what enable wrote, and what kept other tools off
    Disable(enable::Disable),
    /// Bring the declared network up: what runs at boot
    Boot(boot::Boot),
    /// Let this host reach the containers on a parent
    #[command(subcommand)]
    Access(access::Command),
    /// Show which tools look after which interfaces
    #[command(after_help = "\
Examples:
  llano host owners
  llano host owners --output json | jq -r '.[].evidence'")]
    Owners,
    /// Take a change back when its program dies
    #[command(hide = true)]
    Watchdog(watchdog::Watchdog),
}

pub(crate) fn run(command: Command, out: &mut Out) -> anyhow::Result<ExitCode> {
    // Host access looks into every namespace.
    crate::link::raise_descriptor_limit();
    let done = match command {
        Command::Boot(args) => return boot::run(&args, out),
        Command::Apply(args) => apply::apply(&args, out),
        Command::Show(args) => show::show(&args, out),
        Command::Diff(args) => apply::diff(&args, out),
        Command::Confirm => history::confirm(out),
        Command::Undo(args) => history::undo(&args, out),
        Command::History => history::list(out),
        Command::Enable(args) => enable::enable(&args, out),
        Command::Disable(args) => enable::disable(&args, out),
        Command::Access(command) => access::run(command, out),
        Command::Owners => owners::list(out),
        Command::Watchdog(args) => watchdog::run(&args),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// The program that takes back what we do not finish.
fn launcher() -> Launcher {
    Launcher::this_program(&["host", "watchdog"])
}

/// The records of this host, with what was found unfinished brought to its end.
fn keeper() -> anyhow::Result<Keeper<Here<'static>>> {
    keeper_telling(|_| {})
}

/// The same, telling each step before it is done.
fn keeper_telling(progress: impl FnMut(&::host::Step) + 'static) -> anyhow::Result<Keeper<Here<'static>>> {
    let mut keeper = Keeper::open(Places::default(), Here::open(progress)?, &mut tell)?;
    watch_again(&mut keeper);
    Ok(keeper)
}

/// Whoever is about to confirm or to undo must not be kept from it by a watchdog that does not start.
fn watch_again(keeper: &mut Keeper<Here<'static>>) {
    if let Err(error) = keeper.watch_again(&launcher()) {
        say(&format!("llano: nobody will take back what is not confirmed in time: {error}"));
    }
}

/// For commands that only look: what is unfinished is brought to its end when nobody is at work and we may.
fn look_after_unfinished() {
    let places = Places::default();
    if !places.pending().exists() {
        return;
    }
    let opened = Here::open(|_| {}).and_then(|here| Keeper::try_open(places, here, &mut tell));
    match opened {
        Ok(Some(mut keeper)) => {
            watch_again(&mut keeper);
            let waiting = keeper.waiting();
            // Whoever writes to a terminal that is stopped must not have the lock.
            drop(keeper);
            if let Ok(Some(pending)) = waiting {
                let seconds = pending.waits().unwrap_or_default();
                say(&format!(
                    "llano: {} waits to be confirmed for another {seconds} s: llano host confirm",
                    pending.what
                ));
            }
        }
        Ok(None) => {}
        Err(error) => say(&format!("llano: a change that did not come to its end is still there: {error}")),
    }
}

fn tell(told: Told) {
    let line = match told {
        Told::Busy { pid: Some(pid) } => format!("waiting for another llano host (process {pid})"),
        Told::Busy { pid: None } => "waiting for another llano host".to_owned(),
        Told::Recovered(Recovered::RolledBack { what, why }) => format!("{what} has been rolled back: {why}"),
        Told::Recovered(Recovered::Finished { what }) => {
            format!("{what} had been confirmed, and is written down now")
        }
        Told::Recovered(Recovered::Dropped { what }) => {
            format!("{what} was not confirmed before the host was started anew, and is forgotten")
        }
        Told::Recovered(Recovered::Unreadable { reason, aside }) => format!(
            "the record of an unfinished change is unreadable ({reason}), and was moved to {}; the network stays as it is",
            aside.display()
        ),
    };
    say(&format!("llano: {line}"));
}

/// A line to standard error in one piece, so that lines of two programs do not mix. That nobody is there to read it, a
/// terminal that was closed, must not stop a change in the middle.
fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
