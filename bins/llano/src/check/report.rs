//! How a preflight is printed.

use ::check::{Action, Finding, Group, Status};
use serde::Serialize;

use crate::output::{Colour, Out};

/// What `--output json` prints; docs/check.md describes it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    summary: Summary,
    pub(super) findings: Vec<Finding>,
    pub(super) fixes: Vec<Done>,
}

#[derive(Debug, Default, Serialize)]
struct Summary {
    ok: usize,
    skip: usize,
    warn: usize,
    fail: usize,
}

/// A fix, and what became of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Done {
    pub(super) id: &'static str,
    pub(super) object: Option<String>,
    #[serde(flatten)]
    pub(super) action: Action,
    pub(super) done: bool,
    pub(super) error: Option<String>,
    /// It waits for its own option.
    #[serde(skip)]
    pub(super) held_back: bool,
}

impl Report {
    pub(super) fn new(findings: Vec<Finding>, fixes: Vec<Done>) -> Self {
        let count = |status: Status| findings.iter().filter(|finding| finding.status == status).count();
        let summary = Summary {
            ok: count(Status::Ok),
            skip: count(Status::Skip),
            warn: count(Status::Warn),
            fail: count(Status::Fail),
        };
        Self { summary, findings, fixes }
    }

    pub(super) fn print(&self, groups: &[Group], dry_run: bool, out: &mut Out) -> anyhow::Result<()> {
        for &group in groups {
            let findings: Vec<&Finding> =
                self.findings.iter().filter(|finding| finding.group == group).collect();
            if findings.is_empty() {
                continue;
            }
            out.painted(Colour::Strong, group.name())?;
            let width = findings.iter().map(|finding| finding.id.len()).max().unwrap_or(0);
            for finding in findings {
                let colour = match finding.status {
                    Status::Ok => Colour::Good,
                    Status::Skip => Colour::Faint,
                    Status::Warn => Colour::Strong,
                    Status::Fail => Colour::Bad,
                };
                let status = out.paint(colour, &format!("{:<4}", finding.status.name()));
                out.line(&format!("  {status}  {:<width$}  {}", finding.id, finding.summary))?;
                let indent = " ".repeat(width + 10);
                if finding.status >= Status::Warn {
                    for line in &finding.details {
                        out.line(&format!("{indent}{line}"))?;
                    }
                }
                if let Some(advice) = &finding.advice {
                    out.line(&format!("{indent}-> {advice}"))?;
                }
            }
        }
        if !self.fixes.is_empty() {
            out.painted(Colour::Strong, "fixes")?;
        }
        for fix in &self.fixes {
            let what = match &fix.error {
                Some(error) => format!("failed: {error}"),
                None if fix.held_back => "not done without --swap-off".to_owned(),
                None if dry_run => "would be done".to_owned(),
                None => "done".to_owned(),
            };
            out.line(&format!("  {}: {} ({what})", fix.id, fix.action.command()))?;
            out.line(&format!("    undo: {}", fix.action.undo()))?;
        }
        let Summary { ok, skip, warn, fail } = self.summary;
        out.line(&format!("{ok} ok, {warn} warn, {fail} fail, {skip} skipped"))
    }
}
