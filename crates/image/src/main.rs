//! Writes Llano's image: `image --name NAME --llano FILE --plugin FILE --architecture ARCH OUTPUT`. `cargo xtask image` calls it, so
//! that xtask itself stays small.

#![allow(clippy::print_stdout)]

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;

#[derive(Parser)]
struct Args {
    #[arg(long)]
    name: String,
    #[arg(long)]
    llano: PathBuf,
    #[arg(long)]
    plugin: PathBuf,
    #[arg(long)]
    architecture: String,
    output: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let read =
        |path: &PathBuf| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (archive, digest) =
        image::llano(&args.name, &read(&args.llano)?, &read(&args.plugin)?, &args.architecture);
    let part = args.output.with_extension("part");
    std::fs::write(&part, archive).with_context(|| format!("cannot write {}", part.display()))?;
    std::fs::rename(&part, &args.output)
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    println!("{digest}");
    Ok(())
}
