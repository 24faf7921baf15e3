//! `llano check connectivity`.

use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::process::ExitCode;

use ::check::Context;
use ::check::connectivity::{Cell, Matrix, Role};

use crate::output::{Colour, Out, Text, head, trip};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Rows ping, columns are pinged. A cell is the round trip, with the largest packet that passes when that is
less than the link's MTU, or the place where the frame was lost; below the table, why:
  sender, receiver   its interface is down, or a filter is in it     isolation   host and own container
  parent             a filter on the parent                          lan         the switch or hypervisor
  gateway, peer      it answers nobody                               route       there is no route

Examples:
  llano check connectivity
  llano check connectivity --peer 172.16.129.103 --peer fd00:1::9
  llano check connectivity --output json | jq '.cells[] | select(.status == \"lost\")'

Exit codes: 0 every cell is ok, 1 one is not.")]
pub(super) struct Args {
    /// An address to ping as well; may be given several times
    #[arg(long, value_name = "ADDR")]
    peer: Vec<IpAddr>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> anyhow::Result<ExitCode> {
    let watched = std::io::stderr().is_terminal();
    let through = |name: &str| {
        if watched {
            let _ = write!(std::io::stderr(), "\r\x1b[K{name} has asked");
        }
    };
    let matrix = Matrix::read(&Context::read()?, &args.peer, &through)?;
    if watched {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    out.json(&matrix)?;
    print(&matrix, out)?;
    let failed = matrix.cells.iter().any(|cell| cell.result.is_err());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(matrix: &Matrix, out: &mut Out) -> anyhow::Result<()> {
    let mut names = vec!["from \\ to"];
    names.extend(matrix.endpoints.iter().map(|endpoint| endpoint.name.as_str()));
    let mut rows = vec![head(&names)];
    let senders =
        matrix.endpoints.iter().filter(|endpoint| matches!(endpoint.role, Role::Host | Role::Container));
    for from in senders {
        let mut row = vec![Text::new(from.name.as_str()).colour(Colour::Strong)];
        for to in &matrix.endpoints {
            let cells = matrix.cells.iter().filter(|cell| cell.from == from.name && cell.to == to.name);
            let cells: Vec<&Cell> = cells.collect();
            let bad = cells.iter().any(|cell| cell.result.is_err());
            let text = cells.iter().map(|cell| short(cell)).collect::<Vec<_>>().join(", ");
            row.push(match (cells.is_empty(), bad) {
                (true, _) => Text::new("-").colour(Colour::Faint),
                (_, true) => Text::new(text).colour(Colour::Bad),
                _ => Text::new(text).colour(Colour::Good),
            });
        }
        rows.push(row);
    }
    out.table(0, &rows)?;
    if matrix.left_out > 0 {
        out.line(&format!("{} more containers were left out", matrix.left_out))?;
    }
    for cell in &matrix.cells {
        let Err(lost) = &cell.result else { continue };
        out.line("")?;
        out.painted(
            Colour::Bad,
            &format!("{} -> {} ({}): {}", cell.from, cell.to, cell.address, lost.summary),
        )?;
        for line in &lost.trace {
            out.line(&format!("    {line}"))?;
        }
    }
    Ok(())
}

fn short(cell: &Cell) -> String {
    match &cell.result {
        Ok(reached) if reached.mtu < reached.link_mtu => {
            format!("{}, MTU {} of {}", trip(reached.trip), reached.mtu, reached.link_mtu)
        }
        Ok(reached) => trip(reached.trip),
        Err(lost) => format!("lost: {}", lost.place),
    }
}
