//! `llano lab examples` and `show`.

use std::process::ExitCode;

use ::lab::{EXAMPLES, Example};
use clap::builder::PossibleValuesParser;
use serde_json::json;

use crate::output::{Colour, Out, Text};

/// Print an example.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  llano lab show two-hosts > mine.yaml")]
pub(crate) struct Show {
    /// The example
    #[arg(value_name = "EXAMPLE", value_parser = PossibleValuesParser::new(EXAMPLES.map(|example| example.name)))]
    example: String,
}

pub(crate) fn list(out: &mut Out) -> anyhow::Result<ExitCode> {
    let all = EXAMPLES.map(|example| json!({"name": example.name, "about": example.about()}));
    out.json(&all)?;
    let rows: Vec<_> = EXAMPLES
        .iter()
        .map(|example| vec![Text::new(example.name).colour(Colour::Strong), Text::new(example.about())])
        .collect();
    out.table(0, &rows)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn show(args: &Show, out: &mut Out) -> anyhow::Result<ExitCode> {
    let Some(example) = Example::find(&args.example) else { return Ok(ExitCode::FAILURE) };
    if out.is_json() {
        out.json(&json!({"name": example.name, "about": example.about(), "yaml": example.yaml}))?;
    } else {
        out.raw(example.yaml.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
