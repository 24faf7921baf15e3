//! Real containers: a containerd of its own on each host, `ctr run --cni`, an image made of busybox.

use std::time::Instant;

use anyhow::Context;
use lab::Host;
use lab::runtime::{Containerd, Running, Runtime};

use super::pod::{Facts, Pod};

pub(super) fn start(host: &Host, name: &str) -> anyhow::Result<Pod> {
    let begin = Instant::now();
    let mut container = Containerd::of(host).run(name)?;
    let took = begin.elapsed();
    Ok(Pod {
        name: name.to_owned(),
        host: host.name().to_owned(),
        net: container.net().clone(),
        facts: Facts::read(container.net()).with_context(|| format!("container {name}"))?,
        took,
        process: container.take_process().context("`ctr run` is gone")?,
    })
}

pub(super) fn stop(host: &Host, pod: Pod) -> anyhow::Result<()> {
    let container = Running::new(&pod.name, pod.net).with_process(pod.process);
    Ok(Containerd::of(host).remove(container)?)
}
