//! `llano host access`.

use clap::Subcommand;

use crate::output::Out;

/// The commands about host access.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Command {}

pub(crate) fn run(command: Command, _out: &mut Out) -> anyhow::Result<()> {
    match command {}
}
