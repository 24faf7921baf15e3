//! `llano lab up`, `down` and `list`.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use ::lab::{Example, Lab, LabSpec, Stage, steps};
use anyhow::{Context, bail};
use serde_json::json;

use super::{of_lab, only_one};
use crate::output::{Colour, Out, Text, head};

/// Bring a lab up.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano lab up two-hosts
  llano lab up mine.yaml --name second
  llano lab up mine.yaml --dry-run        print the steps, take none
  llano lab show two-hosts | llano lab up - --name piped")]
pub(crate) struct Up {
    /// A YAML file, - for standard input, or a built-in example (see `llano lab examples`)
    #[arg(value_name = "FILE|EXAMPLE")]
    source: String,
    /// The lab's name: a-z, 0-9 and -; the file's or example's name when not given
    #[arg(long, short, value_name = "NAME")]
    name: Option<String>,
    /// Check the description and print the steps, take none
    #[arg(long)]
    dry_run: bool,
}

/// Take labs down.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano lab down              the only lab there is
  llano lab down two-hosts
  llano lab down --all")]
pub(crate) struct Down {
    /// The lab's name; not needed when there is only one
    #[arg(value_name = "NAME", conflicts_with = "all")]
    name: Option<String>,
    /// Every lab on this machine
    #[arg(long)]
    all: bool,
    /// Print what would be taken down, and leave it
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn up(args: &Up, out: &mut Out) -> anyhow::Result<ExitCode> {
    let (spec, default) = read(&args.source)?;
    let name = args.name.clone().unwrap_or(default);
    if args.dry_run {
        let steps: Vec<String> = steps(&name, &spec).iter().map(ToString::to_string).collect();
        out.json(&json!({"lab": name, "dryRun": true, "steps": steps}))?;
        for step in &steps {
            out.line(step)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let lab = Lab::up(&spec, &name).map_err(|error| of_lab(&name, error))?;
    let nodes: Vec<_> = lab
        .spec()
        .nodes
        .iter()
        .map(|node| {
            let addresses: Vec<String> = node.addresses().map(|net| net.to_string()).collect();
            json!({"name": node.name, "addresses": addresses})
        })
        .collect();
    out.json(&json!({"lab": name, "nodes": nodes}))?;
    out.line(&format!("lab {name} is up"))?;
    let mut rows = Vec::new();
    for node in &lab.spec().nodes {
        let addresses: Vec<String> = node.addresses().map(|net| net.to_string()).collect();
        rows.push(vec![Text::new(&*node.name).colour(Colour::Strong), Text::new(addresses.join("  "))]);
    }
    out.table(2, &rows)?;
    if let Some(host) = lab.hosts().first() {
        out.painted(
            Colour::Faint,
            &format!("try: llano lab exec --name {name} {} -- ip address", host.name()),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The description, and the lab's name when none is given.
fn read(source: &str) -> anyhow::Result<(LabSpec, String)> {
    let path = Path::new(source);
    if source == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok((LabSpec::parse(&text).context("standard input")?, "lab".to_owned()));
    }
    if let Some(example) = Example::find(source)
        && !path.exists()
    {
        return Ok((example.spec()?, example.name.to_owned()));
    }
    if !path.exists() && !source.contains('/') && path.extension().is_none() {
        let names = ::lab::EXAMPLES.map(|example| example.name).join(", ");
        bail!("{source}: neither a file nor an example; examples are {names}");
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {source}"))?;
    let spec = LabSpec::parse(&text).with_context(|| source.to_owned())?;
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("lab");
    Ok((spec, stem.to_lowercase().replace(['_', '.', ' '], "-")))
}

pub(crate) fn down(args: &Down, out: &mut Out) -> anyhow::Result<ExitCode> {
    let names = match &args.name {
        Some(name) => vec![name.clone()],
        None if args.all => Lab::list().into_iter().map(|lab| lab.name).collect(),
        None => vec![only_one()?],
    };
    let known = Lab::list();
    for name in &names {
        if args.dry_run {
            let lab = known.iter().find(|lab| lab.name == *name);
            let lab = lab.with_context(|| format!("lab {name}: no such lab"))?;
            let nodes = lab.nodes.len() + lab.switches.len();
            out.line(&format!("would take down lab {name}: {nodes} nodes, {} processes", lab.processes))?;
        } else {
            Lab::down(name).map_err(|error| of_lab(name, error))?;
            out.line(&format!("lab {name} is down"))?;
        }
    }
    if names.is_empty() {
        out.line("no lab is up")?;
    }
    out.json(&json!({"down": names, "dryRun": args.dry_run}))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn list(out: &mut Out) -> anyhow::Result<ExitCode> {
    let labs = Lab::list();
    out.json(&labs)?;
    if labs.is_empty() {
        out.line("no lab is up")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![head(&["LAB", "STATE", "NODES", "SWITCHES", "PROCESSES"])];
    for lab in &labs {
        let state = match lab.stage {
            Some(Stage::Up) => Text::new("up").colour(Colour::Good),
            Some(Stage::Building) | None => Text::new("unfinished").colour(Colour::Bad),
        };
        rows.push(vec![
            Text::new(&*lab.name).colour(Colour::Strong),
            state,
            Text::new(lab.nodes.join(" ")),
            Text::new(lab.switches.join(" ")),
            Text::new(lab.processes.to_string()),
        ]);
    }
    out.table(0, &rows)?;
    Ok(ExitCode::SUCCESS)
}
