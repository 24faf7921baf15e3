//! The DaemonSet: installed, upgraded, taken away, with the distribution's containerd.

use std::process::ExitCode;

use cluster::ClusterSpec;
use cluster_tests::{deploys, run};

fn main() -> ExitCode {
    run(ClusterSpec::default(), &deploys::all(""))
}
