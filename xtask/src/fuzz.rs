//! `cargo xtask fuzz`: libFuzzer on the parsers of what comes from outside.

use crate::need::{self, Job};
use crate::run;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const CARGO_FUZZ: &str = "0.13.2";

#[derive(clap::Args)]
#[command(after_help = "\
Targets are the files of fuzz/fuzz_targets; their seeds are in fuzz/seeds/TARGET. What a run learns stays in
~/.cache/llano/fuzz/TARGET, so the next one goes on from there. An input that crashes is kept in fuzz/artifacts.")]
pub(crate) struct Args {
    /// One target; none means all
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,
    /// How many targets run at once
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let targets = match &args.target {
        Some(target) => {
            let all = targets()?;
            if !all.contains(target) {
                bail!("no fuzz target `{target}`; there are: {}", all.join(", "));
            }
            vec![target.clone()]
        }
        None => targets()?,
    };
    let mut failed = Vec::new();
    fuzz(&targets, Duration::from_secs(args.seconds), args.jobs.into(), &mut |target, passed| {
        if !passed {
            failed.push(target.to_string());
        }
    })?;
    if !failed.is_empty() {
        bail!("found something in: {}", failed.join(", "));
    }
    println!("{} targets, {} s each, nothing found", targets.len(), args.seconds);
    Ok(())
}

/// A short run of every target; `each` is told whether it passed.
pub(crate) fn short(time: Duration, each: &mut dyn FnMut(bool)) -> Result<()> {
    let mut failed = 0;
    fuzz(&targets()?, time, 2, &mut |_, passed| {
        failed += u32::from(!passed);
        each(passed);
    })?;
    if failed > 0 {
        bail!("{failed} fuzz targets found something");
    }
    Ok(())
}

/// The targets, by their files.
fn targets() -> Result<Vec<String>> {
    let dir = run::checkout()?.join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    if names.is_empty() {
        bail!("{} has no targets", dir.display());
    }
    names.sort();
    Ok(names)
}

/// Builds one target, or all; answers the directory they are in.
pub(crate) fn build(targets: &[String]) -> Result<PathBuf> {
    need::apt(&[Job::Fuzz])?;
    need::nightly()?;
    let cargo_fuzz = need::cargo_tool("cargo-fuzz", CARGO_FUZZ, "builds the fuzz targets")?;
    let target_dir = run::target_dir()?.join("fuzz");
    let mut build = run::command(cargo_fuzz, &["build", "--release", "--target-dir"])?;
    build.arg(&target_dir).env("RUSTUP_TOOLCHAIN", "nightly").env_remove("CARGO_TARGET_DIR");
    if let [one] = targets {
        build.arg(one);
    }
    run::step(&mut build)?;
    Ok(target_dir.join(format!("{}-unknown-linux-gnu", std::env::consts::ARCH)).join("release"))
}

fn fuzz(targets: &[String], time: Duration, jobs: usize, done: &mut dyn FnMut(&str, bool)) -> Result<()> {
    let programs = build(targets)?;
    let checkout = run::checkout()?;
    let corpus = run::cache_dir()?.join("fuzz");

    let mut waiting = targets.iter();
    let mut running: Vec<(&String, PathBuf, Child)> = Vec::new();
    loop {
        while running.len() < jobs
            && let Some(target) = waiting.next()
        {
            let log = corpus.join(format!("{target}.log"));
            let child = start(&programs.join(target), target, &checkout, &corpus, &log, time)?;
            running.push((target, log, child));
        }
        if running.is_empty() {
            return Ok(());
        }
        let (target, log, mut child) = running.remove(0);
        let status = child.wait().with_context(|| format!("cannot wait for {target}"))?;
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        eprintln!("{:<24} {}", target, summary(&said));
        if !status.success() {
            let tail: Vec<&str> = said.lines().rev().take(40).collect();
            eprintln!("{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
            eprintln!("{target}: {status}; log in {}", log.display());
        }
        done(target, status.success());
    }
}

/// Starts one target: what it learns goes to the corpus directory, the seeds are only read.
fn start(
    program: &Path,
    target: &str,
    checkout: &Path,
    corpus: &Path,
    log: &Path,
    time: Duration,
) -> Result<Child> {
    let learned = corpus.join(target);
    let artifacts = checkout.join("fuzz/artifacts").join(target);
    for dir in [&learned, &artifacts] {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let mut command = Command::new(program);
    command.arg(&learned);
    let seeds = checkout.join("fuzz/seeds").join(target);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    command
        .arg(format!("-max_total_time={}", time.as_secs()))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    eprintln!("$ {}", run::shown(&command));
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.current_dir(checkout).stdout(Stdio::null()).stderr(file);
    command.spawn().with_context(|| format!("cannot start {}", program.display()))
}

/// The number of inputs tried, as libFuzzer states it at its end.
fn summary(log: &str) -> String {
    log.lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .map_or_else(|| "stopped early".to_string(), |units| format!("{} inputs", units.trim()))
}
