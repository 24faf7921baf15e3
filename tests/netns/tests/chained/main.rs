//! The plugin types that change a link of a chain (`tuning`, `sbr`, `bandwidth`), and `loopback`: against the kernel, and
//! side by side with the reference plugins where both should do the same.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bandwidth;
mod killed;
mod loopback;
mod sbr;
mod support;
mod tuning;
