//! `cargo xtask test`: the tests by what they need.
//!
//! A test that needs root lives in `tests/` or in a file named `netns_*.rs` under a crate's `tests/`; everything
//! else runs as an ordinary user in the unit tier.

mod lanes;
mod output;
mod programs;

use crate::need::{self, Job};
use crate::{cluster, dist, fuzz, image, lint, run};
use anyhow::{Result, anyhow, bail};
use clap::ValueEnum;
use lanes::Lanes;
use output::Count;
use programs::{Package, Program};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What a test needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Tier {
    /// Nothing: logic, properties, models
    Unit,
    /// Nothing: the list of crates that the plugin links is the agreed one
    Deps,
    /// Root: real links, routes, ARP, DHCP servers, in namespaces of their own
    Netns,
    /// Root and container runtimes: cnitool, containerd, podman
    Conformance,
    /// A nightly toolchain: each fuzz target for five seconds
    Fuzz,
    /// QEMU: what needs kernel modules or a reboot
    Vm,
    /// Root: etcd, Kubernetes, kubelets and containerd, nodes as namespaces
    Cluster,
}

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask test                       all tiers
  cargo xtask test cluster               one: two nodes of a real Kubernetes, with containerd 1 and 2; it builds them first
  cargo xtask test unit netns            two of them
  cargo xtask test --without vm          all but one
  cargo xtask test netns -- two_hosts    the tests of a tier whose name contains `two_hosts`

A tier that cannot run here fails; leave it out by name if you mean to. Where the kernel, runtimes or a virtual machine take part,
one or two tests that fail are run once more by themselves; those that pass then are counted as passed and named as flaky.
The last line is `N passed, M failed`.")]
pub(crate) struct Args {
    /// The tiers to run; none means all
    #[arg(value_name = "TIER")]
    tiers: Vec<Tier>,
    /// Leave these out
    #[arg(long, value_name = "TIER", value_delimiter = ',')]
    without: Vec<Tier>,
    /// The whole sizes: storms of a hundred pods a node, ten minutes of chaos; an hour more
    #[arg(long)]
    full: bool,
    /// Handed to the test programs: part of a test's name, --nocapture, --test-threads=1
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// The packages whose files under `tests/` need more than an ordinary user.
const TIER_PACKAGES: [(&str, Tier); 4] = [
    ("netns-tests", Tier::Netns),
    ("conformance-tests", Tier::Conformance),
    ("vm-tests", Tier::Vm),
    ("cluster-tests", Tier::Cluster),
];

/// Test programs that take longest, the longest first.
const LONG: [&str; 8] =
    ["stateful_set", "keep", "storm", "chaos", "power_cut", "host", "agent", "check_paths"];

/// The program that boots a virtual machine and little else.
const FIRST_MACHINE: &str = "runner";

pub(crate) fn run(args: &Args) -> Result<()> {
    let all = Tier::value_variants();
    let chosen: Vec<Tier> = all
        .iter()
        .copied()
        .filter(|tier| match args.tiers.as_slice() {
            [] => true,
            named => named.contains(tier),
        })
        .filter(|tier| !args.without.contains(tier))
        .collect();
    if chosen.is_empty() {
        bail!("no tier is left to run");
    }
    let packages = programs::packages()?;
    let mut lines = Vec::new();
    let mut total = Count::default();
    for tier in &chosen {
        eprintln!("\n== {}", name(*tier));
        let started = Instant::now();
        let mut count = Count::default();
        let outcome = run_tier(*tier, args, &packages, &mut count);
        if let Err(error) = &outcome {
            eprintln!("error: {}: {error:#}", name(*tier));
            // A tier that did not even get to its tests has failed once.
            count.failed = count.failed.max(1);
        }
        lines.push(line(*tier, &count, started.elapsed(), outcome.as_ref().err()));
        total.add(count);
    }
    for tier in args.without.iter().filter(|tier| args.tiers.is_empty() || args.tiers.contains(tier)) {
        lines.push(format!("{:<12} LEFT OUT by --without", name(*tier)));
    }
    if !args.full && (chosen.contains(&Tier::Cluster) || chosen.contains(&Tier::Vm)) {
        let said = "storms, chaos, power cuts and sets of pods were short ones: --full has the whole sizes";
        lines.push(said.to_owned());
    }
    println!("\n{}", total.reasons.iter().chain(&lines).cloned().collect::<Vec<_>>().join("\n"));
    println!("{} passed, {} failed", total.passed, total.failed);
    std::io::stdout().flush()?;
    if total.failed > 0 {
        bail!("tests failed");
    }
    Ok(())
}

fn name(tier: Tier) -> String {
    tier.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
}

fn line(tier: Tier, count: &Count, took: Duration, error: Option<&anyhow::Error>) -> String {
    let mut text = format!(
        "{:<12} {:>5} passed, {} failed, {} ignored in {:.0} s",
        name(tier),
        count.passed,
        count.failed,
        count.ignored,
        took.as_secs_f64()
    );
    if count.flaky > 0 {
        text.push_str(&format!(", {} FLAKY", count.flaky));
    }
    if let Some(error) = error {
        text.push_str(&format!("  FAILED: {}", format!("{error:#}").lines().next().unwrap_or_default()));
    }
    text
}

fn run_tier(tier: Tier, args: &Args, packages: &[Package], count: &mut Count) -> Result<()> {
    match tier {
        Tier::Unit => unit(packages, &args.args, count),
        Tier::Deps => one(count, lint::plugin_dependencies),
        Tier::Fuzz => fuzz::short(Duration::from_secs(5), &mut |passed| {
            count.add(Count { passed: u64::from(passed), failed: u64::from(!passed), ..Count::default() });
        }),
        Tier::Netns => {
            need::apt(&[Job::Netns])?;
            as_root(tier, 3, args, packages, count)
        }
        Tier::Conformance => {
            need::apt(&[Job::Conformance])?;
            as_root(tier, 1, args, packages, count)
        }
        Tier::Vm => {
            need::apt(&[Job::Vm])?;
            machines(args, packages, count)
        }
        Tier::Cluster => {
            cluster::install(true)?;
            image::for_tests()?;
            as_root(tier, 3, args, packages, count)
        }
    }
}

fn one(count: &mut Count, check: impl FnOnce() -> Result<()>) -> Result<()> {
    let result = check();
    count.add(Count {
        passed: u64::from(result.is_ok()),
        failed: u64::from(result.is_err()),
        ..Count::default()
    });
    result
}

fn unit(packages: &[Package], args: &[String], count: &mut Count) -> Result<()> {
    let programs = programs::build(packages, &unit_selection(packages))?;
    let programs = programs.into_iter().filter(|program| tier_of_program(program) == Tier::Unit).collect();
    let lanes = Lanes { number: 2, world: false, root: false, environment: &[], args };
    let first = lanes.run(programs, count);
    let mut command = run::cargo(&["test", "--workspace", "--no-fail-fast", "--doc", "--quiet", "--"])?;
    eprintln!("$ {}", run::shown(&command));
    let second = output::counted(command.args(args), count, &mut std::io::stdout(), None)?;
    match second.as_slice() {
        [] => first,
        failed => first.and(Err(anyhow!("{} failed", failed.join(", ")))),
    }
}

/// The programs and places that tests are told of in their environment.
type Places = Vec<(&'static str, PathBuf)>;

fn places(args: &Args) -> Result<Places> {
    let reference = need::go_module(&need::REFERENCE_PLUGINS)?;
    let cnitool = need::go_module(&need::CNITOOL)?.join("cnitool");
    let mut places = vec![
        ("LLANO_BIN_DIR", dist::run()?),
        ("LLANO_REFERENCE_DIR", reference),
        ("LLANO_CNITOOL", cnitool),
        ("LLANO_CACHE_DIR", run::cache_dir()?),
    ];
    if args.full {
        places.push(("LLANO_FULL", "1".into()));
    }
    Ok(places)
}

/// Runs a tier's programs as root, so many at once.
fn as_root(tier: Tier, number: usize, args: &Args, packages: &[Package], count: &mut Count) -> Result<()> {
    let programs = programs_of(tier, packages)?;
    let environment = places(args)?;
    let world = tier != Tier::Vm;
    Lanes { number, world, root: true, environment: &environment, args: &args.args }.run(programs, count)
}

/// Virtual machines wait for each other's boots more than they compute. The first program makes what all need.
fn machines(args: &Args, packages: &[Package], count: &mut Count) -> Result<()> {
    let environment = places(args)?;
    let programs = programs_of(Tier::Vm, packages)?;
    let (first, others) = programs.into_iter().partition(|program| program.target == FIRST_MACHINE);
    let mut lanes =
        Lanes { number: 1, world: false, root: true, environment: &environment, args: &args.args };
    let first = lanes.run(first, count);
    lanes.number = 2;
    let mut more = Count::default();
    let others = lanes.run(others, &mut more);
    count.add(more);
    first.and(others)
}

/// The programs of a tier, built.
fn programs_of(tier: Tier, packages: &[Package]) -> Result<Vec<Program>> {
    let selection = packages
        .iter()
        .flat_map(|package| package.tests.iter().filter(|test| tier_of(&package.name, test) == tier))
        .flat_map(|test| ["--test".to_owned(), test.clone()])
        .collect::<Vec<_>>();
    let mut programs = programs::build(packages, &selection)?;
    programs.retain(|program| tier_of_program(program) == tier);
    // Who takes longest begins, so that no lane is alone at the end.
    programs
        .sort_by_key(|program| LONG.iter().position(|long| *long == program.target).unwrap_or(LONG.len()));
    Ok(programs)
}

/// The tier of a file under a package's `tests/`.
fn tier_of(package: &str, test: &str) -> Tier {
    let of_package = TIER_PACKAGES.iter().find(|(name, _)| *name == package).map(|(_, tier)| *tier);
    of_package.unwrap_or(if test.starts_with("netns_") { Tier::Netns } else { Tier::Unit })
}

fn tier_of_program(program: &Program) -> Tier {
    if program.apart { tier_of(&program.package, &program.target) } else { Tier::Unit }
}

/// The tests inside libraries and programs, and every file under `tests/` that needs no root.
fn unit_selection(packages: &[Package]) -> Vec<String> {
    let apart = packages
        .iter()
        .flat_map(|package| package.tests.iter().filter(|test| tier_of(&package.name, test) == Tier::Unit))
        .flat_map(|test| ["--test".to_owned(), test.clone()]);
    ["--lib", "--bins"].map(str::to_owned).into_iter().chain(apart).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tests_that_need_root_stay_out_of_the_unit_tier() {
        let packages = programs::parse_packages(&json!({"packages": [
            {"name": "kernel", "manifest_path": "/k/Cargo.toml", "targets": [
                {"name": "kernel", "kind": ["lib"]},
                {"name": "netns_links", "kind": ["test"]},
                {"name": "codec", "kind": ["test"]}]},
            {"name": "netns-tests", "manifest_path": "/n/Cargo.toml", "targets": [
                {"name": "netns-tests", "kind": ["lib"]}, {"name": "modes", "kind": ["test"]}]},
        ]}))
        .expect("metadata");
        assert_eq!(unit_selection(&packages), ["--lib", "--bins", "--test", "codec"]);
        let message = |directory: &str, name: &str, kind: &str, test: bool| {
            json!({"executable": "/target/x", "manifest_path": format!("{directory}/Cargo.toml"),
                "profile": {"test": test}, "target": {"name": name, "kind": [kind]}})
        };
        let tier = |directory: &str, name: &str, kind: &str| {
            programs::built(&packages, &message(directory, name, kind, true))
                .map(|program| tier_of_program(&program))
        };
        assert_eq!(tier("/k", "netns_links", "test"), Some(Tier::Netns));
        assert_eq!(tier("/k", "codec", "test"), Some(Tier::Unit));
        assert_eq!(tier("/n", "modes", "test"), Some(Tier::Netns));
        // What is inside a library or a program needs no root, whatever the package.
        assert_eq!(tier("/n", "netns-tests", "lib"), Some(Tier::Unit));
        assert_eq!(tier("/elsewhere", "codec", "test"), None);
        assert_eq!(programs::built(&packages, &message("/k", "kernel", "lib", false)), None);
    }
}
