//! `llano lab demo`: a handbook's `macvlan.conf` on two hosts, what works, what does not, and what to do about it.

mod conf;
mod containerd;
mod lan;
mod netns;
mod pod;
mod report;
mod stage;
mod story;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::ValueEnum;

use crate::output::Out;

/// Show containers on a LAN.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything happens in namespaces: no interface, address or file of this
machine is touched. It takes a few seconds and cleans up after itself, also
when it is interrupted.

Examples:
  llano lab demo
  llano lab demo --keep                   then look around: llano lab matrix
  llano lab demo --runtime containerd     a containerd and ctr run --cni on each host")]
pub(crate) struct Demo {
    /// Leave the lab and its containers up for looking around
    #[arg(long)]
    keep: bool,
    /// What runs the containers
    #[arg(long, value_enum, default_value_t = Runtime::Netns, value_name = "RUNTIME")]
    runtime: Runtime,
    /// The lab's name
    #[arg(long, short, default_value = "demo", value_name = "NAME")]
    name: String,
}

/// What runs the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Runtime {
    /// A namespace and a process in it
    Netns,
    /// Real containers; needs containerd, runc and busybox-static
    Containerd,
}

pub(crate) fn run(args: &Demo, out: &mut Out) -> anyhow::Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second one ends the process at once.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let plugin = crate::bins::llano_cni()?;
    let stage = stage::Stage::build(&args.name, args.runtime, &plugin, args.keep, stop)?;
    story::tell(stage, out)
}
