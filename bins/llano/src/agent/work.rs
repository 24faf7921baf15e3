//! The agent's threads, and their end.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use agent::kube::{ApiServer, Change, Options};
use agent::metrics::Metrics;
use agent::server::{Hooks, Server, Stop};
use agent::{ContainerRuntime, Driver, Engine, Limits, PodResources, Setup, Store};
use anyhow::Context;
use install::{Follower, Installation, Places, Plugin, State};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::hooks::Pages;
use super::settings::{Install, Settings};

/// How long calls that run may go on after SIGTERM: a pod that starts meanwhile waits for the next agent, and that one for us.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long events that wait may take then.
const LAST_EVENTS: Duration = Duration::from_secs(1);
/// How long a repeated deletion may take then.
const LAST_DELETION: Duration = Duration::from_secs(1);
/// Stacks of threads that do work for pods, and of those that only wait.
const STACK: usize = 512 << 10;

/// Runs until a signal ends it.
pub(super) fn run(settings: &Settings, plugin: Option<Plugin>) -> anyhow::Result<()> {
    let store = Store::open(&settings.state_dir)?;
    // Its own file is open: whoever listens on the socket was an agent that is gone.
    let server = Server::open(&settings.socket)?;
    let driver = Arc::new(Driver::start().context("cannot start a thread")?);
    let runtime = Arc::new(ContainerRuntime::new(Arc::clone(&driver), &settings.runtime));
    let devices = Arc::new(PodResources::new(Arc::clone(&driver), &settings.pod_resources));
    let (give, changes) = channel();
    let give = Mutex::new(give);
    let changed = move |change| drop(give.lock().unwrap_or_else(PoisonError::into_inner).send(change));
    let options = Options::new(settings.access.clone(), settings.node.clone());
    let cluster = Arc::new(ApiServer::start(Arc::clone(&driver), options, Some(devices), changed)?);
    let setup = Setup {
        config: settings.config.clone(),
        spool: settings.spool_dir.clone(),
        settings: settings.state_dir.join(super::SETTINGS),
        paths: attach::paths::Paths::from_env(),
        limits: Limits::default(),
    };
    let engine = Engine::new(store, Arc::clone(&cluster) as _, Arc::clone(&runtime) as _, setup);
    let pages = Arc::new(Pages {
        engine: Arc::clone(&engine),
        cluster: Arc::clone(&cluster),
        metrics: Metrics::new(&cluster.claim_counts()),
        spool: settings.spool_dir.clone(),
        installation: Mutex::default(),
    });
    let hooks = Arc::clone(&pages) as Arc<dyn Hooks>;
    if let Some(address) = settings.metrics_address {
        let hooks = Arc::clone(&hooks);
        let address = daemon::pages::serve(&driver, address, move |path| hooks.page(path))?;
        tracing::info!(%address, "metrics");
    }
    end_with_signals(server.stopper())?;
    let later = {
        let engine = Arc::clone(&engine);
        thread("later", move || {
            // What an agent left that was killed, before anything else of this thread's.
            engine.reconcile();
            engine.repeat_deletions();
        })?
    };
    let follow = {
        let engine = Arc::clone(&engine);
        thread("changes", move || follow_changes(&engine, &changes))?
    };
    let installed = match (&settings.install, plugin) {
        (Some(install), Some(plugin)) => Some(keep_installed(install, plugin, &runtime, Arc::clone(&pages))?),
        _ => None,
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), node = settings.node, socket = %settings.socket.display(), "agent serves");
    let all_done = server.run(&engine, &hooks, PATIENCE)?;
    if !all_done {
        tracing::warn!("calls were cut short; what they made is undone by the next agent");
    }
    if let Some(installed) = installed {
        // What is installed stays: an agent that is exchanged disturbs nobody.
        installed.stop();
    }
    engine.stop();
    send_last_events(&cluster);
    end_within(&later, LAST_DELETION);
    drop((hooks, pages, cluster, engine));
    // The watches' callback holds the other end of the channel, and goes with the driver.
    drop((runtime, driver));
    drop(follow);
    tracing::info!("agent ends");
    Ok(())
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK);
    thread.spawn(work).context("cannot start a thread")
}

/// SIGTERM and SIGINT end the server; a second one ends the program.
fn end_with_signals(server: Stop) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot take signals")?;
    thread("signals", move || {
        for (count, signal) in signals.forever().enumerate() {
            tracing::info!(signal, "ending");
            server.stop();
            if count > 0 {
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        }
    })?;
    Ok(())
}

/// One after the other: a pod whose annotation changes twice is followed twice, in order.
fn follow_changes(engine: &Arc<Engine>, changes: &Receiver<Change>) {
    for change in changes {
        match change {
            // Annotations may have changed while no agent was there.
            Change::Listed => engine.reconcile(),
            Change::Networks(pod) => engine.annotation_changed(&pod),
            Change::Gone(pod) => engine.pod_gone(&pod),
            Change::Claims => engine.claims_changed(),
            Change::Lans => engine.lans_changed(),
        }
    }
}

/// The installation, as long as the agent runs.
struct Installed {
    stopper: install::Stopper,
    thread: JoinHandle<()>,
}

impl Installed {
    fn stop(self) {
        self.stopper.stop();
        let _ = self.thread.join();
    }
}

fn keep_installed(
    install: &Install,
    plugin: Plugin,
    runtime: &ContainerRuntime,
    pages: Arc<Pages>,
) -> anyhow::Result<Installed> {
    let version = match runtime.version() {
        Ok(runtime) => {
            let version = install::cni_version(&runtime.name, &runtime.version);
            tracing::info!(
                runtime = runtime.name,
                version = runtime.version,
                cni = version.as_str(),
                "runtime"
            );
            version
        }
        // Every runtime of today speaks it.
        Err(error) => {
            tracing::warn!(error = %error, "runtime's version is not known");
            cni::Version::V100
        }
    };
    let places = Places::below(Path::new("/")).with_cni(&install.bin_dir, &install.conf_dir);
    let options = install::Options {
        places,
        plugin,
        links: Vec::new(),
        version,
        cluster_network: install.cluster_network.clone(),
        service: None,
    };
    let follower = Follower::new(Installation::open(options)?)?;
    let stopper = follower.stopper();
    let thread = thread("install", move || {
        let told = &mut |state: &State| tell(state, &pages);
        if let Err(error) = follower.run(told) {
            tracing::error!(error = %error, "the primary plugin's configuration is not followed any more");
        }
    })?;
    Ok(Installed { stopper, thread })
}

fn tell(state: &State, pages: &Pages) {
    let missing = match state {
        State::Wrapped { list, hidden_by: None } => {
            tracing::info!(network = list.network, "configuration is in place");
            None
        }
        State::Wrapped { hidden_by: Some(file), .. } => {
            Some(format!("{file} sorts before our configuration, and the runtime takes it"))
        }
        State::Waiting => Some("there is no configuration of a primary plugin to wrap yet".to_owned()),
        State::Unusable { file, reason } => Some(format!("{file} cannot be used: {reason}")),
        State::Blocked { reason } | State::Failed { reason } => Some(reason.clone()),
    };
    if let Some(missing) = &missing {
        tracing::warn!(reason = missing, "not installed");
    }
    *pages.installation.lock().unwrap_or_else(PoisonError::into_inner) = missing;
}

/// A deletion that takes longer is cut short, as by a kill: the next agent begins it again.
fn end_within(thread: &JoinHandle<()>, limit: Duration) {
    let end = Instant::now() + limit;
    while !thread.is_finished() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send_last_events(cluster: &ApiServer) {
    let end = Instant::now() + LAST_EVENTS;
    while cluster.health().events_waiting > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
}
