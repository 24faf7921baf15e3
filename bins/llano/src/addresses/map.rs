//! The picture of a subnet in the terminal: a character for each address, for each block of addresses, or a line for each run.

use super::count::shown;
use super::runs::{Run, Runs, STATES, State};
use crate::output::{Colour, Out, Text, head};

/// Up to so many addresses have a character each.
const MOST_SINGLE: u128 = 1024;
/// A picture of blocks has so many.
const BLOCKS: usize = 1024;
/// Larger subnets, IPv6 ones, are nearly empty whatever is in them: their runs are listed.
const MOST_IN_BLOCKS: u128 = 1 << 24;
/// Most runs that are listed.
const MOST_RUNS: usize = 64;

/// A character of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    sign: char,
    colour: Colour,
}

pub(super) fn draw(runs: &Runs, out: &mut Out) -> anyhow::Result<()> {
    match runs.len() {
        count if count <= MOST_SINGLE => {
            let cells = singles(runs);
            let width = if cells.len() <= 256 { 32 } else { 64 };
            picture(runs, &cells, 1, width, out)?;
        }
        count if count <= MOST_IN_BLOCKS => {
            let size = count / BLOCKS as u128;
            picture(runs, &blocks(runs, size), size, 64, out)?;
            out.line(&format!("  each character is {size} addresses; taken of those for pods:"))?;
            out.line("  . none   ░ up to a third   ▒ up to two thirds   ▓ more   █ all   - not for pods")?;
        }
        _ => list(runs, out)?,
    }
    legend(runs, out)
}

/// What each state is drawn as.
fn cell(state: State) -> Cell {
    let (sign, colour) = match state {
        State::Used => ('#', Colour::Strong),
        State::Held => ('h', Colour::Plain),
        State::Reserved => ('r', Colour::Plain),
        State::Quarantined => ('!', Colour::Bad),
        State::Free => ('.', Colour::Good),
        State::Gateway => ('G', Colour::Plain),
        State::Excluded => ('-', Colour::Faint),
    };
    Cell { sign, colour }
}

fn singles(runs: &Runs) -> Vec<Cell> {
    let of_run = |run: &Run| (run.from..=run.to).map(|_| cell(run.state)).collect::<Vec<_>>();
    runs.all().iter().flat_map(of_run).collect()
}

/// A character for each block of `size` addresses: how much is taken of what is for pods.
fn blocks(runs: &Runs, size: u128) -> Vec<Cell> {
    let first = runs.first();
    let mut taken = [0; BLOCKS];
    let mut for_pods = [0; BLOCKS];
    for run in runs.all() {
        let mut from = run.from;
        while from <= run.to {
            let block = (from - first) / size;
            let to = run.to.min(first + (block + 1) * size - 1);
            let block = usize::try_from(block).unwrap_or(usize::MAX).min(BLOCKS - 1);
            if run.state.is_taken() {
                taken[block] += to + 1 - from;
            }
            if run.state.is_taken() || run.state == State::Free {
                for_pods[block] += to + 1 - from;
            }
            from = to + 1;
        }
    }
    taken.into_iter().zip(for_pods).map(|(taken, of)| shade(taken, of)).collect()
}

fn shade(taken: u128, of: u128) -> Cell {
    let (sign, colour) = match (taken, of) {
        (_, 0) => ('-', Colour::Faint),
        (0, _) => ('.', Colour::Good),
        (taken, of) if taken == of => ('█', Colour::Strong),
        (taken, of) if taken * 3 <= of => ('░', Colour::Plain),
        (taken, of) if taken * 3 <= of * 2 => ('▒', Colour::Plain),
        _ => ('▓', Colour::Plain),
    };
    Cell { sign, colour }
}

/// Rows of cells, each behind the address of its first; a gap after every eighth part of 64 makes counting easier.
fn picture(runs: &Runs, cells: &[Cell], size: u128, width: usize, out: &mut Out) -> anyhow::Result<()> {
    let gap = width / 4;
    let rows: Vec<_> = cells.chunks(width).collect();
    let first = |row: usize| runs.address(runs.first() + (row * width) as u128 * size).to_string();
    let labels: Vec<String> = (0..rows.len()).map(first).collect();
    let longest = labels.iter().map(String::len).max().unwrap_or_default();
    for (label, row) in labels.iter().zip(rows) {
        let mut line = format!("  {label:<longest$} ");
        for group in row.chunks(gap) {
            line.push(' ');
            for same in group.chunk_by(|a, b| a.colour == b.colour) {
                let text: String = same.iter().map(|cell| cell.sign).collect();
                line.push_str(&out.paint(same.first().map_or(Colour::Plain, |cell| cell.colour), &text));
            }
        }
        out.line(&line)?;
    }
    Ok(())
}

/// The runs, one a line.
fn list(runs: &Runs, out: &mut Out) -> anyhow::Result<()> {
    let mut rows = vec![head(&["FROM", "TO", "ADDRESSES", "WHAT"])];
    for run in runs.all().iter().take(MOST_RUNS) {
        rows.push(vec![
            Text::new(runs.address(run.from).to_string()),
            Text::new(if run.from == run.to { String::new() } else { runs.address(run.to).to_string() }),
            Text::new(shown(run.count())),
            Text::new(run.state.name()).colour(cell(run.state).colour),
        ]);
    }
    out.table(2, &rows)?;
    match runs.all().len().saturating_sub(MOST_RUNS) {
        0 => Ok(()),
        more => out.line(&format!("  and {more} more (--output json has all)")),
    }
}

/// Which states there are, and of how many addresses.
fn legend(runs: &Runs, out: &mut Out) -> anyhow::Result<()> {
    let with_signs = runs.len() <= MOST_SINGLE;
    let present = STATES.iter().map(|state| (*state, runs.count(*state))).filter(|(_, count)| *count > 0);
    let each = present.map(|(state, count)| {
        let Cell { sign, colour } = cell(state);
        let sign =
            if with_signs { format!("{} ", out.paint(colour, &sign.to_string())) } else { String::new() };
        format!("{sign}{} {}", shown(count), state.name())
    });
    let text = each.collect::<Vec<_>>().join("   ");
    out.line(&format!("  {text}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::known::Known;
    use super::super::samples::{active, entries, held, lan4, subnet};
    use super::*;
    use crate::output::printed;

    fn drawn(known: &Known, claims: &[Value]) -> String {
        printed(|out| draw(&Runs::of(known, &entries(claims)), out))
    }

    #[test]
    fn four_addresses() {
        let known = subnet("p2p", "10.30.0.4/30", &json!({"gateway": "10.30.0.5"}));
        assert_eq!(
            drawn(&known, &[active("10.30.0.6", "a")]),
            "  10.30.0.4  -G#-\n  # 1 used   G 1 gateway   - 2 not for pods\n"
        );
    }

    #[test]
    fn sixteen_addresses() {
        let known = subnet("small", "10.30.0.16/28", &json!({"exclude": ["10.30.0.28-10.30.0.30"]}));
        let claims = [
            active("10.30.0.17", "a"),
            held("10.30.0.18", "StatefulSet", "b"),
            held("10.30.0.19", "Reservation", ""),
            held("10.30.0.20", "Quarantine", ""),
            held("10.30.0.21", "ReuseDelay", "c"),
        ];
        assert_eq!(
            drawn(&known, &claims),
            "\
\x20 10.30.0.16  -#hr!h.. ....----
\x20 # 1 used   h 2 held   r 1 reserved   ! 1 quarantined   . 6 free   - 5 not for pods
"
        );
    }

    #[test]
    fn a_whole_24() {
        let claims: Vec<Value> =
            (10..50).map(|n| active(&format!("10.20.0.{n}"), &format!("web-{n}"))).collect();
        assert_eq!(
            drawn(&lan4(), &claims),
            "\
\x20 10.20.0.0    -G...... ..###### ######## ########
\x20 10.20.0.32   ######## ######## ##...... ........
\x20 10.20.0.64   -------- -------- ........ ........
\x20 10.20.0.96   ...-.... ........ ........ ........
\x20 10.20.0.128  ........ ........ ........ ........
\x20 10.20.0.160  ........ ........ ........ ........
\x20 10.20.0.192  ........ -------- -------- --------
\x20 10.20.0.224  -------- -------- -------- --------
\x20 # 40 used   . 141 free   G 1 gateway   - 74 not for pods
"
        );
    }

    #[test]
    fn a_120_of_ipv6() {
        let known =
            subnet("lan6", "fd00::/120", &json!({"gateway": "fe80::1", "ranges": ["fd00::10-fd00::1f"]}));
        let text = drawn(&known, &[active("fd00::10", "a"), held("fd00::1f", "Reservation", "")]);
        assert_eq!(text.lines().next(), Some("  fd00::    -------- -------- #....... .......r"));
        assert_eq!(text.lines().last(), Some("  # 1 used   r 1 reserved   . 14 free   - 240 not for pods"));
        assert_eq!(text.lines().count(), 9);
    }

    #[test]
    fn a_16_in_blocks() {
        let more = json!({"ranges": ["10.30.0.0-10.30.31.255"]});
        let known = subnet("wide", "10.30.0.0/16", &more);
        // The first block has 63 addresses for pods, all taken; the next three have 21, 42 and 43 of 64.
        let numbers = (1..64).chain(64..85).chain(128..170).chain(192..235);
        let claims: Vec<Value> =
            numbers.map(|n| active(&format!("10.30.0.{n}"), &format!("web-{n}"))).collect();
        let text = drawn(&known, &claims);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 19);
        assert_eq!(
            lines[0],
            "  10.30.0.0    █░▒▓............ ................ ................ ................"
        );
        assert_eq!(
            lines[2],
            "  10.30.32.0   ---------------- ---------------- ---------------- ----------------"
        );
        assert_eq!(lines[16], "  each character is 64 addresses; taken of those for pods:");
        assert_eq!(lines[18], "  169 used   8022 free   57345 not for pods");
    }

    #[test]
    fn a_64_as_runs() {
        let known = subnet("lan6", "fd00::/64", &json!({"gateway": "fd00::1"}));
        let claims = [active("fd00::10", "a"), active("fd00::11", "b"), held("fd00::5:0", "Quarantine", "")];
        assert_eq!(
            drawn(&known, &claims),
            "\
\x20 FROM       TO                         ADDRESSES  WHAT
\x20 fd00::                                1          not for pods
\x20 fd00::1                               1          gateway
\x20 fd00::2    fd00::f                    14         free
\x20 fd00::10   fd00::11                   2          used
\x20 fd00::12   fd00::4:ffff               327662     free
\x20 fd00::5:0                             1          quarantined
\x20 fd00::5:1  fd00::ffff:ffff:ffff:ffff  ~2^64      free
\x20 2 used   1 quarantined   ~2^64 free   1 gateway   1 not for pods
"
        );
    }

    #[test]
    fn a_list_of_runs_ends() {
        let known = subnet("lan6", "fd00::/64", &json!({}));
        let claims: Vec<Value> = (1..100).map(|n| active(&format!("fd00::{}", n * 2), "a")).collect();
        let text = drawn(&known, &claims);
        assert_eq!(text.lines().count(), 1 + MOST_RUNS + 2);
        assert!(text.contains("  and 136 more (--output json has all)\n"), "{text}");
    }
}
