//! One line for the runtime's log: standard error is passed through.

use std::fmt::Display;
use std::io::Write;

/// Writes `origin: text`.
pub(crate) fn warn(origin: &str, text: impl Display) {
    // Nobody reads it: then nobody misses it.
    let _ = writeln!(std::io::stderr(), "{origin}: {text}");
}
