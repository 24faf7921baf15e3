//! Figures and budgets, as a table for people and as JSON for programs.

use super::samples::Samples;
use serde_json::{Value, json};

/// One thing measured: everyone's figures, and what was promised about them.
pub(super) struct Scenario {
    /// Stable name, for JSON.
    pub(super) name: String,
    /// What it is, for people.
    pub(super) title: String,
    pub(super) figures: Vec<Figure>,
    pub(super) budgets: Vec<Budget>,
}

/// Whose figure, in which unit.
pub(super) struct Figure {
    pub(super) who: String,
    pub(super) unit: Unit,
    pub(super) samples: Samples,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Micros,
    PerSecond,
    Bytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Micros => "us",
            Unit::PerSecond => "per_second",
            Unit::Bytes => "bytes",
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Unit::Micros => format!("{:.2} ms", value / 1000.0),
            Unit::PerSecond => format!("{value:.0} /s"),
            Unit::Bytes => format!("{:.0} KB", value / 1000.0),
        }
    }
}

/// A promise and whether it holds.
pub(super) struct Budget {
    pub(super) what: &'static str,
    pub(super) value: f64,
    pub(super) limit: Limit,
}

pub(super) enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

impl Budget {
    pub(super) fn holds(&self) -> bool {
        match self.limit {
            Limit::AtLeast(limit) => self.value >= limit,
            Limit::AtMost(limit) => self.value <= limit,
        }
    }
}

impl Scenario {
    /// The median of one of them, NaN when it was not measured: no budget holds against NaN.
    pub(super) fn median(&self, who: &str) -> f64 {
        self.figures
            .iter()
            .find(|figure| figure.who == who)
            .map_or(f64::NAN, |figure| figure.samples.median())
    }

    pub(super) fn text(&self) -> String {
        let [median, p95, p99, least, runs] = ["median", "p95", "p99", "least", "runs"];
        let mut text = format!("\n{:<44}{median:>12}{p95:>12}{p99:>12}{least:>12}{runs:>8}\n", self.title);
        for figure in &self.figures {
            let (unit, samples) = (figure.unit, &figure.samples);
            let few = samples.len() < 4;
            let [p95, p99, least] = [samples.p95(), samples.p99(), samples.least()]
                .map(|value| if few { "-".into() } else { unit.show(value) });
            text.push_str(&format!(
                "  {:<42}{:>12}{p95:>12}{p99:>12}{least:>12}{:>8}\n",
                figure.who,
                unit.show(samples.median()),
                samples.len()
            ));
        }
        for budget in &self.budgets {
            text.push_str(&format!("  {}\n", budget.text()));
        }
        text
    }

    fn json(&self) -> Value {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                let samples = &figure.samples;
                json!({
                    "who": figure.who, "unit": figure.unit.name(), "runs": samples.len(),
                    "median": rounded(samples.median()), "p95": rounded(samples.p95()), "p99": rounded(samples.p99()),
                    "least": rounded(samples.least()),
                })
            })
            .collect();
        let budgets: Vec<Value> = self
            .budgets
            .iter()
            .map(|budget| {
                let (direction, limit) = match budget.limit {
                    Limit::AtLeast(limit) => ("at_least", limit),
                    Limit::AtMost(limit) => ("at_most", limit),
                };
                json!({"what": budget.what, "value": rounded(budget.value), direction: limit, "holds": budget.holds()})
            })
            .collect();
        json!({"name": self.name, "title": self.title, "figures": figures, "budgets": budgets})
    }
}

impl Budget {
    fn text(&self) -> String {
        let (sign, limit) = match self.limit {
            Limit::AtLeast(limit) => ("≥", limit),
            Limit::AtMost(limit) => ("≤", limit),
        };
        let verdict = if self.holds() { "pass" } else { "MISS" };
        format!("{verdict}  {:<50}{:>9.2}   {sign} {limit}", self.what, self.value)
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// All of it as JSON. Keys are only added, never renamed, while `schema` stays the same.
pub(super) fn json(bench: &str, runs: usize, scenarios: &[Scenario]) -> Value {
    let first = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_string();
    json!({
        "schema": 1,
        "bench": bench,
        "runs": runs,
        "machine": {
            "kernel": first("/proc/sys/kernel/osrelease"),
            "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        },
        "scenarios": scenarios.iter().map(Scenario::json).collect::<Vec<_>>(),
    })
}

/// Every budget in one place.
pub(super) fn summary(scenarios: &[Scenario]) -> String {
    let mut text = "\nbudgets\n".to_string();
    for scenario in scenarios {
        for budget in &scenario.budgets {
            text.push_str(&format!("  {:<18}{}\n", scenario.name, budget.text()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_on_something_not_measured_does_not_hold() {
        let budget = |value, limit| Budget { what: "", value, limit };
        assert!(!budget(f64::NAN, Limit::AtMost(1.6)).holds());
        assert!(!budget(f64::NAN, Limit::AtLeast(10.0)).holds());
        assert!(budget(1.6, Limit::AtMost(1.6)).holds());
        assert!(budget(10.0, Limit::AtLeast(10.0)).holds());
    }
}
