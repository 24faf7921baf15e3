//! `llano host apply` and `diff`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::host::State;
use ::host::carried::{Carried, refuse};
use ::host::keep::{How, Outcome, Places, Planned, declare, declared_state, plan, words_for};
use ::host::owner::{Owner, Subject, View};
use ::host::unit::Manifest;
use anyhow::Context;
use kernel::Netlink;
use serde_json::json;

use super::{keeper_telling, launcher, look_after_unfinished, say};
use crate::output::{Colour, Out};

/// Make the network what a file says.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano host apply bond.yaml --dry-run       what would be changed, step by step
  llano host apply bond.yaml                 change it; any failure is taken back
  llano host apply bond.yaml --confirm 60    and take it back after a minute unless
  llano host confirm                         this is said: for work over ssh
  llano host show eth0 | llano host apply -

What the file does not say stays as it is. What it says is added to
/etc/llano/host.yaml, which `llano host enable` has brought up at boot.")]
pub(crate) struct Apply {
    /// A file in nmstate's language, - for standard input
    file: PathBuf,
    /// Only show what would be changed, and by which steps
    #[arg(long)]
    dry_run: bool,
    /// Take it back after so many seconds unless confirmed
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    confirm: Option<u64>,
    /// Tell NetworkManager and systemd-networkd to leave the interfaces alone
    #[arg(long)]
    take: bool,
    /// Go on though containers lose interfaces with a link that is removed or made again
    #[arg(long)]
    lose_containers: bool,
}

/// Show what a file would change.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano host diff bond.yaml
  llano host diff /etc/llano/host.yaml       what has changed since it was confirmed")]
pub(crate) struct Diff {
    /// A file in nmstate's language, - for standard input
    file: PathBuf,
}

pub(crate) fn apply(args: &Apply, out: &mut Out) -> anyhow::Result<()> {
    let state = read(&args.file)?;
    // Another file was meant, or what should have written it into a pipe has failed.
    anyhow::ensure!(!state.is_empty(), "{} declares nothing", words_for(&args.file));
    let how = How {
        what: format!("apply {}", words_for(&args.file)),
        confirm: args.confirm.map(Duration::from_secs),
        take: args.take,
        lose_containers: args.lose_containers,
    };
    change(&state, &how, args.dry_run, out)
}

/// Shows what a state changes, and makes the change.
pub(crate) fn change(state: &State, how: &How, dry_run: bool, out: &mut Out) -> anyhow::Result<()> {
    // Steps are told as they are done, to those who wait for them; standard output is the result.
    let quiet = out.is_json() || dry_run;
    let mut keeper = keeper_telling(move |step| {
        if !quiet {
            say(&format!("  {step}"));
        }
    })?;
    let view = View::of_this_host();
    let subjects = Subject::all(&mut Netlink::open()?)?;
    let planned = plan(&mut keeper, state)?;
    // What is written may have to wait for its reader, a pager or a terminal that is stopped: as long as a change waits to be
    // taken back in time that must not be with the lock.
    if dry_run {
        let owners = planned.owners(&view, &subjects);
        let seen = Seen {
            waits: keeper.refuse_while_waiting().err(),
            carried: planned.carried()?,
            manifest: Manifest::read(keeper.places())?,
            owners,
        };
        drop(keeper);
        tell_warnings(&planned, &view, how);
        return dry(&planned, how, &view, seen, out);
    }
    if planned.is_nothing() {
        planned.refresh(&mut keeper)?;
        drop(keeper);
        tell_warnings(&planned, &view, how);
        out.json(&json!({ "changed": false, "difference": planned.difference }))?;
        return out.line("The network is so already.");
    }
    keeper.refuse_while_waiting()?;
    tell_warnings(&planned, &view, how);
    // Seen before it is done, not after: it may take a while. A reader who has gone does not decide what is done.
    let _ = difference(&planned, false, out).and_then(|()| out.flush());
    let shown = planned.difference.clone();
    let outcome = declare(&mut keeper, planned, how, &view, &subjects, Some(&launcher()))?;
    drop(keeper);
    match outcome {
        Outcome::Confirmed(number) => {
            out.json(&json!({ "changed": true, "difference": shown, "change": number }))?;
            out.line(&format!("done, as change {number}"))
        }
        Outcome::Waiting(seconds) => {
            out.json(&json!({ "changed": true, "difference": shown, "waits": seconds }))?;
            out.painted(
                Colour::Strong,
                &format!("done; taken back in {seconds} s unless you say: llano host confirm"),
            )
        }
    }
}

fn tell_warnings(planned: &Planned, view: &View, how: &How) {
    for warning in planned.warnings(view, how) {
        say(&format!("llano: note: {warning}"));
    }
}

/// What was looked at beside the network.
struct Seen {
    waits: Option<::host::Error>,
    owners: Vec<Owner>,
    carried: Vec<Carried>,
    manifest: Manifest,
}

fn dry(planned: &Planned, how: &How, view: &View, seen: Seen, out: &mut Out) -> anyhow::Result<()> {
    let Seen { waits, owners, carried, manifest } = seen;
    let mut refusals: Vec<String> = Vec::new();
    let mut files = Vec::new();
    // Where nothing would be changed nothing is refused.
    if !planned.is_nothing() {
        let all = waits.into_iter().chain(planned.refusals(how, &owners, &carried));
        refusals.extend(all.map(|error| error.to_string()));
        // What cannot be kept off is refused above.
        let written = planned.files(how, view, &owners, &manifest).unwrap_or_default();
        files.extend(written.into_iter().filter(|file| !file.is_there()).map(|file| file.path));
    }
    out.json(&json!({
        "dry_run": true,
        "difference": planned.difference,
        "steps": planned.plan.steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "owners": owners,
        "containers": carried,
        "declared": planned.is_declared,
        "files": files,
        "refused": refusals,
    }))?;
    difference(planned, true, out)?;
    for step in &planned.plan.steps {
        out.line(&format!("would {step}"))?;
    }
    for file in &files {
        out.line(&format!("would write {}", file.display()))?;
    }
    for refusal in &refusals {
        out.painted(Colour::Bad, &format!("would refuse: {refusal}"))?;
    }
    match refuse(&carried) {
        Err(error) if how.lose_containers => {
            out.painted(Colour::Bad, &format!("said to go on though {error}"))
        }
        _ => Ok(()),
    }
}

fn difference(planned: &Planned, dry_run: bool, out: &mut Out) -> anyhow::Result<()> {
    if planned.difference.is_empty() {
        return out.line(match (planned.is_declared, dry_run) {
            (true, _) => "Nothing would change.",
            (false, true) => "The network is so already; it would be declared.",
            (false, false) => "The network is so already; it is declared now.",
        });
    }
    let text = planned.difference.to_string();
    text.lines().try_for_each(|line| out.line(line))
}

pub(crate) fn diff(args: &Diff, out: &mut Out) -> anyhow::Result<()> {
    look_after_unfinished();
    let state = read(&args.file)?;
    let current = ::host::Network::read(&mut Netlink::open()?)?;
    let wanted = state.wanted(&current)?;
    let mut difference = ::host::Difference::of(&current, &wanted);
    // What is declared but cannot be read says nothing of what is there now.
    let declared = declared_state(&Places::default()).ok().flatten().unwrap_or_default();
    difference.host_access(&current, &wanted, &declared);
    out.json(&difference)?;
    if difference.is_empty() {
        return out.line("No difference.");
    }
    let text = difference.to_string();
    text.lines().try_for_each(|line| out.line(line))
}

fn read(path: &Path) -> anyhow::Result<State> {
    let shown = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.with_context(|| format!("cannot read {shown}"))?;
    State::parse(&text).with_context(|| shown)
}
