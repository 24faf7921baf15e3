//! `llano controller`: the cluster's controller.

mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use ::controller::{Controller, Options};
use anyhow::Context;
use clap::Args;
use daemon::Driver;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::output::{Out, setting_lines};

#[derive(Debug, Args)]
#[command(after_help = "\
It keeps what nodes cannot keep by themselves: addresses of pods that are gone, reservations, the
NetworkAttachmentDefinitions of MacvlanNetworks, and what `kubectl get mvn,msubnet,mres` says. Several may run; the one that holds
the lease works.

Examples:
  llano controller --kubeconfig ~/.kube/config --namespace llano
  llano controller --dry-run               what it would run with, and nothing else

With --webhook-address it answers the API server's questions about new objects, whether it holds the lease or not: docs/webhook.md says
what is checked, and deploy/webhook.yaml has what the API server needs for it. deploy/controller.yaml runs two with:
  --webhook-address [::]:9443 --metrics-address [::]:9465 --agent-config /etc/llano/agent.json

With --metrics-address:
  curl http://localhost:9465/readyz
  curl http://localhost:9465/metrics

LLANO_LOG=debug tells more. SIGTERM ends it and gives the lease back.

Exit codes: 0 ended by a signal, 1 failed (one line on stderr says why; one that lost its lease too), 2 wrong use.")]
pub(crate) struct Command {
    /// Credentials for the API server [default: those of the pod it runs in]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The namespace of the lease and of the webhook's Service and Secret [default: POD_NAMESPACE, else that of the pod it runs in, else llano]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// The lease's name
    #[arg(long, value_name = "NAME", default_value = "llano-controller")]
    lease: String,
    /// What the lease calls this controller [default: POD_NAME, else the host's name with the process's number]
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    /// Serve /healthz, /readyz and /metrics here [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_address: Option<SocketAddr>,
    /// Answer the API server's admission webhook here [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    webhook_address: Option<SocketAddr>,
    /// The agents' configuration: by it the webhook knows which networks pods have without asking
    #[arg(long, value_name = "FILE")]
    agent_config: Option<PathBuf>,
    /// How long a StatefulSet or a reservation may be gone, to be made again, before others get its addresses
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = crate::dhcp::duration)]
    keeper_grace: Duration,
    /// Print what it would run with, and end
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(command: Command, out: &mut Out) -> anyhow::Result<ExitCode> {
    let (dry_run, address) = (command.dry_run, command.metrics_address);
    let options = settings::read(command)?;
    if dry_run {
        let shown = settings::shown(&options, address);
        out.json(&shown)?;
        setting_lines(&shown).iter().try_for_each(|line| out.line(line))?;
        return Ok(ExitCode::SUCCESS);
    }
    crate::log::start(crate::log::Level::Info);
    let offset = daemon::clock::read_offset()?;
    if offset != 0 {
        tracing::warn!(offset, "the clock is moved, for a test");
    }
    work(options, address)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs until a signal ends it, or the lease is lost.
fn work(options: Options, address: Option<SocketAddr>) -> anyhow::Result<()> {
    let driver = Driver::start().context("cannot start a thread")?;
    let controller = Arc::new(Controller::new(options));
    if let Some(address) = address {
        let pages = Arc::clone(&controller);
        let address = daemon::pages::serve(&driver, address, move |path| pages.page(path))?;
        tracing::info!(%address, "metrics");
    }
    end_with_signals(&controller)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "controller starts");
    let (give, ended) = channel();
    driver.spawn(async move {
        // The receiver waits below.
        let _ = give.send(controller.run().await);
    });
    ended.recv().context("the controller's thread has ended")??;
    tracing::info!("controller ends");
    Ok(())
}

/// SIGTERM and SIGINT end it; a second one ends the program at once.
fn end_with_signals(controller: &Arc<Controller>) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot take signals")?;
    let controller = Arc::clone(controller);
    let thread = std::thread::Builder::new().name("signals".to_owned()).stack_size(256 << 10);
    let started = thread.spawn(move || {
        for (count, signal) in signals.forever().enumerate() {
            tracing::info!(signal, "ending");
            controller.stop();
            if count > 0 {
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        }
    });
    started.context("cannot start a thread")?;
    Ok(())
}
