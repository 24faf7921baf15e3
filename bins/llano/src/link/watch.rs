//! `llano link watch`: links and addresses as they change.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use kernel::{Groups, Heard, Monitor};
use serde::Serialize;

use super::events::{Event, Known};
use super::place::Place;
use crate::output::{Format, Out};

/// Print what changes.
#[derive(Debug, Args)]
#[command(after_help = "\
One line for each change, until interrupted; with --output json one document a line. Times are UTC.

Examples:
  llano link watch
  llano link watch eth0 --netns web
  llano link watch --output json | jq -r 'select(.event == \"deleted\") | .name'")]
pub(crate) struct Watch {
    /// Only this link
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The namespace: name, path, process, container, POD_NAMESPACE/POD
    #[arg(long, value_name = "NETNS")]
    netns: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    /// Milliseconds since 1970.
    time: u64,
    #[serde(flatten)]
    event: &'a Event,
}

pub(crate) fn run(args: &Watch, out: &mut Out) -> anyhow::Result<()> {
    let mut place = Place::open(args.netns.as_deref())?;
    // Listen first, read then: nothing is missed in between.
    let groups = Groups { links: true, addresses: true, ..Groups::default() };
    let mut monitor = Monitor::open_in(&place.net, groups)?;
    let mut known = Known::default();
    let links = known.read(&mut place.socket)?.iter().filter(|event| event.event == "added").count();
    eprintln!("llano: watching {links} links {}", place.described());
    loop {
        let events: Vec<Event> = match monitor.wait(None)? {
            Heard::Changes(changes) => changes.into_iter().filter_map(|change| known.hear(change)).collect(),
            Heard::Lost => {
                eprintln!("llano: changes came faster than they could be read; what is different follows");
                known.read(&mut place.socket)?
            }
        };
        for event in events.iter().filter(|event| concerns(event, args.name.as_deref())) {
            tell(event, out)?;
        }
        out.flush()?;
    }
}

fn concerns(event: &Event, name: Option<&str>) -> bool {
    let renamed = |name: &str| event.changes.iter().any(|change| change.key == "name" && change.from == name);
    name.is_none_or(|name| event.name == name || renamed(name))
}

fn tell(event: &Event, out: &mut Out) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if out.format() == Format::Json {
        let time = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        return out.json_line(&Told { time, event });
    }
    let seconds = now.as_secs() % 86_400;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    out.line(&format!("{hours:02}:{minutes:02}:{seconds:02}.{:03} {}", now.subsec_millis(), event.line()))
}
