//! Containers without a runtime: a network namespace, the plugin called as a runtime would, and a process.

use std::fs;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, bail};
use lab::{Call, Host, Plugins};
use serde_json::Value;

use super::conf;
use super::pod::{Facts, Pod};

/// Where runtimes expect plugins.
const PLUGINS: &str = "/opt/cni/bin";

pub(super) fn start(host: &Host, name: &str) -> anyhow::Result<Pod> {
    let container = host.container(name)?;
    let call = Call { container: &container, ifname: "eth0", id: name, args: "" };
    let begin = Instant::now();
    cni(host, "ADD", &call)?;
    let took = begin.elapsed();
    let mut sleep = container.command("sleep")?;
    // It may outlive the demo, whose output somebody may be waiting to see the end of.
    let process =
        sleep.arg("infinity").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Ok(Pod {
        name: name.to_owned(),
        host: host.name().to_owned(),
        net: container.net().clone(),
        facts: Facts::read(container.net()).with_context(|| format!("container {name}"))?,
        took,
        process: process.context("cannot run sleep")?,
    })
}

pub(super) fn stop(host: &Host, mut pod: Pod) -> anyhow::Result<()> {
    pod.process.kill()?;
    pod.process.wait()?;
    let container = host.open_container(&pod.name)?;
    cni(host, "DEL", &Call { container: &container, ifname: "eth0", id: &pod.name, args: "" })?;
    Ok(container.delete()?)
}

/// One call with the very bytes of the host's file on stdin.
fn cni(host: &Host, verb: &str, call: &Call<'_>) -> anyhow::Result<()> {
    let bytes =
        host.run_in(|| fs::read(conf::PATH))?.with_context(|| format!("cannot read {}", conf::PATH))?;
    let output = Plugins::at(PLUGINS).run_raw(verb, "macvlan", &bytes, call)?;
    if output.status.success() {
        return Ok(());
    }
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    match answer.get("msg").and_then(Value::as_str) {
        Some(msg) => bail!("{verb} of container {} on {}: {msg}", call.id, host.name()),
        None => bail!("{verb} of container {} on {}: {}", call.id, host.name(), output.status),
    }
}
