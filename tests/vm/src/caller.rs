//! Calls of the plugin inside the guest, without a lab around them.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use kernel::NetNs;
use serde_json::{Value, json};

/// Where a container's namespace is.
#[must_use]
pub fn namespace(id: &str) -> PathBuf {
    PathBuf::from(format!("/run/netns/{id}"))
}

/// One call of `/plugins/macvlan` for the container's `eth0`; without a container for none.
///
/// # Errors
/// What the plugin says.
pub fn plugin(verb: &str, id: &str, config: &Value) -> Result<Value> {
    let mut command = Command::new("/plugins/macvlan");
    command
        .env("CNI_COMMAND", verb)
        .env("CNI_PATH", "/plugins")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if !id.is_empty() {
        command.env("CNI_CONTAINERID", id).env("CNI_IFNAME", "eth0").env("CNI_NETNS", namespace(id));
    }
    let mut child = command.spawn().context("run the plugin")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(config.to_string().as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{verb} {id}: {text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// `pod NAME MASTER SUBNET GATEWAY`: a container on a macvlan network of that parent; prints its address.
///
/// # Errors
/// When it cannot be made.
pub fn pod(words: &[String]) -> Result<()> {
    let [name, master, subnet, gateway] = words else { bail!("pod NAME MASTER SUBNET GATEWAY") };
    std::fs::create_dir_all("/run/netns")?;
    NetNs::create_at(&namespace(name))?;
    let base = subnet.rsplit_once('.').context("an IPv4 subnet")?.0;
    let range = json!({ "subnet": subnet, "gateway": gateway, "rangeStart": format!("{base}.10"), "rangeEnd": format!("{base}.20") });
    let config = json!({
        "cniVersion": "1.1.0", "name": format!("on-{master}"), "type": "macvlan", "master": master,
        "ipam": { "type": "host-local", "ranges": [[range]], "routes": [{ "dst": "0.0.0.0/0" }] }
    });
    let answer = plugin("ADD", name, &config)?;
    let address: ipnet::IpNet = answer["ips"][0]["address"].as_str().context("no address")?.parse()?;
    writeln!(std::io::stdout(), "{}", address.addr())?;
    Ok(())
}
