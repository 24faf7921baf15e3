//! `llano host enable` and `disable`.

use std::path::{Path, PathBuf};

use ::host::State;
use ::host::files::Content;
use ::host::keep::{Held, Places};
use ::host::owner::{View, reload};
use ::host::unit::{Enabling, Made, Manifest};
use anyhow::Context;
use serde_json::json;

use super::{look_after_unfinished, tell};
use crate::output::{Colour, Out};

/// Have the declared network again after a reboot.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano host enable --dry-run          every file that it would write
  llano host enable
  llano host enable --root /mnt        for a system that is made in a directory
  systemctl status llano-host          after a boot

Writes a systemd unit that comes before network-online.target, containerd,
CRI-O, docker and kubelet, with what the declared links need: modules, and a word
to udev not to change their MACs. Without systemd it says what to call instead.
`llano host disable` gives back what was.")]
pub(crate) struct Enable {
    /// Only show what would be written
    #[arg(long)]
    dry_run: bool,
    /// Write into this tree instead of the running system
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Where this program will be at boot [default: where it is now]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

/// Give back what enable wrote, and what kept other tools off.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano host disable --dry-run
  llano host disable

The network itself stays as it is until the next boot.")]
pub(crate) struct Disable {
    /// Only show what would be given back
    #[arg(long)]
    dry_run: bool,
    /// In this tree instead of the running system
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

pub(crate) fn enable(args: &Enable, out: &mut Out) -> anyhow::Result<()> {
    look_after_unfinished();
    let places = Places::below(&args.root);
    let held = hold(&places, &args.root, args.dry_run)?;
    let declared = declared(&places)?;
    let program = match &args.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().context("cannot find out where this program is")?,
    };
    let made = declared.as_ref().map(Made::of).unwrap_or_default();
    let plan = Enabling::plan(&args.root, &program, &made);
    let written =
        if args.dry_run { Vec::new() } else { Manifest::read(&places)?.write(&places, &plan.files)? };
    // What is written to a terminal may have to wait.
    drop(held);
    out.json(&json!({ "dry_run": args.dry_run, "files": plan.files, "by_hand": plan.by_hand }))?;
    if args.dry_run {
        for file in &plan.files {
            let verb = if file.is_there() { "is there already:" } else { "would write" };
            out.painted(Colour::Strong, &format!("{verb} {}", file.path.display()))?;
            match &file.content {
                Content::Text(text) => text.lines().try_for_each(|line| out.line(&format!("    {line}")))?,
                Content::Link(to) => out.line(&format!("    a link to {}", to.display()))?,
            }
        }
    }
    for path in &written {
        out.line(&format!("wrote {}", path.display()))?;
    }
    if let Some(by_hand) = &plan.by_hand {
        out.line("There is no systemd here. Have this called at boot, before containers are started:")?;
        out.line(&format!("    {}", by_hand.command))?;
        for (place, text) in &by_hand.places {
            out.line(&format!("for example in {place}:"))?;
            text.lines().try_for_each(|line| out.line(&format!("    {line}")))?;
        }
    } else if !args.dry_run {
        let again = if written.is_empty() { "is enabled already" } else { "is enabled" };
        out.line(&format!(
            "llano-host.service {again}: the next boot has the network of {}",
            places.declared().display()
        ))?;
    }
    if declared.is_none() {
        out.line(&format!(
            "Nothing is declared yet: llano host apply FILE writes {}",
            places.declared().display()
        ))?;
    }
    reload_here(&args.root, &written);
    Ok(())
}

pub(crate) fn disable(args: &Disable, out: &mut Out) -> anyhow::Result<()> {
    look_after_unfinished();
    let places = Places::below(&args.root);
    let held = hold(&places, &args.root, args.dry_run)?;
    let mut manifest = Manifest::read(&places)?;
    if args.dry_run {
        drop(held);
        out.json(&json!({ "dry_run": true, "files": manifest.replaced }))?;
        for replaced in manifest.replaced.iter().rev() {
            let verb = match replaced.before {
                ::host::files::Before::Nothing => "would remove",
                _ => "would put back",
            };
            out.line(&format!("{verb} {}", replaced.path.display()))?;
        }
    } else {
        let done = manifest.put_back(&places)?;
        drop(held);
        out.json(&json!({ "dry_run": false, "put_back": done }))?;
        for path in &done {
            out.line(&format!("gave back {}", path.display()))?;
        }
        reload_here(&args.root, &done);
        if !done.is_empty() {
            return Ok(());
        }
    }
    if manifest.replaced.is_empty() { out.line("Nothing was enabled.") } else { Ok(()) }
}

/// An apply notes in the same file what it writes. In a tree that is still being made nobody else is at work.
fn hold(places: &Places, root: &Path, dry_run: bool) -> anyhow::Result<Option<Held>> {
    if dry_run || root != Path::new("/") {
        return Ok(None);
    }
    Ok(Some(Held::take(places, &mut tell)?))
}

fn declared(places: &Places) -> anyhow::Result<Option<State>> {
    let path = places.declared();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    State::parse_kept(&text).map(Some).with_context(|| path.display().to_string())
}

fn reload_here(root: &Path, paths: &[PathBuf]) {
    if root == Path::new("/") && !paths.is_empty() {
        reload(&View::of_this_host(), paths, &[]);
    }
}
