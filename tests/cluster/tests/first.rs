//! The cluster itself, with the distribution's containerd.

use std::process::ExitCode;

use cluster::ClusterSpec;
use cluster_tests::{basics, run};

fn main() -> ExitCode {
    run(ClusterSpec::default(), &basics::all(""))
}
