//! What the demo found out, and how it is shown.

use lab::Matrix;

use super::pod::Pod;
use crate::output::{Colour, Out, Text, head, trip};

/// A line of the handbook's table of connectivity.
pub(super) struct Relation {
    pub(super) about: &'static str,
    pub(super) pairs: &'static [(&'static str, &'static str)],
    /// What the handbook says of a plain macvlan.
    pub(super) expected: bool,
}

/// The handbook's table, with the way outside.
pub(super) const TABLE: [Relation; 5] = [
    Relation {
        about: "containers on different hosts",
        pairs: &[("web1", "db1"), ("web2", "db1")],
        expected: true,
    },
    Relation { about: "containers on one host", pairs: &[("web1", "web2")], expected: true },
    Relation {
        about: "container and another node",
        pairs: &[("web1", "node3"), ("web1", "host2"), ("db1", "host1"), ("db1", "node3")],
        expected: true,
    },
    Relation {
        about: "container and its own host",
        pairs: &[("web1", "host1"), ("web2", "host1"), ("db1", "host2")],
        expected: false,
    },
    Relation {
        about: "container and outside, through the gateway",
        pairs: &[("web1", "outside"), ("db1", "outside"), ("web1", "gateway")],
        expected: true,
    },
];

/// A line of the table as measured: works only when every ping in both directions does.
#[derive(Debug, serde::Serialize)]
pub(super) struct Verdict {
    pub(super) about: &'static str,
    pub(super) works: bool,
    pub(super) expected: bool,
}

/// The table out of a matrix.
pub(super) fn verdicts(matrix: &Matrix, host_access: bool) -> Vec<Verdict> {
    let ok = |from: &str, to: &str| matrix.get(from, to).is_some_and(|cell| cell.result.is_ok());
    let verdict = |relation: &Relation| Verdict {
        about: relation.about,
        works: relation.pairs.iter().all(|(a, b)| ok(a, b) && ok(b, a)),
        expected: relation.expected || host_access,
    };
    TABLE.iter().map(verdict).collect()
}

/// One line for each line of the table, with the best round trip.
pub(super) fn print_table(matrix: &Matrix, verdicts: &[Verdict], out: &mut Out) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (relation, verdict) in TABLE.iter().zip(verdicts) {
        let cells = relation.pairs.iter().filter_map(|(a, b)| matrix.get(a, b));
        let best = cells.filter_map(|cell| cell.result.as_ref().ok()).min();
        let result = match best.filter(|_| verdict.works) {
            Some(best) => Text::new(format!("yes, {}", trip(*best))).colour(Colour::Good),
            None => Text::new("no").colour(Colour::Bad),
        };
        rows.push(vec![Text::new(relation.about), result]);
    }
    out.table(3, &rows)
}

/// Address, MAC and routes of containers.
pub(super) fn print_pods<'a>(pods: impl Iterator<Item = &'a Pod>, out: &mut Out) -> anyhow::Result<()> {
    let mut rows = vec![head(&["CONTAINER", "ON", "ADDRESS", "MAC", "ROUTES", "START"])];
    for pod in pods {
        rows.push(vec![
            Text::new(&*pod.name).colour(Colour::Strong),
            Text::new(&*pod.host),
            Text::new(pod.facts.address.to_string()),
            Text::new(&*pod.facts.mac),
            Text::new(pod.facts.routes.join(", ")),
            Text::new(trip(pod.took)),
        ]);
    }
    out.table(3, &rows)
}
