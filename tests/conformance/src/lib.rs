//! Real callers of the plugin, each with the example's file byte for byte and a gateway that does not forward.
//!
//! These tests need root, cnitool, containerd and podman 4. Where they are missing the tests fail; leave the tier out
//! by name if it cannot run. On a machine with podman 5: `cargo xtask test conformance -- --skip podman`.

// A test that cannot look at the machine has failed: a panic is the right answer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod caller;
mod cnitool;
mod direct;
mod seed;
mod site;

pub use caller::Caller;
pub use cnitool::Cnitool;
pub use direct::Direct;
pub use seed::{assert_no_cgroup, ours_delivers, reference_does_not_deliver};
pub use site::{LEASES, NETWORK_FILE, PLUGINS, Whose, leftovers, prepare, state};
