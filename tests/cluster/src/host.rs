//! What a test does on a node, or on the LAN's plain machine.

use cluster::Cluster;
use serde_json::Value;

/// Runs a command on a host (`node1`, `plain`, `gateway`, `control`) and gives what it printed.
///
/// # Errors
/// What it wrote to stderr, when it fails.
pub fn on(cluster: &Cluster, host: &str, command: &[&str]) -> Result<String, String> {
    let (program, args) = command.split_first().expect("a command");
    let mut command = cluster.host(host).unwrap().command(program).unwrap();
    let output = command.args(args).output().unwrap_or_else(|error| panic!("{program} on {host}: {error}"));
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err([&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat())
}

/// Whether an address answers a ping of that host.
pub fn pings(cluster: &Cluster, host: &str, address: &str) -> bool {
    on(cluster, host, &["ping", "-c1", "-W5", address]).is_ok()
}

/// What the test server at this URL says to that host.
///
/// # Panics
/// When it does not answer, or something else does.
pub fn ask_from(cluster: &Cluster, host: &str, url: &str) -> Value {
    let echo = cluster.program("echo").display().to_string();
    let text =
        on(cluster, host, &[&echo, "get", url]).unwrap_or_else(|error| panic!("{host} asks {url}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url} says {text:?}: {error}"))
}

/// The links of a host's network namespace, sorted: proof that pods left none.
pub fn links(cluster: &Cluster, host: &str) -> Vec<String> {
    let mut netlink = kernel::Netlink::open_in(cluster.host(host).unwrap().net()).unwrap();
    let mut names: Vec<String> = netlink.links().unwrap().into_iter().map(|link| link.name).collect();
    names.sort();
    names
}
