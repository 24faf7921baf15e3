//! A model of the claims' life: an API server, agents that crash, lag and lose answers, a controller, kubelets, and
//! pods that come and go. Stateright walks through every order in which it can happen, within the faults that a
//! scenario allows.
//!
//! The actors decide with `claims::plan`, `claims::controller` and `claims::Taken` themselves, and the server asks
//! `claims::allowed` about every write: there is no second description of the rules. What is modelled is the world around
//! them. A mutant is a world whose actors use these functions wrongly, as a careless caller would; each must be found out.

#![allow(clippy::unwrap_used)]

mod actions;
mod controller;
mod node;
mod properties;
mod scenarios;
mod server;
mod settle;
mod shared;
mod world;
