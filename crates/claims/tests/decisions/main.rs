//! What the crate decides, case by case, and a simulation of many agents on a full subnet.

#![allow(clippy::unwrap_used)]

mod choice;
mod controller;
mod given;
mod object;
mod plan;
mod rules;
mod simulation;
mod taken;
