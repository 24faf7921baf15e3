//! `cargo xtask bench`: figures and budgets. Method and results: docs/benchmarks.md.

mod agent;
mod cni;
mod peers;
mod process;
mod report;
mod samples;
mod site;
mod tree;

use crate::need::{self, Job};
use crate::{cluster, dist, run};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use peers::{FLOOR, Kind, LLANO, Peer};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The benchmarks there are.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The plugin: ADD, DEL, many leases, many at once, size, memory
    Cni,
    /// Pods by way of the agent, without and with an API server: ADD and DEL with one to four macvlans; its memory
    Agent,
    /// A bond, two VLANs and two macvlans in a virtual machine: `llano host apply` against `ip -batch`
    Host,
    /// Addresses of the cluster by way of the agent: ADD and DEL beside macvlan with host-local, many at once, the controller's memory
    Ipam,
    /// The longest that TCP streams wait while the host's address moves to a macvlan and back
    Move,
    /// 1,000 macvlans in 200 namespaces: `llano link tree` against a loop over `ip netns`
    Tree,
}

#[derive(clap::Args)]
#[command(after_help = "\
Peers: llano, Debian's reference plugins, the newest ones (v1.9.1), and the floor: an empty static process that
makes the same kernel calls. They take turns within one run, so only ratios within one run mean something.
Everything happens in network and mount namespaces of this process. Needs root. About two minutes; keep the
machine quiet meanwhile.")]
pub(crate) struct Args {
    /// Which one
    #[arg(default_value = "cni")]
    name: Name,
    /// Print JSON to standard output instead of a table
    #[arg(long)]
    json: bool,
    /// Rounds; the reference plugins take part in every fourth
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Only these scenarios: size, version, add, dual, many, burst, memory
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',')]
    only: Vec<String>,
    /// Fail when a budget is missed
    #[arg(long)]
    check: bool,
    /// Set when started again as root: everything is built already
    #[arg(long, hide = true)]
    built: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match args.name {
        Name::Agent => agent(args),
        Name::Cni => cni(args),
        Name::Host => host(args),
        Name::Ipam => ipam(args),
        Name::Move => move_address(args),
        Name::Tree => tree(args),
    }
}

/// Measured in namespaces of this process, with the agent of the tests' package.
fn agent(args: &Args) -> Result<()> {
    let target = run::target_dir()?;
    if !args.built {
        need::apt(&[Job::Bench])?;
        dist::run()?;
        dist::build("floor")?;
        cluster::install(false)?;
        run::step(&mut run::cargo(&[
            "build",
            "--quiet",
            "--release",
            "--package",
            "netns-tests",
            "--bin",
            "test-agent",
        ])?)?;
        run::step(&mut run::cargo(&[
            "build",
            "--quiet",
            "--package",
            "cluster-tests",
            "--bin",
            "agent-bench",
        ])?)?;
    }
    if !need::is_root() {
        return again_as_root();
    }
    let plugins = target.join("dist/bench-agent");
    std::fs::create_dir_all(&plugins).with_context(|| format!("cannot create {}", plugins.display()))?;
    let link = plugins.join("llano");
    if link.symlink_metadata().is_err() {
        std::os::unix::fs::symlink(dist::output("llano-cni")?, &link)
            .with_context(|| format!("cannot create {}", link.display()))?;
    }
    let floor = dist::output("floor")?;
    agent_on_a_cluster(args, &target, &floor)?;
    let programs = agent::Programs { plugins, agent: target.join("release/test-agent"), floor };
    let site = site::Site::enter(&target.join(format!("bench-{}", std::process::id())))?;
    let scenarios = agent::measure(&site, &programs, args.runs.into())?;
    if args.json {
        println!("{:#}", report::json("agent", args.runs.into(), &scenarios));
    } else {
        scenarios.iter().for_each(|scenario| print!("{}", scenario.text()));
    }
    if args.check && scenarios.iter().flat_map(|scenario| &scenario.budgets).any(|budget| !budget.holds()) {
        bail!("a budget is missed");
    }
    Ok(())
}

/// Measured on a cluster of one node, by the program that the tests' package has for it.
fn agent_on_a_cluster(args: &Args, target: &Path, floor: &Path) -> Result<()> {
    let mut command = Command::new(target.join("debug/agent-bench"));
    command.arg(floor).arg(args.runs.to_string());
    command.env("LLANO_BIN_DIR", target.join("dist")).env("LLANO_CACHE_DIR", run::cache_dir()?);
    if args.json {
        command.arg("--json");
    }
    run::step(&mut command)
}

/// Measured on a cluster of two nodes, by the program that the tests' package has for it.
fn ipam(args: &Args) -> Result<()> {
    let target = run::target_dir()?;
    if !args.built {
        need::apt(&[Job::Bench])?;
        dist::run()?;
        cluster::install(false)?;
        let bench = ["build", "--quiet", "--package", "cluster-tests", "--bin", "ipam-bench"];
        run::step(&mut run::cargo(&bench)?)?;
    }
    if !need::is_root() {
        return again_as_root();
    }
    let mut command = Command::new(target.join("debug/ipam-bench"));
    command.arg(args.runs.to_string());
    command.env("LLANO_BIN_DIR", target.join("dist")).env("LLANO_CACHE_DIR", run::cache_dir()?);
    for (wanted, flag) in [(args.json, "--json"), (args.check, "--check")] {
        if wanted {
            command.arg(flag);
        }
    }
    run::step(&mut command)
}

/// Measured in namespaces of this process.
fn tree(args: &Args) -> Result<()> {
    let target = run::target_dir()?;
    if !args.built {
        need::apt(&[Job::Bench])?;
        dist::run()?;
    }
    if !need::is_root() {
        return again_as_root();
    }
    let site = site::Site::enter(&target.join(format!("bench-{}", std::process::id())))?;
    let scenario = tree::measure(&site, &target.join("dist/llano"), args.runs.min(20).into())?;
    if args.json {
        println!("{:#}", report::json("tree", args.runs.into(), std::slice::from_ref(&scenario)));
    } else {
        print!("{}", scenario.text());
    }
    if args.check && scenario.budgets.iter().any(|budget| !budget.holds()) {
        bail!("a budget is missed");
    }
    Ok(())
}

/// Measured in a lab, by the program that the tests' package has for it.
fn move_address(args: &Args) -> Result<()> {
    need::apt(&[Job::Bench])?;
    let programs = dist::run()?;
    let mut command =
        run::cargo(&["run", "--quiet", "--package", "netns-tests", "--bin", "move-bench", "--"])?;
    command.arg(args.runs.min(20).to_string()).env("LLANO_BIN_DIR", programs);
    if args.json {
        command.arg("--json");
    }
    if !need::is_root() {
        let runner =
            format!("CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUNNER", std::env::consts::ARCH.to_uppercase());
        command.env(runner, "sudo --preserve-env=LLANO_BIN_DIR,PATH,HOME");
    }
    run::step(&mut command)
}

/// Measured inside a virtual machine, by the program that the tests' package has for it.
fn host(args: &Args) -> Result<()> {
    need::apt(&[Job::Bench])?;
    let programs = dist::run()?;
    let mut command = run::cargo(&["run", "--quiet", "--package", "vm-tests", "--bin", "vm-bench", "--"])?;
    command.arg(args.runs.min(50).to_string()).env("LLANO_BIN_DIR", programs);
    if !need::is_root() {
        // The userland's files belong to root.
        let runner =
            format!("CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUNNER", std::env::consts::ARCH.to_uppercase());
        command.env(runner, "sudo --preserve-env=LLANO_BIN_DIR,PATH,HOME,CARGO");
    }
    run::step(&mut command)
}

fn cni(args: &Args) -> Result<()> {
    let known: Vec<&str> = cni::SCENARIOS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = args.only.iter().find(|only| !known.contains(&only.as_str())) {
        bail!("no scenario `{unknown}`; there are: {}", known.join(", "));
    }
    let target = run::target_dir()?;
    let newest = if args.built {
        need::go_module(&need::REFERENCE_PLUGINS)?
    } else {
        need::apt(&[Job::Bench])?;
        dist::run()?;
        dist::build("floor")?;
        need::go_module(&need::REFERENCE_PLUGINS)?
    };
    if !need::is_root() {
        return again_as_root();
    }
    let plugins = name_links(&target)?;
    let floor = dist::output("floor")?;
    let peers = vec![
        Peer { name: LLANO, kind: Kind::Plugins(plugins) },
        Peer { name: "debian", kind: Kind::Plugins("/usr/lib/cni".into()) },
        Peer { name: "v1.9.1", kind: Kind::Plugins(newest) },
        Peer { name: FLOOR, kind: Kind::Floor(floor.clone()) },
    ];
    let site = site::Site::enter(&target.join(format!("bench-{}", std::process::id())))?;
    let mut bench = cni::Bench { site, peers, runs: args.runs.into(), floor, number: 0 };
    let mut scenarios = Vec::new();
    for (name, measure) in cni::SCENARIOS {
        if args.only.is_empty() || args.only.iter().any(|only| only == name) {
            eprintln!("measuring {name}");
            let measured = measure(&mut bench).with_context(|| format!("scenario {name}"))?;
            if !args.json {
                measured.iter().for_each(|scenario| print!("{}", scenario.text()));
            }
            scenarios.extend(measured);
        }
    }
    if args.json {
        println!("{:#}", report::json("cni", args.runs.into(), &scenarios));
    } else {
        print!("{}", report::summary(&scenarios));
    }
    let missed =
        scenarios.iter().flat_map(|scenario| &scenario.budgets).filter(|budget| !budget.holds()).count();
    if args.check && missed > 0 {
        bail!("{missed} budgets missed");
    }
    Ok(())
}

/// The same call through sudo, with what was built as this user.
fn again_as_root() -> Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let words: Vec<String> = std::env::args().skip(1).chain(["--built".to_string()]).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let keep = ["CARGO_TARGET_DIR", "CARGO_MANIFEST_DIR", "HOME", "PATH", "XDG_CACHE_HOME"];
    run::step(&mut need::root_command(program, &words, &keep)?)
}

/// A plugin directory as an installation has it: our one file under the names that are used here.
fn name_links(target: &Path) -> Result<PathBuf> {
    let dir = target.join("dist/bench");
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for name in ["macvlan", "host-local"] {
        let link = dir.join(name);
        if link.symlink_metadata().is_err() {
            std::os::unix::fs::symlink("../llano-cni", &link)
                .with_context(|| format!("cannot create {}", link.display()))?;
        }
    }
    Ok(dir)
}
