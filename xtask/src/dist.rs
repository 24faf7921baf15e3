//! `cargo xtask dist`: the two programs as they are installed.

use crate::need::{self, Job};
use crate::run;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The target both programs are built for: static, and it starts faster than glibc (docs/benchmarks.md).
pub(crate) const TARGET: &str = "x86_64-unknown-linux-musl";

/// Largest allowed `llano-cni`, in bytes.
pub(crate) const PLUGIN_SIZE: u64 = 700_000;

/// Packages built with a standard library of their own: the plugin, and the floor it is measured against.
const SMALL: [&str; 2] = ["llano-cni", "floor"];

/// Their target directory: in one with others, the flags of each build make the other's output stale, every time.
const APART: &str = "small";

/// Builds both programs, checks the plugin's size and returns the directory they are in.
pub(crate) fn run() -> Result<PathBuf> {
    need::apt(&[Job::Dist])?;
    need::rust_target(TARGET)?;
    let dist = run::target_dir()?.join("dist");
    std::fs::create_dir_all(&dist).with_context(|| format!("cannot create {}", dist.display()))?;
    let _lock = need::lock(&dist)?;
    for program in ["llano-cni", "llano"] {
        let built = build(program)?;
        install(&built, &dist.join(program))?;
    }
    for program in ["llano-cni", "llano"] {
        let file = dist.join(program);
        eprintln!("{:>9} bytes  {}", size(&file)?, file.display());
    }
    let plugin = size(&dist.join("llano-cni"))?;
    if plugin > PLUGIN_SIZE {
        bail!("llano-cni has {plugin} bytes, allowed are {PLUGIN_SIZE}: see what entered with `cargo bloat`");
    }
    Ok(dist)
}

/// Builds one package by itself, so that no other package's features enter it, and returns the file.
///
/// The plugin gets a standard library of its own, without the code that prints backtraces: measured, that code is half of
/// a small plugin (688 against 346 KB) and has nothing to print in a stripped binary. Nor are there tables for unwinding,
/// which a program that aborts never does (70 KB). Cargo calls this unstable, hence `RUSTC_BOOTSTRAP` on the pinned
/// toolchain; a plain `cargo build` gives a larger plugin that behaves the same.
pub(crate) fn build(package: &str) -> Result<PathBuf> {
    let mut cargo = run::cargo(&["build", "--quiet", "--release", "--target", TARGET, "--package", package])?;
    let built = output(package)?;
    if SMALL.contains(&package) {
        need::rust_source()?;
        cargo.arg("--target-dir").arg(run::target_dir()?.join(APART));
        cargo
            .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"])
            .env("RUSTC_BOOTSTRAP", "1");
        // A panic ends the process at once: nothing walks the tables for unwinding, a tenth of the file.
        cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS", "-C force-unwind-tables=no");
        cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "z");
    }
    run::step(&mut cargo)?;
    Ok(built)
}

/// Where [`build`] puts a package's program.
pub(crate) fn output(package: &str) -> Result<PathBuf> {
    let mut target = run::target_dir()?;
    if SMALL.contains(&package) {
        target.push(APART);
    }
    Ok(target.join(TARGET).join("release").join(package))
}

/// Puts a file in place by rename, so that a program that runs from there is not disturbed. Left alone when equal.
fn install(from: &Path, to: &Path) -> Result<()> {
    let new = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if std::fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let part = to.with_extension("part");
    std::fs::copy(from, &part).with_context(|| format!("cannot write {}", part.display()))?;
    std::fs::rename(&part, to).with_context(|| format!("cannot write {}", to.display()))
}

fn size(file: &Path) -> Result<u64> {
    Ok(std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.len())
}
