//! The webhook: what it takes and refuses, its certificate, and its server over real TLS.

// Helpers of tests are not inside a test function, where the lints would allow these.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod certificate;
mod cluster;
mod hostile;
mod keeper;
mod manifest;
mod running;
mod server;
mod table;
