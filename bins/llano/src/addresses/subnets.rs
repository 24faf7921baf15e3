//! `llano subnet list`.

use super::cluster::Cluster;
use super::count::shown;
use super::entry::warn;
use super::known::Known;
use super::names::name;
use crate::output::{Colour, Out, Text, head};

/// Every subnet: how full it is, and for whom.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The numbers are those that the controller counted last (the status of each MacvlanSubnet);
`llano subnet show` counts itself.

Examples:
  llano subnet list
  llano subnet list --network lan
  llano subnet list --output json | jq -r '.[] | select(.status.free == 0) | .metadata.name'")]
pub(super) struct List {
    /// Only of this MacvlanNetwork
    #[arg(long, value_parser = name, value_name = "NAME")]
    network: Option<String>,
}

pub(super) fn run(args: &List, cluster: &Cluster, out: &mut Out) -> anyhow::Result<()> {
    let mut objects = cluster.subnets()?;
    objects.retain(|object| args.network.as_ref().is_none_or(|network| object.spec.network == *network));
    let (known, unread) = Known::read(objects);
    warn(&unread);
    out.json(&known.iter().map(|known| &known.object).collect::<Vec<_>>())?;
    if known.is_empty() {
        return out.line("There is no MacvlanSubnet.");
    }
    print(&known, out)
}

fn print(known: &[Known], out: &mut Out) -> anyhow::Result<()> {
    let names = [
        "SUBNET",
        "NETWORK",
        "CIDR",
        "TOTAL",
        "USED",
        "FREE",
        "HELD",
        "QUARANTINED",
        "DEFAULT",
        "FOR",
        "NOTE",
    ];
    let mut rows = vec![head(&names)];
    for one in known {
        let (subnet, counts) = (&one.subnet, Counts::of(one));
        let number = |count: Option<u128>| Text::new(count.map_or_else(|| "?".to_owned(), shown));
        let free = match counts.free {
            Some(0) => number(counts.free).colour(Colour::Bad),
            _ => number(counts.free),
        };
        let is_for = one.audience();
        rows.push(vec![
            Text::new(&*subnet.name),
            Text::new(&*subnet.network),
            Text::new(subnet.cidr.to_string()),
            Text::new(shown(counts.total)),
            number(counts.used),
            free,
            number(counts.held),
            number(counts.quarantined),
            Text::new(one.default_of()),
            Text::new(if is_for.is_empty() { "all".to_owned() } else { is_for }),
            note(one, &counts),
        ]);
    }
    out.table(0, &rows)
}

/// What a status says, as far as it does.
#[derive(Debug, PartialEq)]
pub(super) struct Counts {
    pub(super) total: u128,
    pub(super) used: Option<u128>,
    pub(super) free: Option<u128>,
    pub(super) held: Option<u128>,
    pub(super) quarantined: Option<u128>,
}

impl Counts {
    pub(super) fn of(known: &Known) -> Counts {
        let status = known.object.status.clone().unwrap_or_default();
        let number = |count: Option<i64>| count.and_then(|count| u128::try_from(count).ok());
        let total = known.subnet.usable().len();
        let (used, held) = (number(status.used), number(status.held));
        let (free, quarantined) = (number(status.free), number(status.quarantined));
        let most = u128::try_from(i64::MAX).ok();
        // A number that did not fit says only that it is larger.
        let taken = [used, held, quarantined].into_iter().flatten().sum();
        let free = if free == most { Some(total.saturating_sub(taken)) } else { free };
        Counts { total, used, free, held, quarantined }
    }
}

fn note(known: &Known, counts: &Counts) -> Text {
    let not_ready = known
        .object
        .status
        .iter()
        .flat_map(|status| &status.conditions)
        .find(|condition| condition.type_ == "Ready" && condition.status == "False");
    match (known.subnet.disabled, not_ready, counts.used) {
        (true, ..) => Text::new("disabled").colour(Colour::Faint),
        (_, Some(condition), _) => Text::new(format!("not ready: {}", condition.reason)).colour(Colour::Bad),
        (_, None, None) => Text::new("not counted yet").colour(Colour::Faint),
        (_, None, Some(_)) => Text::new(""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{lan4, subnet};
    use super::*;
    use crate::output::printed;

    #[test]
    fn a_list_of_subnets() {
        let with = |mut known: Known, status: serde_json::Value| {
            known.object.status = Some(serde_json::from_value(status).unwrap());
            known
        };
        let not_ready = json!({"used": 0, "free": 0, "held": 0, "quarantined": 0, "conditions": [{
            "type": "Ready", "status": "False", "reason": "NoNetwork", "message": "", "lastTransitionTime": "2026-11-22T03:00:00Z",
        }]});
        let full = json!({"used": 3, "free": i64::MAX, "held": 2, "quarantined": 1});
        let shop = json!({"namespaceSelector": {"matchLabels": {"team": "shop"}}, "default": true});
        let known = [
            with(lan4(), json!({"used": 12, "free": 160, "held": 9, "quarantined": 0})),
            with(subnet("lan6", "fd00::/64", &json!({})), full),
            subnet("shop", "10.30.0.0/24", &shop),
            with(subnet("lost", "10.40.0.0/30", &json!({})), not_ready),
            subnet("old", "10.50.0.0/24", &json!({"disabled": true})),
        ];
        let text = printed(|out| print(&known, out));
        assert_eq!(
            text,
            "\
SUBNET  NETWORK  CIDR          TOTAL  USED  FREE   HELD  QUARANTINED  DEFAULT     FOR                   NOTE
lan4    lan      10.20.0.0/24  181    12    160    9     0            cluster     all
lan6    lan      fd00::/64     ~2^64  3     ~2^64  2     1                        all
shop    lan      10.30.0.0/24  254    ?     ?      ?     ?            namespaces  namespaces team=shop  not counted yet
lost    lan      10.40.0.0/30  2      0     0      0     0                        all                   not ready: NoNetwork
old     lan      10.50.0.0/24  254    ?     ?      ?     ?                        all                   disabled
"
        );
    }
}
