//! kubectl with objects that no file has.

use std::io::Write;
use std::process::{Output, Stdio};

use cluster::Cluster;

/// kubectl with this on its standard input, to its end. That it fails may be what a test is about.
pub fn kubectl(cluster: &Cluster, args: &[&str], input: &str) -> Output {
    let mut command = cluster.kubectl().unwrap();
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A kubectl that has ended without reading has said why.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}
