//! Shell completions and manual pages, both made from the command line's own description.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;

use crate::cli::Cli;
use crate::output::Out;

pub(crate) fn completions(shell: clap_complete::Shell, out: &mut Out) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "llano", &mut script);
    out.raw(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn manual(dir: &Path, out: &mut Out) -> anyhow::Result<ExitCode> {
    let wrong = || format!("cannot write manual pages into {}", dir.display());
    std::fs::create_dir_all(dir).with_context(wrong)?;
    clap_mangen::generate_to(Cli::command(), dir).with_context(wrong)?;
    out.line(&format!("manual pages are in {}", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}
