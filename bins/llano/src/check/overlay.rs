//! `llano check overlay`.

use std::net::IpAddr;
use std::process::ExitCode;

use ::check::{Context, Group, Status};

use super::report::Report;
use crate::output::Out;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each VXLAN's forwarding database must send to addresses that are reached over its own link. With --peer,
those are the only right ones, and each of them must be there.

Examples:
  llano check overlay
  llano check overlay --peer 172.20.115.72 --peer 172.20.115.73

Exit codes: 0 nothing fails, 1 something fails.")]
pub(super) struct Args {
    /// Another node's address on the LAN; may be given several times
    #[arg(long, value_name = "ADDR")]
    peer: Vec<IpAddr>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> anyhow::Result<ExitCode> {
    let findings = ::check::overlay(&Context::read()?, &args.peer)?;
    let failed = findings.iter().any(|finding| finding.status == Status::Fail);
    let report = Report::new(findings, Vec::new());
    out.json(&report)?;
    report.print(&[Group::Overlay], false, out)?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
