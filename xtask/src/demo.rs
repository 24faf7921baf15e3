//! `cargo xtask demo`: builds, then hands over to `llano lab demo`.

use crate::need::{self, Job};
use crate::{dist, run};
use anyhow::Result;

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Handed to `llano lab demo`: --keep, --runtime containerd, --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    need::apt(&[Job::Demo])?;
    if args.args.iter().any(|arg| arg == "containerd" || arg == "--runtime=containerd") {
        need::apt(&[Job::Conformance])?;
    }
    let dist = dist::run()?;
    let mut words = vec!["lab", "demo"];
    words.extend(args.args.iter().map(String::as_str));
    let mut command = need::root_command(dist.join("llano"), &words, &["LLANO_BIN_DIR"])?;
    command.env("LLANO_BIN_DIR", &dist);
    run::step(&mut command)
}
