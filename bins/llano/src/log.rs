//! The log of agent and controller: one JSON object a line, as clusters collect them; plain text on a terminal.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How much is logged; `LLANO_LOG` counts for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Info,
    Debug,
}

impl Level {
    /// Our words, and Multus's.
    pub(crate) fn from_text(text: &str) -> Option<Level> {
        match text {
            "panic" | "error" => Some(Level::Error),
            "info" | "verbose" => Some(Level::Info),
            "debug" => Some(Level::Debug),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

pub(crate) fn start(level: Level) {
    // The client logs whole answers of the API server where it cannot read them; its errors are told by who asked.
    let rest = "kube_client=off,hyper=off,hyper_util=off,h2=off,tonic=off,tower=off,rustls=off";
    let filter = EnvFilter::try_from_env("LLANO_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("{},{rest}", level.as_str())));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    }
}
