//! Helpers of the tests that need a real kernel: labs, plugins, and proof that nothing was left behind.
//!
//! These tests need root. Where there is none they fail; leave the tier out by name if it cannot run.

// A test that cannot look at the machine has failed: a panic is the right answer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod files;
pub mod kill;
mod leak;
mod node;
mod places;
mod stream;

pub use leak::LeakCheck;
pub use node::{AgentNode, Running};
pub use places::{bin_dir, llano_plugins, reference_plugins, require_root};
pub use stream::{Stream, Wait};

use lab::{Ephemeral, Example, Lab, LabSpec};

/// A lab of a built-in example, down when dropped.
pub fn example(name: &str) -> Ephemeral {
    require_root();
    let example = Example::find(name).unwrap_or_else(|| panic!("no example {name}"));
    up(example.yaml)
}

/// A lab of this description, down when dropped.
pub fn up(yaml: &str) -> Ephemeral {
    require_root();
    let spec = LabSpec::parse(yaml).unwrap_or_else(|error| panic!("{error}"));
    Lab::ephemeral(&spec).unwrap_or_else(|error| panic!("cannot bring the lab up: {error}"))
}

/// Two hosts on one switch: host1 10.1.0.1/24 and fd00:1::1/64, host2 the same with 2.
pub fn two_hosts() -> Ephemeral {
    example("two-hosts")
}

/// The lab that the example's `macvlan.conf` is for: hosts .101 and .102, node3 .103, a gateway that forwards at .254, and
/// a network beyond it.
pub fn seed_002() -> Ephemeral {
    example("seed-002")
}

/// As [`seed_002`], two hosts and a gateway that does not forward.
pub fn silent_gateway() -> Ephemeral {
    example("silent-gateway")
}
