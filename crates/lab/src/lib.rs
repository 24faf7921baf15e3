//! Labs: hosts, routers and switches made of namespaces on one machine, and virtual machines.
//!
//! A [`LabSpec`] says what there is, [`Lab::up`] makes it, [`Lab::down`] takes it away. Nothing of it is in the machine's
//! own namespaces: veth pairs are born with each end where it belongs, and a bridge is in a namespace of its own. The
//! namespaces stay without a process in them, so a lab outlives the program that made it.

mod container;
mod error;
mod example;
mod host;
mod lab;
mod matrix;
mod mounts;
mod namespace;
mod plugins;
mod processes;
pub mod runtime;
mod spec;
mod state;
mod step;
mod sys;
pub mod vm;
mod wiring;

pub use container::Container;
pub use error::{Error, Result};
pub use example::{EXAMPLES, Example, SEED_002_CONF};
pub use host::{Host, Switch};
pub use lab::{Ephemeral, Lab, Summary};
pub use matrix::{Cell, Endpoint, Matrix, cell};
pub use plugins::{Answer, Call, Plugins, TYPES};
pub use processes::Process;
pub use spec::{End, InterfaceSpec, LabSpec, LinkSpec, NodeSpec, Role, RouteSpec, SwitchSpec};
pub use state::Stage;
pub use step::{Step, steps};
// What a lab's tests look at its wires with.
pub use wire::{Capture, Echo, Frame, Ping, PingError, capture};
