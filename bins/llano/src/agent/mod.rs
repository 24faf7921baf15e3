//! `llano agent`: a node's agent.

mod hooks;
mod node;
mod settings;
mod work;

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use ::install::Plugin;
use anyhow::Context;
use clap::Args;

pub(crate) use node::{name as node_name, runtime};

use crate::output::{Out, setting_lines};

/// Beside the store: the settings of the runtime's last call.
pub(crate) const SETTINGS: &str = "settings.json";

#[derive(Debug, Args)]
#[command(after_help = "\
The DaemonSet of deploy/llano.yaml runs it, with --host-root. By hand, and without touching the node's CNI directories:
  llano agent --kubeconfig /etc/llano/kubeconfig
  llano agent --dry-run                    what it would run with, and nothing else

The configuration file is JSON, with Multus's keys where Multus has them:
  {\"clusterNetwork\": \"/etc/cni/net.d/10-flannel.conflist\", \"namespaceIsolation\": true, \"metricsAddress\": \"127.0.0.1:9464\"}
clusterNetwork, defaultNetworks, namespaceIsolation, globalNamespaces, systemNamespaces, multusNamespace, confDir, binDir, dataDirs; and of its
own: node, kubeconfig, socket, stateDir, spoolDir, runtime, podResources, metricsAddress, logLevel, install, cniConfDir. What the
command line says counts for more; what neither says is taken from the CNI configuration of type llano.

Probes and metrics are on the socket, and on --metrics-address when that is given:
  curl --unix-socket /run/llano/agent.sock http://localhost/readyz
  curl --unix-socket /run/llano/agent.sock http://localhost/metrics
  curl --unix-socket /run/llano/agent.sock http://localhost/dump

SIGTERM ends it: no new call is taken, those that run are finished.

Exit codes: 0 ended by a signal, 1 failed (one line on stderr says why), 2 wrong use.")]
pub(crate) struct Command {
    /// The configuration file [default: /etc/llano/agent.json, when it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The node's name in Kubernetes [default: NODE_NAME, else the host's name]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Credentials for the API server [default: those of the pod it runs in]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Where the plugin asks [default: /run/llano/agent.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// What must not be forgotten is kept here [default: /var/lib/llano/agent]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The container runtime's socket [default: containerd's, k3s's or CRI-O's, whichever is there]
    #[arg(long, value_name = "PATH")]
    runtime: Option<PathBuf>,
    /// Serve /healthz, /readyz and /metrics here as well [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_address: Option<SocketAddr>,
    /// Install the plugin on this node, and keep a configuration around the primary plugin's
    #[arg(long)]
    install: bool,
    /// The node's root, seen from a container: it becomes the agent's own, and the plugin is installed there
    #[arg(long, value_name = "DIR")]
    host_root: Option<PathBuf>,
    /// The plugins' directory, on the node [default: /opt/cni/bin]
    #[arg(long, value_name = "DIR")]
    cni_bin_dir: Option<PathBuf>,
    /// The runtime's directory of configurations, on the node [default: /etc/cni/net.d]
    #[arg(long, value_name = "DIR")]
    cni_conf_dir: Option<PathBuf>,
    /// Print what it would run with, and end
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(command: Command, out: &mut Out) -> anyhow::Result<ExitCode> {
    let dry_run = command.dry_run;
    let plugin = match &command.host_root {
        Some(root) => Some(enter(root)?),
        None => None,
    };
    let settings = settings::Settings::read(command)?;
    if dry_run {
        out.json(&settings.shown())?;
        setting_lines(&settings.shown()).iter().try_for_each(|line| out.line(line))?;
        return Ok(ExitCode::SUCCESS);
    }
    crate::log::start(settings.log);
    let offset = daemon::clock::read_offset()?;
    if offset != 0 {
        tracing::warn!(offset, "the clock is moved, for a test");
    }
    let plugin = match (plugin, &settings.install) {
        (None, Some(_)) => Some(Plugin::Path(crate::bins::llano_cni()?)),
        (plugin, _) => plugin,
    };
    work::run(&settings, plugin)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the node's root ours. The plugin is the container's, and opened before.
fn enter(root: &Path) -> anyhow::Result<Plugin> {
    let path = crate::bins::llano_cni()?;
    let plugin = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    rustix::process::chroot(root)
        .and_then(|()| rustix::process::chdir("/"))
        .with_context(|| format!("cannot make {} the root", root.display()))?;
    Ok(Plugin::Open(Arc::new(plugin)))
}
