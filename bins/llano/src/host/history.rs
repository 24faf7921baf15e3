//! `llano host confirm`, `undo`, `history`.

use std::time::Duration;

use ::host::Here;
use ::host::carried::refuse;
use ::host::keep::{Fate, History, Keeper, Outcome, Places, Recovered, Told, Undoing};
use serde_json::json;

use super::{keeper, launcher, look_after_unfinished, say, tell};
use crate::output::{Colour, Out, Text, head};

/// Take a change back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano host undo                 the newest change, or the one that waits
  llano host undo 3               change 3 of the history and all after it
  llano host undo --dry-run

Addresses, routes and rules come back as they were, in their order; lifetimes
are less by the time that has passed.")]
pub(crate) struct Undo {
    /// A number of the history [default: the newest change that holds]
    number: Option<u32>,
    /// Take the undoing back after so many seconds unless confirmed
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    confirm: Option<u64>,
    /// Only say what would be undone
    #[arg(long)]
    dry_run: bool,
    /// Go on though containers lose interfaces with a link that is removed or made again
    #[arg(long)]
    lose_containers: bool,
}

pub(crate) fn confirm(out: &mut Out) -> anyhow::Result<()> {
    let (what, number) = keeper()?.confirm()?;
    out.json(&json!({ "confirmed": number, "what": what }))?;
    out.line(&format!("{what} is kept, as change {number}"))
}

pub(crate) fn undo(args: &Undo, out: &mut Out) -> anyhow::Result<()> {
    let mut taken_back = None;
    let quiet = out.is_json() || args.dry_run;
    let here = Here::open(move |step| {
        if !quiet {
            say(&format!("  {step}"));
        }
    })?;
    let mut keeper = Keeper::open(Places::default(), here, &mut |told| {
        if let Told::Recovered(Recovered::RolledBack { what, .. }) = &told {
            taken_back = Some(what.clone());
        }
        tell(told);
    })?;
    // What was to be undone has been just now: the change before it is not what was meant.
    if let Some(what) = taken_back.filter(|_| args.number.is_none()) {
        return out.json(&json!({ "undone": what }));
    }
    if args.dry_run {
        let undoing = match keeper.waiting()? {
            Some(pending) if args.number.is_none() => Err(pending.what),
            _ => Ok(keeper.plan_undo(args.number)?),
        };
        drop(keeper);
        return dry(undoing, args.lose_containers, out);
    }
    // With a number it is refused as long as one waits.
    if args.number.is_none()
        && let Some(what) = keeper.take_back("undone before it was confirmed")?
    {
        drop(keeper);
        out.json(&json!({ "undone": what }))?;
        return out.line(&format!("{what} was not confirmed, and has been taken back"));
    }
    let undoing = keeper.plan_undo(args.number)?;
    if !args.lose_containers {
        refuse(&undoing.carried()?)?;
    }
    let (number, what) = (undoing.number, undoing.what.clone());
    let edited = undoing.was_edited().then(|| Places::default().edited());
    let outcome = keeper.undo(undoing, args.confirm.map(Duration::from_secs), Some(&launcher()))?;
    drop(keeper);
    if let Some(edited) = edited {
        let declared = Places::default().declared();
        say(&format!(
            "llano: note: {} was edited since the newest change; what it held is in {}",
            declared.display(),
            edited.display()
        ));
    }
    let waits = match outcome {
        Outcome::Confirmed(_) => None,
        Outcome::Waiting(seconds) => Some(seconds),
    };
    out.json(&json!({ "undone": number, "waits": waits }))?;
    out.line(&format!("undone: change {number}, {what}"))?;
    match waits {
        Some(seconds) => {
            out.line(&format!("it comes back in {seconds} s unless you say: llano host confirm"))
        }
        None => Ok(()),
    }
}

/// A change that waits is taken back by its own record; what is kept is planned.
fn dry(undoing: Result<Undoing, String>, lose_containers: bool, out: &mut Out) -> anyhow::Result<()> {
    let undoing = match undoing {
        Ok(undoing) => undoing,
        Err(what) => {
            out.json(&json!({ "would_undo": what }))?;
            return out.line(&format!("would undo {what}"));
        }
    };
    let what = format!("change {}, {}", undoing.number, undoing.what);
    let carried = undoing.carried()?;
    let steps: Vec<String> = undoing.plan.steps.iter().map(ToString::to_string).collect();
    out.json(&json!({ "would_undo": what, "steps": steps, "containers": carried }))?;
    out.line(&format!("would undo {what}"))?;
    steps.iter().try_for_each(|step| out.line(&format!("would {step}")))?;
    match refuse(&carried) {
        Err(error) => {
            let would = if lose_containers { "said to go on though" } else { "would refuse:" };
            out.painted(Colour::Bad, &format!("{would} {error}"))
        }
        Ok(()) => Ok(()),
    }
}

pub(crate) fn list(out: &mut Out) -> anyhow::Result<()> {
    look_after_unfinished();
    let places = Places::default();
    let entries = History::of(&places).entries()?;
    let mut rows = vec![head(&["CHANGE", "WHEN", "WHAT", "STATE"])];
    let mut values = Vec::new();
    for numbered in &entries {
        let number = numbered.number;
        let (time, what, state, colour) = match &numbered.entry {
            Ok(entry) => {
                let (state, colour) = match &entry.fate {
                    Fate::Confirmed => ("holds".to_owned(), Colour::Good),
                    Fate::RolledBack { why } => (format!("rolled back: {why}"), Colour::Bad),
                    Fate::Undone => ("undone".to_owned(), Colour::Faint),
                };
                (Some(entry.time), entry.what.clone(), state, colour)
            }
            Err(error) => (None, "?".to_owned(), format!("unreadable: {error}"), Colour::Bad),
        };
        values.push(json!({ "number": number, "time": time, "what": what, "state": state }));
        let when = time.map_or_else(|| "?".to_owned(), utc);
        rows.push(vec![
            Text::new(number.to_string()),
            Text::new(when),
            Text::new(what),
            Text::new(state.replace('\n', " ")).colour(colour),
        ]);
    }
    out.json(&values)?;
    if entries.is_empty() {
        return out.line("No change was made yet.");
    }
    out.table(0, &rows)
}

/// Seconds since 1970 as `2026-11-21 14:41:21` in UTC.
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years from March on, so that the leap day is the last: 400 years have 146,097 days.
    let from_march = days + 719_468;
    let (era, day) = (from_march / 146_097, from_march % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day_of_month:02} {:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn times_are_as_date_writes_them() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_399, "2000-02-28 23:59:59Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (1_795_272_081, "2026-11-21 14:41:21Z"),
            (4_107_542_400, "2100-03-01 00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }
}
