//! The contract from the outside: what a runtime sends and what it gets back.

// Helpers of tests are not inside a test function, where the lints would allow these.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod args;
mod bad_config;
mod bad_environment;
mod bad_result;
mod delegation;
mod dispatch;
mod forwarding;
mod plugin;
mod properties;
mod results;
