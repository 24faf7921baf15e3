//! `llano lab demo`.

use crate::output::Out;
use std::process::ExitCode;

/// Show containers on a LAN.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {}

pub(crate) fn run(_args: &Demo, _out: &mut Out) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::FAILURE)
}
