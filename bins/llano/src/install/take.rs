//! `llano uninstall`.

use std::path::Path;
use std::process::ExitCode;

use ::install::{Given, Installation};
use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Where;
use crate::output::Out;

/// Give this node back as it was; running pods keep running.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano uninstall --dry-run
  llano uninstall
  llano uninstall --finish     later, when the pods it has listed have ended

End the agent first, or it puts everything back. The runtime then calls the primary plugin, also for the end of
pods that Llano made: the primary finds what is its own under the names that it was called with. Further interfaces go with their
pods; what of them outlives a pod, such as a lease, is listed, and collected with --finish or by an agent that comes back.")]
pub(crate) struct Uninstall {
    /// Only show what would be given back
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Where,
    /// Also collect what outlived pods that Llano made and that have ended: leases, routes of host access; then the records
    #[arg(long, conflicts_with_all = ["dry_run", "stay"])]
    finish: bool,
    /// Do not end before SIGTERM: for a DaemonSet, which starts again what ends
    #[arg(long, conflicts_with = "dry_run")]
    stay: bool,
}

/// A pod whose interfaces are ours.
#[derive(Debug, Serialize)]
pub(super) struct Remaining {
    /// NAMESPACE/NAME.
    pod: String,
    container_id: String,
    /// The interfaces, with their networks.
    interfaces: Vec<String>,
}

pub(crate) fn uninstall(args: &Uninstall, out: &mut Out) -> anyhow::Result<ExitCode> {
    let places = args.place.places();
    if args.dry_run {
        let given = Installation::plan_uninstall(&places)?;
        out.json(&json!({ "dry_run": true, "files": given }))?;
        for Given { path, how } in &given {
            let verb = if *how == "restored" { "would put back what was at" } else { "would remove" };
            out.line(&format!("{verb} {}", path.display()))?;
        }
        if given.is_empty() {
            out.line("Nothing is installed.")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    // From the beginning: the first process of a container ignores a signal that it does not ask for.
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let given = Installation::uninstall(&places)?;
    let remaining = match args.finish {
        true => super::finish::finish(places.root())?,
        // An agent that is ending has its store open for another moment: what is given back is given back all the same.
        false => remaining(places.root()).unwrap_or_else(|error| {
            eprintln!("llano: pods that keep interfaces cannot be listed: {error:#}");
            Vec::new()
        }),
    };
    out.json(&json!({ "dry_run": false, "files": given, "remaining": remaining }))?;
    for Given { path, how } in &given {
        let text = match *how {
            "restored" => format!("gave back {}", path.display()),
            "removed" => format!("removed {}", path.display()),
            _ => format!("left {} as it is: somebody else has written there since", path.display()),
        };
        out.line(&text)?;
    }
    if given.is_empty() {
        out.line("Nothing is installed.")?;
    }
    if !remaining.is_empty() {
        out.line(
            "Pods that keep interfaces made by Llano; when they have ended, `llano uninstall --finish`:",
        )?;
        for pod in &remaining {
            out.line(&format!("    {} {}", pod.pod, pod.interfaces.join(" ")))?;
        }
    }
    if args.stay {
        out.line("done; waiting for SIGTERM")?;
        out.flush()?;
        signals.forever().next();
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the agent keeps its store, below the node's root.
pub(super) const STORE: &str = "var/lib/llano/agent";

/// The pods of the agent's store; none where there is no store.
fn remaining(root: &Path) -> anyhow::Result<Vec<Remaining>> {
    let dir = root.join(STORE);
    if !dir.join("agent.redb").exists() {
        return Ok(Vec::new());
    }
    let store = agent::Store::open(&dir).context("is the agent still there?")?;
    remaining_in(&store)
}

pub(super) fn remaining_in(store: &agent::Store) -> anyhow::Result<Vec<Remaining>> {
    let told = store.all()?.into_iter().map(|record| match record {
        Ok(record) => Remaining {
            pod: format!("{}/{}", record.pod.namespace, record.pod.name),
            container_id: record.pod.container_id,
            interfaces: record
                .attachments
                .iter()
                .map(|attachment| format!("{}@{}", attachment.call.network, attachment.call.ifname.as_str()))
                .collect(),
        },
        Err(record) => Remaining {
            pod: format!("unknown ({})", record.reason),
            container_id: record.container_id,
            interfaces: Vec::new(),
        },
    });
    Ok(told.collect())
}
