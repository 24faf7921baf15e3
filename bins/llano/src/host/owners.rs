//! `llano host owners`.

use ::host::owner::{Subject, View, find};
use kernel::Netlink;

use super::look_after_unfinished;
use crate::output::{Out, Text, head};

pub(crate) fn list(out: &mut Out) -> anyhow::Result<()> {
    look_after_unfinished();
    let subjects = Subject::all(&mut Netlink::open()?)?;
    let owners = find(&View::of_this_host(), &subjects);
    out.json(&owners)?;
    if owners.is_empty() {
        return out.line("No other tool looks after an interface of this host.");
    }
    let mut rows = vec![head(&["INTERFACE", "OWNER", "NOW", "EVIDENCE"])];
    for owner in owners {
        rows.push(vec![
            Text::new(owner.interface),
            Text::new(owner.tool.name()),
            Text::new(if owner.running { "runs" } else { "at boot" }),
            Text::new(format!("{} {}", owner.evidence.display(), owner.says)),
        ]);
    }
    out.table(0, &rows)
}
