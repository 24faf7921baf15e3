//! Rules that the table does not show: bytes, limits, files, running pods, and properties of everything that is read.

// Helpers of tests are not inside a test function, where the lints would allow these.
#![allow(clippy::unwrap_used)]

mod bytes;
mod files;
mod hotplug;
mod limits;
mod properties;
mod records;
mod routes;
mod sequence;
mod settings;
mod statuses;
mod support;
