//! The DaemonSet, with containerd 2.

#![allow(clippy::unwrap_used)]

use std::process::ExitCode;

use cluster::{ClusterSpec, Containerd};
use cluster_tests::{deploys, run};

fn main() -> ExitCode {
    run(ClusterSpec::new(2, Containerd::V2).unwrap(), &deploys::all("_with_containerd_2"))
}
