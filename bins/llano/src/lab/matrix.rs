//! `llano lab matrix`.

use std::process::ExitCode;
use std::time::Duration;

use ::lab::Matrix;

use super::{chosen, of_lab};
use crate::output::{Colour, Out, Text, head, trip};

/// Ping between every pair.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Rows ping, columns are pinged; a cell is the round trip, or why there is none.
The exit code is 1 when a ping failed, so that a script can wait for a network.")]
pub(crate) struct Args {
    /// The lab; not needed when there is only one
    #[arg(long, short, value_name = "NAME")]
    name: Option<String>,
    /// How many requests for each pair; the best round trip counts
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100), value_name = "N")]
    count: u16,
    /// How long to wait for an answer, in milliseconds
    #[arg(long, short, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000), value_name = "MS")]
    timeout: u64,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> anyhow::Result<ExitCode> {
    let lab = chosen(args.name.as_deref())?;
    let matrices = lab
        .matrix(args.count, Duration::from_millis(args.timeout))
        .map_err(|error| of_lab(lab.name(), error))?;
    out.json(&matrices)?;
    for matrix in &matrices {
        print(matrix, 0, out)?;
    }
    let failed = matrices.iter().any(|matrix| matrix.failures().next().is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The matrix as a table.
pub(super) fn print(matrix: &Matrix, indent: usize, out: &mut Out) -> anyhow::Result<()> {
    let mut names = vec!["from \\ to"];
    names.extend(matrix.names.iter().map(String::as_str));
    let mut rows = vec![head(&names)];
    for from in &matrix.names {
        let mut row = vec![Text::new(from.as_str()).colour(Colour::Strong)];
        for to in &matrix.names {
            row.push(match matrix.get(from, to).map(|cell| &cell.result) {
                None => Text::new("-").colour(Colour::Faint),
                Some(Ok(time)) => Text::new(trip(*time)).colour(Colour::Good),
                Some(Err(error)) => Text::new(error.to_string()).colour(Colour::Bad),
            });
        }
        rows.push(row);
    }
    out.table(indent, &rows)
}
