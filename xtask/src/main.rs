//! The tasks of this repository: `cargo xtask demo`, `test`, `lint`, `dist`, `image`, `bench`, `cluster`, `crds`, `fuzz`.
//!
//! Each task installs what it lacks first and says what and why (`need.rs`).

// A command-line tool: standard output is where its answers go.
#![allow(clippy::print_stdout)]

mod bench;
mod cluster;
mod crds;
mod demo;
mod dist;
mod fuzz;
mod image;
mod lint;
mod need;
mod prepare;
mod run;
mod sys;
mod test;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The tasks of this repository.
///
/// Every task installs what it lacks (apt packages, Rust targets, Go modules) and says what and why;
/// when nothing is missing it says nothing. As an ordinary user, `sudo` is asked where root is needed.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    max_term_width = 100,
    after_help = "\
Start here:
  cargo xtask demo           two hosts, a switch and a gateway on this machine; containers on their LAN
  cargo xtask test           every test there is
  cargo xtask test unit      only those that need neither root nor anything installed
  cargo xtask bench cni      the plugin against the reference plugins and against the kernel's own time"
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Show it working: build, then run `llano lab demo`
    Demo(demo::Args),
    /// Run the tests, all tiers or those named
    Test(test::Args),
    /// Make beforehand what the tests need: packages, Kubernetes, our programs
    Prepare(prepare::Args),
    /// Formatting, clippy, licences, the closed list of the plugin's dependencies, the docs' links
    Lint(lint::Args),
    /// Build `llano-cni` and `llano`, release and static, into target/dist
    Dist,
    /// Pack both programs into a container image, without a container engine
    Image(image::Args),
    /// Measure, and compare with the budgets
    Bench(bench::Args),
    /// A real Kubernetes cluster of namespaces: up, down, kubectl, status, logs
    Cluster(cluster::Args),
    /// Write deploy/crds.yaml and docs/kinds.md: the kinds of crates/api as Kubernetes takes them and as people read them
    Crds,
    /// Fuzz the parsers of what comes from outside
    Fuzz(fuzz::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Demo(args) => demo::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Prepare(args) => prepare::run(&args),
        Task::Lint(args) => lint::run(&args),
        Task::Dist => dist::run().map(|_| ()),
        Task::Image(args) => image::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Cluster(args) => cluster::run(&args),
        Task::Crds => crds::run(),
        Task::Fuzz(args) => fuzz::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
