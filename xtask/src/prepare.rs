//! `cargo xtask prepare`: what the tests need and do not have, made beforehand.

use crate::need::{self, Job};
use crate::{cluster, dist, fuzz};
use anyhow::{Result, bail};
use std::thread;
use std::time::Instant;

#[derive(clap::Args)]
#[command(after_help = "\
The tests make what they lack themselves. This makes it beforehand: to be offline later, or beside something else,
at a priority that leaves others their time (`chrt --idle 0 cargo xtask prepare &`).")]
pub(crate) struct Args {}

/// A thing to be made, by its name.
type Step = (&'static str, fn() -> Result<()>);

/// What the others need first.
const PACKAGES: Step =
    ("packages", || need::apt(&[Job::Dist, Job::Netns, Job::Conformance, Job::Fuzz, Job::Vm, Job::Cluster]));

/// Two rows of steps, made side by side: Rust's link with one processor for minutes, Go compiles on all there are.
const ROWS: [&[Step]; 2] = [
    &[("programs", || dist::run().map(drop)), ("fuzz targets", || fuzz::build(&[]).map(drop))],
    &[
        ("plugins", || need::go_module(&need::REFERENCE_PLUGINS).map(drop)),
        ("cnitool", || need::go_module(&need::CNITOOL).map(drop)),
        ("cluster", || cluster::install(true)),
    ],
];

pub(crate) fn run(_: &Args) -> Result<()> {
    let mut failed = make(&[PACKAGES]);
    thread::scope(|scope| {
        for row in ROWS.map(|row| scope.spawn(|| make(row))) {
            failed.extend(row.join().unwrap_or_else(|_| vec!["a row that broke off"]));
        }
    });
    if !failed.is_empty() {
        bail!("could not make: {}", failed.join(", "));
    }
    Ok(())
}

/// Makes one after the other, and answers what could not be made.
fn make(steps: &[Step]) -> Vec<&'static str> {
    let mut failed = Vec::new();
    for (name, step) in steps {
        let started = Instant::now();
        if let Err(error) = step() {
            eprintln!("error: {name}: {error:#}");
            failed.push(*name);
        }
        eprintln!("{name}: {:.0} s", started.elapsed().as_secs_f64());
    }
    failed
}
