//! The program that runs inside the machine: `vm-guest GROUP…` runs the groups' checks and prints a line for each;
//! `vm-guest pod …`, `partner …`, `reseed …`, `storm …` and `collect …` are parts of tests that the host leads.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use vm_tests::checks::{Check, GROUPS};
use vm_tests::{bench, caller, partner, reseed, storm};

/// A lab makes what a machine lacks of its nodes' directories in an overlay of the nearest parent. Of `/opt/cni` that would be the
/// root of an initramfs, and there is none of that.
const MISSING: &str = "/opt";

fn main() -> ExitCode {
    if let Err(error) = std::fs::create_dir_all(MISSING) {
        say(&format!("cannot create {MISSING}: {error}"));
        return ExitCode::FAILURE;
    }
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(outcome) = part(&wanted) {
        return match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(&format!("vm-guest: {error:#}"));
                ExitCode::FAILURE
            }
        };
    }
    for (group, checks) in GROUPS {
        if wanted.iter().any(|name| name == group) {
            checks.iter().for_each(run);
        }
    }
    ExitCode::SUCCESS
}

/// What is no group of checks.
fn part(words: &[String]) -> Option<anyhow::Result<()>> {
    let (first, rest) = words.split_first()?;
    Some(match first.as_str() {
        "bench" => bench::run(rest),
        "pod" => caller::pod(rest),
        "neighbour" => partner::neighbour(rest),
        "partner" => partner::run(rest),
        "reseed" => reseed::run(rest),
        "storm" => storm::run(rest),
        "collect" => storm::collect(rest),
        _ => return None,
    })
}

fn run(check: &Check) {
    let start = std::time::Instant::now();
    let result = catch_unwind(AssertUnwindSafe(check.run));
    say(&format!("{}: {:.1} s", check.name, start.elapsed().as_secs_f32()));
    let reason = match result {
        Ok(Ok(())) => return say(&format!("ok {}", check.name)),
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => "it panicked".to_owned(),
    };
    say(&format!("not ok {}: {}", check.name, reason.replace('\n', " | ")));
}

fn say(line: &str) {
    // Without a host that listens there is nobody to tell.
    let _ = writeln!(std::io::stdout(), "{line}");
}
