//! `llano status`: this node, or with a kubeconfig the cluster.

use std::path::PathBuf;
use std::process::ExitCode;

use ::install::{FileState, Status};
use serde_json::json;

use super::{Where, overview};
use crate::output::{Colour, Out, Text, head};

/// How Llano stands on this node, or on the cluster, and what to do about what is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano status
  llano status --output json | jq .problems
  llano status --kubeconfig ~/.kube/config      nodes and agents, pods with networks, definitions

Exit codes: 0 all well, 1 not installed or something is wrong.")]
pub(crate) struct StatusCommand {
    /// The cluster instead of this node. It must be allowed to list nodes, pods, events and definitions
    #[arg(long, value_name = "FILE", conflicts_with_all = ["root", "cni_bin_dir", "cni_conf_dir"])]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
}

pub(crate) fn status(args: &StatusCommand, out: &mut Out) -> anyhow::Result<ExitCode> {
    if let Some(file) = &args.kubeconfig {
        return overview::print(file, out);
    }
    let places = args.place.places();
    let mut status = Status::read(&places)?;
    let socket = places.root().join("run/llano/agent.sock");
    let agent = std::os::unix::net::UnixStream::connect(&socket).is_ok();
    if status.installed && !agent {
        status.problems.push(format!(
            "no agent listens on {}: pods wait for it; start it, or `llano uninstall`",
            socket.display()
        ));
    }
    out.json(&json!({
        "installed": status.installed, "agent": agent, "files": status.files, "primary": status.primary,
        "effective": status.effective, "problems": status.problems,
    }))?;
    let well = status.installed && status.problems.is_empty();
    let code = if well { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if !status.installed {
        out.line("Llano is not installed on this node.")?;
        return Ok(code);
    }
    let mut rows = vec![head(&["FILE", "STATE", "BEFORE"])];
    for file in &status.files {
        let (state, colour) = match file.state {
            FileState::Ours => ("ours", Colour::Good),
            FileState::Changed => ("changed", Colour::Bad),
            FileState::Missing => ("missing", Colour::Bad),
        };
        let before = if file.keeps { "kept" } else { "nothing" };
        rows.push(vec![
            Text::new(file.path.display().to_string()),
            Text::new(state).colour(colour),
            Text::new(before),
        ]);
    }
    out.table(0, &rows)?;
    out.line("")?;
    let shown =
        |path: Option<&std::path::PathBuf>| path.map_or("none".to_owned(), |path| path.display().to_string());
    out.line(&format!("agent              {}", if agent { "listens" } else { "is not there" }))?;
    out.line(&format!("primary plugin     {}", shown(status.primary.as_ref())))?;
    out.line(&format!("runtime takes      {}", shown(status.effective.as_ref())))?;
    for problem in &status.problems {
        out.painted(Colour::Bad, &format!("! {problem}"))?;
    }
    Ok(code)
}
