//! `llano host boot`.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use ::host::Here;
use ::host::keep::{Boots, Places, boot};

use super::{say, tell};
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
    let names = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let wait = args.wait;
    let places = Places::default();
    let path = places.declared().display().to_string();
    let mut told = |what: Boots<'_>| match what {
        Boots::Told(told) => tell(told),
        Boots::WithoutRecords(error) => say(&format!("llano: going on without the records: {error}")),
        Boots::Instead(error, number) => {
            say(&format!("llano: {error}: taking what change {number} declared instead"));
        }
        Boots::Waiting(missing) => say(&format!("llano: waiting up to {wait} s for {}", names(missing))),
        Boots::Without(missing) => say(&format!("llano: going on without {}", names(missing))),
        Boots::Applying(_, difference) => {
            difference.to_string().lines().for_each(|line| say(&format!("llano: {line}")));
        }
        Boots::OneByOne(error) => say(&format!("llano: {error}: bringing up each interface for itself")),
        Boots::Left(name, error) => say(&format!("llano: {name} is not up: {error}")),
    };
    let mut here = || Here::open(|step| say(&format!("llano: {step}")));
    let booted = boot(&places, &mut here, Duration::from_secs(wait), &mut told)?;
    out.json(&booted)?;
    if !booted.declared {
        out.line(&format!("there is no {path}: nothing to do"))?;
    } else if !booted.is_whole() {
        let mut wrong = Vec::new();
        if !booted.missing.is_empty() {
            wrong.push(format!("{} did not appear in {wait} s", names(&booted.missing)));
        }
        if !booted.left.is_empty() {
            wrong.push(format!("{} could not be brought up", booted.left.join(", ")));
        }
        if booted.damaged {
            wrong.push(format!("{path} is damaged and must be mended"));
        }
        say(&format!("llano: {}; the rest of what is declared is up", wrong.join("; ")));
        return Ok(ExitCode::FAILURE);
    } else if booted.changed {
        out.line(&format!("the network is as in {path}"))?;
    } else {
        out.line(&format!("the network was as in {path} already"))?;
    }
    Ok(ExitCode::SUCCESS)
}
