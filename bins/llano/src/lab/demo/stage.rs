//! The lab of the demo, its runtimes and its containers.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lab::runtime::Containerd;
use lab::{Endpoint, Example, Host, Lab, Plugins};

use super::pod::Pod;
use super::{Runtime, conf, containerd, netns};
use crate::lab::of_lab;

/// The hosts that have containers.
pub(super) const HOSTS: [&str; 2] = ["host1", "host2"];

/// Where the plugin keeps those addresses: a directory for each network, a file for each address.
const QUARANTINE: &str = "/run/llano/quarantine";

/// The demo's lab. It is taken down when this goes away, unless it is to be kept.
pub(super) struct Stage {
    pub(super) lab: Lab,
    pub(super) pods: Vec<Pod>,
    /// How long the lab took to come up.
    pub(super) took: Duration,
    pub(super) keep: bool,
    runtime: Runtime,
    stop: Arc<AtomicBool>,
}

impl Stage {
    pub(super) fn build(
        name: &str,
        runtime: Runtime,
        plugin: &Path,
        keep: bool,
        stop: Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        let spec = Example::find("seed-002").context("no example seed-002")?.spec()?;
        let begin = Instant::now();
        let up = if keep { Lab::up } else { Lab::up_for_this_process };
        let lab = up(&spec, name).map_err(|error| of_lab(name, error))?;
        let stage = Stage { lab, pods: Vec::new(), took: begin.elapsed(), keep, runtime, stop };
        for name in HOSTS {
            let host = stage.lab.host(name)?;
            host.run_in(|| Plugins::install(plugin, Path::new("/opt/cni/bin")))??;
            if runtime == Runtime::Containerd {
                Containerd::start(host)?;
            }
        }
        if runtime == Runtime::Containerd {
            for name in HOSTS {
                Containerd::of(stage.lab.host(name)?).ready()?;
            }
        }
        Ok(stage)
    }

    /// Between two steps: whether the user wants to stop.
    pub(super) fn go_on(&self) -> anyhow::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Writes a host's plugin configuration.
    pub(super) fn configure(&self, host: &str, text: &str) -> anyhow::Result<()> {
        let write = || {
            let path = Path::new(conf::PATH);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, text)
        };
        let host = self.lab.host(host)?;
        host.run_in(write)?.with_context(|| format!("cannot write {} of {}", conf::PATH, host.name()))
    }

    /// Starts a container.
    pub(super) fn start(&mut self, host: &str, name: &str) -> anyhow::Result<&Pod> {
        self.go_on()?;
        let host = self.lab.host(host)?;
        let pod = match self.runtime {
            Runtime::Netns => netns::start(host, name),
            Runtime::Containerd => containerd::start(host, name),
        }?;
        self.pods.push(pod);
        self.pods.last().context("the container is gone")
    }

    /// Stops a container, the last of that name.
    pub(super) fn stop(&mut self, name: &str) -> anyhow::Result<()> {
        let at = self.pods.iter().rposition(|pod| pod.name == name);
        let pod = self.pods.remove(at.with_context(|| format!("no container {name}"))?);
        let host = self.lab.host(&pod.host)?;
        match self.runtime {
            Runtime::Netns => netns::stop(host, pod),
            Runtime::Containerd => containerd::stop(host, pod),
        }
    }

    /// The addresses that a host's plugin found taken on the LAN and keeps out of its choice for a while.
    pub(super) fn quarantined(&self, host: &str) -> anyhow::Result<Vec<String>> {
        let read = || {
            let networks = fs::read_dir(QUARANTINE).into_iter().flatten().flatten();
            let files =
                networks.flat_map(|network| fs::read_dir(network.path()).into_iter().flatten().flatten());
            let names = files.filter_map(|file| file.file_name().into_string().ok());
            let mut names: Vec<_> = names.filter(|name| name.parse::<IpAddr>().is_ok()).collect();
            names.sort();
            names
        };
        Ok(self.lab.host(host)?.run_in(read)?)
    }

    /// Containers first, then hosts, then what is beyond.
    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        let pod =
            |pod: &Pod| Endpoint { name: pod.name.clone(), net: pod.net.clone(), address: pod.facts.address };
        let host = |host: &Host| {
            let address = host.address()?;
            Some(Endpoint { name: host.name().to_owned(), net: host.net().clone(), address })
        };
        let pods = self.pods.iter().map(pod);
        pods.chain(self.lab.hosts().iter().filter_map(host)).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = Lab::down(self.lab.name())
        {
            eprintln!("llano: lab {}: {error}", self.lab.name());
        }
        for pod in &mut self.pods {
            if !self.keep {
                let _ = pod.process.wait();
            }
        }
    }
}
