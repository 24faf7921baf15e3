//! What a check found.

use serde::Serialize;

use crate::fix::Fix;

/// The groups, in the order they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// What this kernel can do, and its limits.
    Kernel,
    /// The host's links and their settings.
    Interfaces,
    /// CNI's directories, configurations and plugins.
    Runtime,
    /// What a node of Kubernetes needs beside.
    Kubernetes,
    /// What lies behind the cable: asked on the wire.
    Switch,
    /// VXLANs: a report of its own.
    Overlay,
}

impl Group {
    /// Those of the preflight, in order.
    pub const ALL: [Self; 5] =
        [Self::Kernel, Self::Interfaces, Self::Runtime, Self::Kubernetes, Self::Switch];

    /// The word a user types.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Interfaces => "interfaces",
            Self::Runtime => "runtime",
            Self::Kubernetes => "kubernetes",
            Self::Switch => "switch",
            Self::Overlay => "overlay",
        }
    }
}

/// How it stands, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Not looked at; the summary says why.
    Skip,
    /// Works now, and will or may not in a case that the summary names.
    Warn,
    /// Does not work.
    Fail,
}

impl Status {
    /// The word that is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skip => "skip",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One line of a report. The field names are what `--output json` prints; docs/check.md describes them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The check's group.
    pub group: Group,
    /// The check's id: stable, unique over all groups.
    pub id: &'static str,
    /// What it is about, where a check looks at several things: an interface, a file, a network, a mode.
    pub object: Option<String>,
    /// How it stands.
    pub status: Status,
    /// What was found, one line.
    pub summary: String,
    /// What to do about it, one line.
    pub advice: Option<String>,
    /// More, line by line.
    pub details: Vec<String>,
    /// What `--fix` would do about it.
    pub fix: Option<Fix>,
}

impl Finding {
    fn new(status: Status, summary: impl Into<String>) -> Self {
        Self {
            // The runner stamps group and id of the row that made it.
            group: Group::Kernel,
            id: "",
            object: None,
            status,
            summary: summary.into(),
            advice: None,
            details: Vec::new(),
            fix: None,
        }
    }

    pub(crate) fn ok(summary: impl Into<String>) -> Self {
        Self::new(Status::Ok, summary)
    }

    pub(crate) fn skip(summary: impl Into<String>) -> Self {
        Self::new(Status::Skip, summary)
    }

    /// A warning is nothing without what to do about it.
    pub(crate) fn warn(summary: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..Self::new(Status::Warn, summary) }
    }

    pub(crate) fn fail(summary: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..Self::new(Status::Fail, summary) }
    }

    /// A failure where it is needed, else a warning.
    pub(crate) fn bad(needed: bool, summary: impl Into<String>, advice: impl Into<String>) -> Self {
        if needed { Self::fail(summary, advice) } else { Self::warn(summary, advice) }
    }

    pub(crate) fn of(mut self, object: impl Into<String>) -> Self {
        self.object = Some(object.into());
        self
    }

    pub(crate) fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    pub(crate) fn fix(mut self, fix: Fix) -> Self {
        self.fix = (!fix.actions.is_empty()).then_some(fix);
        self
    }
}
