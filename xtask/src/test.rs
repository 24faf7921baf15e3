//! `cargo xtask test`: the tests by what they need.
//!
//! A test that needs root lives in `tests/` or in a file named `netns_*.rs` under a crate's `tests/`; everything
//! else runs as an ordinary user in the unit tier.

mod output;

use crate::need::{self, Job};
use crate::{cluster, dist, fuzz, image, lint, run};
use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use output::{Count, counted};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
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
    /// Handed to the test programs: part of a test's name, --nocapture, --test-threads=1
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// So many tests of a run may be flaky. More than that is no accident.
const MOST_FLAKY: usize = 2;

/// The packages whose every test needs more than an ordinary user.
const TIER_PACKAGES: [(&str, Tier); 4] = [
    ("netns-tests", Tier::Netns),
    ("conformance-tests", Tier::Conformance),
    ("vm-tests", Tier::Vm),
    ("cluster-tests", Tier::Cluster),
];

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
    let workspace = Workspace::read()?;
    let mut lines = Vec::new();
    let mut total = Count::default();
    for tier in &chosen {
        eprintln!("\n== {}", name(*tier));
        let started = Instant::now();
        let mut count = Count::default();
        let outcome = run_tier(*tier, &workspace, &args.args, &mut count);
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

fn run_tier(tier: Tier, workspace: &Workspace, args: &[String], count: &mut Count) -> Result<()> {
    match tier {
        Tier::Unit => unit(workspace, args, count),
        Tier::Deps => one(count, lint::plugin_dependencies),
        Tier::Fuzz => fuzz::short(Duration::from_secs(5), &mut |passed| {
            count.add(Count { passed: u64::from(passed), failed: u64::from(!passed), ..Count::default() });
        }),
        Tier::Netns => {
            need::apt(&[Job::Netns])?;
            let mut runs = vec![workspace.package_tests("netns-tests")?];
            runs.extend(workspace.netns_targets());
            as_root(&places()?, runs, args, count)
        }
        Tier::Conformance => {
            need::apt(&[Job::Conformance])?;
            as_root(&places()?, vec![workspace.package_tests("conformance-tests")?], args, count)
        }
        Tier::Vm => {
            need::apt(&[Job::Vm])?;
            side_by_side(workspace.programs("vm-tests")?, args, count)
        }
        Tier::Cluster => {
            cluster::install(true)?;
            image::for_tests()?;
            as_root(&places()?, vec![workspace.package_tests("cluster-tests")?], args, count)
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

fn unit(workspace: &Workspace, args: &[String], count: &mut Count) -> Result<()> {
    let selection = workspace.unit_selection();
    let mut command = run::cargo(&["test", "--no-fail-fast", "--lib", "--bins"])?;
    command.args(&selection).arg("--").args(args);
    let first = counted(&mut command, count);
    let mut command = run::cargo(&["test", "--no-fail-fast", "--doc"])?;
    command
        .args(workspace.libraries.iter().flat_map(|library| ["-p", library.as_str()]))
        .arg("--")
        .args(args);
    let second = counted(&mut command, count);
    match [first?, second?].concat().as_slice() {
        [] => Ok(()),
        failed => bail!("{} failed", failed.join(", ")),
    }
}

/// The environment that tells tests where everything is, the programs of `dist` first.
type Places = [(&'static str, PathBuf); 4];

fn places() -> Result<Places> {
    let reference = need::go_module(&need::REFERENCE_PLUGINS)?;
    let cnitool = need::go_module(&need::CNITOOL)?.join("cnitool");
    Ok([
        ("LLANO_BIN_DIR", dist::run()?),
        ("LLANO_REFERENCE_DIR", reference),
        ("LLANO_CNITOOL", cnitool),
        ("LLANO_CACHE_DIR", run::cache_dir()?),
    ])
}

/// Runs the unit tests and the first test program by themselves, which makes what all need, then the others two at a time: virtual machines wait for
/// each other's boots more than they compute.
fn side_by_side(mut programs: Vec<Vec<String>>, args: &[String], count: &mut Count) -> Result<()> {
    let places = places()?;
    let others = programs.split_off(programs.len().min(2));
    let first = as_root(&places, programs, args, count);
    let queue = Mutex::new(others.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let lane = || {
        let (mut count, mut result) = (Count::default(), Ok(()));
        while let Some(program) = next() {
            result = result.and(as_root(&places, vec![program], args, &mut count));
        }
        (count, result)
    };
    let lanes = std::thread::scope(|scope| [scope.spawn(lane), scope.spawn(lane)].map(|lane| lane.join()));
    lanes.into_iter().fold(first, |result, lane| {
        let (counted, lane) = lane.map_err(|_| anyhow!("a lane of tests broke off"))?;
        count.add(counted);
        result.and(lane)
    })
}

/// Runs tests as root against the programs of `dist`.
fn as_root(places: &Places, runs: Vec<Vec<String>>, args: &[String], count: &mut Count) -> Result<()> {
    let mut result = Ok(());
    for words in runs {
        let run = |args: &[String], count: &mut Count| {
            let mut command = run::cargo(&["test", "--no-fail-fast"])?;
            command.args(&words).arg("--").args(args).envs(places.iter().map(|(key, value)| (key, value)));
            if !need::is_root() {
                // Cargo builds as this user; only the test programs run as root.
                let keep: Vec<&str> = places.iter().map(|(key, _)| *key).chain(["PATH", "HOME"]).collect();
                let runner = format!(
                    "CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUNNER",
                    std::env::consts::ARCH.to_uppercase()
                );
                command.env(runner, format!("sudo --preserve-env={}", keep.join(",")));
            }
            counted(&mut command, count)
        };
        result = result.and(twice(args, count, run));
    }
    result
}

/// Runs tests, and those that failed once more when they are few: on a real kernel other programs share, a test may be at fault
/// where the program is not. What passes then is named, so that it gets mended; what fails twice has failed.
fn twice(
    args: &[String],
    total: &mut Count,
    mut run: impl FnMut(&[String], &mut Count) -> Result<Vec<String>>,
) -> Result<()> {
    let mut count = Count::default();
    let outcome = run(args, &mut count);
    let failed = outcome.as_deref().unwrap_or_default();
    let all_known = failed.len() as u64 == count.failed;
    if !failed.is_empty() && failed.len() <= MOST_FLAKY && all_known {
        eprintln!("\nonce more, by themselves: {}", failed.join(", "));
        let again: Vec<String> = ["--exact"].into_iter().map(String::from).chain(failed.to_vec()).collect();
        let mut second = Count::default();
        if run(&again, &mut second)?.is_empty() && second.passed == count.failed {
            println!("FLAKY, failed at first and passed by themselves: {}", failed.join(", "));
            count = Count { passed: count.passed + second.passed, failed: 0, flaky: second.passed, ..count };
            total.add(count);
            return Ok(());
        }
    }
    total.add(count);
    match outcome?.as_slice() {
        [] => Ok(()),
        failed => bail!("{} failed", failed.join(", ")),
    }
}

/// The packages of the workspace and their test programs.
struct Workspace {
    packages: Vec<String>,
    libraries: Vec<String>,
    /// Package and name of each file under a `tests/` directory.
    tests: Vec<(String, String)>,
}

impl Workspace {
    fn read() -> Result<Self> {
        let text = run::output(&mut run::cargo(&["metadata", "--no-deps", "--format-version", "1"])?)?;
        Self::parse(&serde_json::from_str(&text).context("cargo metadata printed other than JSON")?)
    }

    fn parse(metadata: &Value) -> Result<Self> {
        let mut workspace = Self { packages: Vec::new(), libraries: Vec::new(), tests: Vec::new() };
        for package in metadata["packages"].as_array().context("cargo metadata has no packages")? {
            let name = package["name"].as_str().context("a package has no name")?.to_string();
            for target in package["targets"].as_array().into_iter().flatten() {
                let is = |kind: &str| {
                    target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind))
                };
                let target_name = target["name"].as_str().unwrap_or_default().to_string();
                if is("test") {
                    workspace.tests.push((name.clone(), target_name));
                } else if is("lib") {
                    workspace.libraries.push(name.clone());
                }
            }
            workspace.packages.push(name);
        }
        workspace.libraries.retain(|library| !is_tier_package(library));
        Ok(workspace)
    }

    /// Arguments for `cargo test`: every package but those of the other tiers, every test program that needs no root.
    fn unit_selection(&self) -> Vec<String> {
        let packages = self.packages.iter().filter(|package| !is_tier_package(package));
        let tests =
            self.tests.iter().filter(|(package, test)| !is_tier_package(package) && !needs_root(test));
        packages
            .flat_map(|package| ["-p".to_string(), package.clone()])
            .chain(tests.flat_map(|(_, test)| ["--test".to_string(), test.clone()]))
            .collect()
    }

    /// One `cargo test` for each package that has tests which need root among its own.
    fn netns_targets(&self) -> Vec<Vec<String>> {
        self.packages
            .iter()
            .filter(|package| !is_tier_package(package))
            .filter_map(|package| {
                let tests: Vec<String> = self
                    .tests
                    .iter()
                    .filter(|(owner, test)| owner == package && needs_root(test))
                    .flat_map(|(_, test)| ["--test".to_string(), test.clone()])
                    .collect();
                (!tests.is_empty()).then(|| [vec!["-p".to_string(), package.clone()], tests].concat())
            })
            .collect()
    }

    /// One `cargo test` for a package's unit tests, and one for each of its test programs.
    fn programs(&self, package: &str) -> Result<Vec<Vec<String>>> {
        let whole = self.package_tests(package)?;
        let tests = self.tests.iter().filter(|(owner, _)| owner == package);
        Ok(tests
            .map(|(_, test)| [whole.as_slice(), &["--test".to_string(), test.clone()]].concat())
            .collect())
    }

    fn package_tests(&self, package: &str) -> Result<Vec<String>> {
        if !self.packages.iter().any(|name| name == package) {
            bail!("there is no package {package} in this workspace");
        }
        Ok(vec!["-p".to_string(), package.to_string()])
    }
}

fn is_tier_package(package: &str) -> bool {
    TIER_PACKAGES.iter().any(|(name, _)| *name == package)
}

fn needs_root(test: &str) -> bool {
    test == "netns" || test.starts_with("netns_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_fails_twice_has_failed_and_what_does_not_is_named() {
        // What fails in each run, of ten tests.
        let outcome = |runs: &[&[&str]]| {
            let (mut total, mut number) = (Count::default(), 0);
            let outcome = twice(&[], &mut total, |args, count| {
                let failed: Vec<String> = runs[number].iter().copied().map(str::to_owned).collect();
                let of = if number == 0 { 10 } else { args.len() as u64 - 1 };
                number += 1;
                let failures = failed.len() as u64;
                count.add(Count { passed: of - failures, failed: failures, ..Count::default() });
                Ok(failed)
            });
            (outcome.is_ok(), number, total)
        };
        let count = |passed, failed, flaky| Count { passed, failed, flaky, ..Count::default() };
        assert_eq!(outcome(&[&[]]), (true, 1, count(10, 0, 0)));
        assert_eq!(outcome(&[&["a"], &[]]), (true, 2, count(10, 0, 1)));
        assert_eq!(outcome(&[&["a"], &["a"]]), (false, 2, count(9, 1, 0)));
        assert_eq!(outcome(&[&["a", "b"], &["b"]]), (false, 2, count(8, 2, 0)));
        assert_eq!(outcome(&[&["a", "b", "c"]]), (false, 1, count(7, 3, 0)));
    }

    #[test]
    fn tests_that_need_root_stay_out_of_the_unit_tier() {
        let workspace = Workspace::parse(&json!({"packages": [
            {"name": "kernel", "targets": [
                {"name": "kernel", "kind": ["lib"]},
                {"name": "netns_links", "kind": ["test"]},
                {"name": "codec", "kind": ["test"]}]},
            {"name": "netns-tests", "targets": [{"name": "netns-tests", "kind": ["lib"]}, {"name": "modes", "kind": ["test"]}]},
        ]}))
        .expect("metadata");
        assert_eq!(workspace.unit_selection(), ["-p", "kernel", "--test", "codec"]);
        assert_eq!(workspace.netns_targets(), [["-p", "kernel", "--test", "netns_links"]]);
        assert_eq!(workspace.libraries, ["kernel"]);
        assert!(workspace.package_tests("vm-tests").is_err());
    }
}
