//! `llano check`: why it does not work.

mod connectivity;
mod overlay;
mod report;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use ::check::{CHECKS, Check, Context, Finding, Group, Status};
use clap::{Args, Subcommand, ValueEnum};

use crate::output::Out;
use report::{Done, Report};

/// The arguments of `llano check`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Every line is ok, warn, fail or skip, with what to do about it. Kernel features are tried in a namespace
of which nothing stays; the switch is asked with ARP probes that change nobody's cache.

Examples:
  llano check                         everything
  llano check kernel runtime          two groups
  llano check --fix --dry-run         what could be repaired at once
  llano check --fix                   repair it: settings (also in /etc/sysctl.d/90-llano.conf), modprobe, chmod +x, mkdir
  llano check connectivity            who reaches whom, and where it is lost
  llano check overlay                 VXLANs, flannel's for one
  llano check --output json | jq '.findings[] | select(.status == \"fail\")'

Exit codes: 0 nothing fails, 1 something fails (with --strict: or warns)."
)]
pub(crate) struct Command {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    preflight: Preflight,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Ping between everyone: containers, this host, gateways, peers; of what fails, where it was lost
    Connectivity(connectivity::Args),
    /// Look at VXLANs: their destinations, their link, their MTU, and whether the other nodes answer
    Overlay(overlay::Args),
}

#[derive(Debug, Args)]
struct Preflight {
    /// Which groups; all when none is named
    #[arg(value_enum, value_name = "GROUP")]
    groups: Vec<Word>,
    /// Repair what is safe to repair while the host is in use, then look again
    #[arg(long)]
    fix: bool,
    /// With --fix: only say what would be done, and how it is undone
    #[arg(long, requires = "fix")]
    dry_run: bool,
    /// With --fix: also turn all swap off
    #[arg(long, requires = "fix")]
    swap_off: bool,
    /// Exit with 1 also when something only warns
    #[arg(long)]
    strict: bool,
}

/// A group's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Word {
    /// What this kernel can do, and its limits
    Kernel,
    /// The host's links and their settings
    Interfaces,
    /// CNI's directories, configurations and plugins
    Runtime,
    /// What a node of Kubernetes needs beside
    Kubernetes,
    /// What lies behind the cable
    Switch,
}

impl Word {
    fn group(self) -> Group {
        match self {
            Self::Kernel => Group::Kernel,
            Self::Interfaces => Group::Interfaces,
            Self::Runtime => Group::Runtime,
            Self::Kubernetes => Group::Kubernetes,
            Self::Switch => Group::Switch,
        }
    }
}

pub(crate) fn run(command: &Command, out: &mut Out) -> anyhow::Result<ExitCode> {
    match &command.action {
        Some(Action::Connectivity(args)) => connectivity::run(args, out),
        Some(Action::Overlay(args)) => overlay::run(args, out),
        None => preflight(&command.preflight, out),
    }
}

fn preflight(args: &Preflight, out: &mut Out) -> anyhow::Result<ExitCode> {
    let wanted =
        |check: &Check| args.groups.is_empty() || args.groups.iter().any(|word| word.group() == check.group);
    let checks: Vec<Check> = CHECKS.iter().copied().filter(wanted).collect();
    let mut findings = look(&checks)?;
    let mut done = Vec::new();
    if args.fix {
        done = fixes(&findings, args);
        if done.iter().any(|done| done.done) {
            findings = look(&checks)?;
        }
    }
    let report = Report::new(findings, done);
    out.json(&report)?;
    report.print(&Group::ALL, args.dry_run, out)?;
    let bad = if args.strict { Status::Warn } else { Status::Fail };
    let failed = report.findings.iter().any(|finding| finding.status >= bad)
        || report.fixes.iter().any(|fix| fix.error.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs the checks; a person who waits sees how many are through.
fn look(checks: &[Check]) -> anyhow::Result<Vec<Finding>> {
    let watched = std::io::stderr().is_terminal();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let through = |check: &Check| {
        if watched {
            let nth = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            let _ = write!(std::io::stderr(), "\r\x1b[K{nth} of {} checks: {}", checks.len(), check.id);
        }
    };
    let context = Context::read()?;
    let findings = ::check::run(checks, &context, &through);
    if watched {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    Ok(findings)
}

fn fixes(findings: &[Finding], args: &Preflight) -> Vec<Done> {
    let mut done: Vec<Done> = Vec::new();
    for finding in findings {
        for action in finding.fix.iter().flat_map(|fix| &fix.actions) {
            // Two findings may ask for the same.
            if done.iter().any(|done| done.action == *action) {
                continue;
            }
            let held_back = action.needs_word() && !args.swap_off;
            let mut one = Done {
                id: finding.id,
                object: finding.object.clone(),
                action: action.clone(),
                done: false,
                error: None,
                held_back,
            };
            if !args.dry_run && !held_back {
                let result = action.apply();
                one.done = result.is_ok();
                one.error = result.err().map(|error| error.to_string());
            }
            done.push(one);
        }
    }
    done
}
