//! `llano host`: what becomes of a change when its program, its terminal or its watchdog dies.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test ends where it cannot go on.

mod boot;
mod change;
mod killed;
mod owners;
mod since;
mod site;
mod watchdog;
