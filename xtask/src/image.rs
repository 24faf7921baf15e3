//! `cargo xtask image`: both programs as a container image, in an archive that runtimes import.

use crate::{dist, run};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Largest allowed archive, in bytes.
const LARGEST: u64 = 20_000_000;

const NAME: &str = concat!("docker.io/llano/llano:", env!("CARGO_PKG_VERSION"));

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask image
  ctr -n k8s.io images import target/dist/llano-image.tar     on each node
  cargo xtask cluster import target/dist/llano-image.tar      on the nodes of the test cluster

The image is nothing but the two static programs. The same programs give the same digest.")]
pub(crate) struct Args {
    /// Its full name; deploy/llano.yaml names it too
    #[arg(long, default_value = NAME)]
    name: String,
    /// Where to write it [default: llano-image.tar in target/dist]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    make(&args.name, args.output.as_deref())
}

/// The image by its usual name, where the cluster's tests look for it.
pub(crate) fn for_tests() -> Result<()> {
    make(NAME, None)
}

fn make(name: &str, output: Option<&Path>) -> Result<()> {
    let dist = dist::run()?;
    let output = output.map_or_else(|| dist.join("llano-image.tar"), Path::to_owned);
    let output = std::path::absolute(&output).with_context(|| output.display().to_string())?;
    let architecture = dist::TARGET.split('-').next().unwrap_or_default();
    // A program of its own, so that xtask does not have to be compiled with what hashes.
    let mut pack = run::cargo(&["run", "--quiet", "--package", "image", "--", "--name", name])?;
    pack.arg("--llano").arg(dist.join("llano")).arg("--plugin").arg(dist.join("llano-cni"));
    pack.args(["--architecture", architecture]).arg(&output);
    let digest = run::output(&mut pack)?;
    let size = std::fs::metadata(&output).with_context(|| format!("cannot read {}", output.display()))?.len();
    println!("{size:>9} bytes  {}\n{}  {}", output.display(), name, digest.trim());
    if size > LARGEST {
        bail!("the image has {size} bytes, allowed are {LARGEST}");
    }
    Ok(())
}
