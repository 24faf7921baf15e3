//! `llano status`: this node.

use std::process::ExitCode;

use ::install::{FileState, Status};
use serde_json::json;

use super::Where;
use crate::output::{Colour, Out, Text, head};

/// How Llano stands on this node, and what to do about what is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano status
  llano status --output json | jq .problems

Exit codes: 0 all well, 1 not installed or something is wrong.")]
pub(crate) struct StatusCommand {
    #[command(flatten)]
    place: Where,
}

pub(crate) fn status(args: &StatusCommand, out: &mut Out) -> anyhow::Result<ExitCode> {
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
