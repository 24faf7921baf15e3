//! `llano host boot`.

use std::process::ExitCode;
use std::time::Duration;

use ::host::keep::{Boots, boot};
use serde_json::json;

use super::keeper_telling;
use crate::output::Out;

/// Bring the declared network up.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano host boot                    what llano-host.service calls
  llano host boot --wait 10          give NICs ten seconds to appear

Waits for the NICs that /etc/llano/host.yaml builds on, by the kernel's word and
udev's, applies it and verifies it. What is so already is left alone, so that it
may be called at any time. When a NIC does not come, the rest is brought up
without it, and the exit code is 1.")]
pub(crate) struct Boot {
    /// Longest wait for NICs
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3600))]
    wait: u64,
}

pub(crate) fn run(args: &Boot, out: &mut Out) -> anyhow::Result<ExitCode> {
    let mut keeper = keeper_telling(|step| eprintln!("llano: {step}"))?;
    let names = |names: &std::collections::BTreeSet<String>| {
        names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    let wait = args.wait;
    let booted = boot(&mut keeper, Duration::from_secs(wait), &mut |what| match what {
        Boots::Waiting(missing) => eprintln!("llano: waiting up to {wait} s for {}", names(missing)),
        Boots::Without(missing) => eprintln!("llano: going on without {}", names(missing)),
        Boots::Applying(_, difference) => {
            difference.to_string().lines().for_each(|line| eprintln!("llano: {line}"));
        }
    })?;
    out.json(&json!({ "declared": booted.declared, "changed": booted.changed, "missing": booted.missing }))?;
    let path = keeper.places().declared();
    let path = path.display();
    match &booted {
        booted if !booted.declared => out.line(&format!("there is no {path}: nothing to do"))?,
        booted if !booted.missing.is_empty() => {
            let missing = names(&booted.missing);
            eprintln!("llano: {missing} did not appear in {wait} s; the rest of {path} is up");
            return Ok(ExitCode::FAILURE);
        }
        booted if booted.changed => out.line(&format!("the network is as in {path}"))?,
        _ => out.line(&format!("the network was as in {path} already"))?,
    }
    Ok(ExitCode::SUCCESS)
}
