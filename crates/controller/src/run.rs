//! The controller as a whole: waits for the lease, works while it has it, gives it back.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use apiserver::{Access, Backoff, Requests};
use claims::controller::Grace;
use daemon::Page;
use futures_util::future::{Either, select};
use kube::Client;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::lease::{Candidate, Terms};
use crate::metrics::Metrics;
use crate::server::Server;
use crate::watches::{self, Healths, Shared};
use crate::webhook::{self, Keeper, Places, PodNetworks, Tls, World, judge};
use crate::work::Worker;
use crate::{Error, Result, now};

/// So long the webhook still answers when the controller ends: until the API server asks another replica.
const LEAVE: Duration = Duration::from_secs(3);

/// What the controller is made with.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the API server is reached.
    pub access: Access,
    /// The namespace of the lease, and of the webhook's Service and Secret.
    pub namespace: String,
    /// The lease's name.
    pub lease: String,
    /// Which controller this is: its pod's name.
    pub identity: String,
    /// Where the API server's questions are answered; none: nowhere.
    pub webhook_address: Option<SocketAddr>,
    /// What pods get without asking, for these answers; none where that is not known.
    pub pod_networks: Option<PodNetworks>,
    /// The lease's times.
    pub terms: Terms,
    /// How long pods and what claims are kept for must be gone.
    pub grace: Grace,
    /// Pauses after failures.
    pub backoff: Backoff,
}

impl Options {
    /// With the usual times, and without the webhook.
    pub fn new(access: Access, namespace: String, lease: String, identity: String) -> Options {
        let (terms, grace, backoff) = (Terms::default(), Grace::default(), Backoff::default());
        let (webhook_address, pod_networks) = (None, None);
        Options { access, namespace, lease, identity, webhook_address, pod_networks, terms, grace, backoff }
    }
}

/// The controller.
pub struct Controller {
    options: Options,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    requests: Arc<Requests>,
    /// Of the watches, once they run.
    healths: Mutex<Healths>,
    /// Whether it has the lease.
    leads: watch::Sender<bool>,
    /// The webhook's certificate.
    tls: Tls,
    /// Where the webhook is listened on.
    listening: OnceLock<SocketAddr>,
    stop: Notify,
}

impl Controller {
    /// Nothing is asked of the API server yet.
    pub fn new(options: Options) -> Controller {
        Controller {
            options,
            shared: Arc::default(),
            metrics: Arc::default(),
            requests: Arc::default(),
            healths: Mutex::default(),
            leads: watch::Sender::new(false),
            tls: Tls::default(),
            listening: OnceLock::new(),
            stop: Notify::new(),
        }
    }

    /// Ends [`Controller::run`].
    pub fn stop(&self) {
        self.stop.notify_one();
    }

    /// Where the webhook is listened on, once it is.
    pub fn webhook_address(&self) -> Option<SocketAddr> {
        self.listening.get().copied()
    }

    /// Runs until it is stopped; the lease is given back then. Watches and webhook do not wait for the lease: every replica answers the
    /// API server, and the next one to work knows the cluster already.
    ///
    /// # Errors
    /// [`Error::Access`]: what the access is made of cannot be read. [`Error::Listen`]: the webhook's port is taken.
    /// [`Error::Lease`]: the API server refuses the lease. [`Error::Lost`]: another may work now, and nothing more is done.
    pub async fn run(&self) -> Result<()> {
        let Options { access, namespace, lease, identity, terms, backoff, .. } = self.options.clone();
        let client = access.client(Arc::clone(&self.requests)).await?;
        self.shared.state().index.pod_networks.clone_from(&self.options.pod_networks);
        let webhook = self.answer(&client).await?;
        let (mut tasks, healths) = watches::start(&client, &self.shared, backoff);
        *self.healths() = healths;
        let mut candidate = Candidate::new(client.clone(), &namespace, &lease, identity, terms);
        let working = self.work(&client, &mut candidate, &mut tasks);
        let ended = match select(pin!(working), pin!(self.stop.notified())).await {
            Either::Left((ended, _)) => Some(ended),
            Either::Right(_) => None,
        };
        // Nothing may be written any more once the lease is another's.
        tasks.shutdown().await;
        self.lead(false);
        let Some(ended) = ended else {
            candidate.release().await;
            if !webhook.is_empty() {
                tokio::time::sleep(LEAVE).await;
            }
            return Ok(());
        };
        Err(Error::Lost { namespace, name: lease, reason: ended? })
    }

    /// Waits for the lease and works; how the lease was lost.
    async fn work(
        &self,
        client: &Client,
        candidate: &mut Candidate,
        tasks: &mut JoinSet<()>,
    ) -> Result<String> {
        let Options { namespace, lease, identity, grace, backoff, .. } = self.options.clone();
        candidate.acquire().await?;
        tracing::info!(namespace, lease, identity, "leads");
        self.lead(true);
        self.shared.state().lead(now());
        let (shared, metrics) = (Arc::clone(&self.shared), Arc::clone(&self.metrics));
        let server = Server::new(client.clone(), identity);
        tasks.spawn(Worker { shared, server, metrics, grace, backoff }.run());
        Ok(candidate.keep().await)
    }

    fn lead(&self, leads: bool) {
        self.metrics.lead(leads);
        self.leads.send_replace(leads);
    }

    /// Starts the webhook, if there is to be one.
    async fn answer(&self, client: &Client) -> Result<JoinSet<()>> {
        let mut tasks = JoinSet::new();
        let Some(address) = self.options.webhook_address else { return Ok(tasks) };
        let server = webhook::Server::bind(address, self.tls.clone()).await?;
        let address = server.address().map_err(|source| Error::Listen { address, source })?;
        tracing::info!(%address, "webhook");
        self.listening.get_or_init(|| address);
        let shared = Arc::clone(&self.shared);
        tasks.spawn(server.run(move |question| {
            let state = shared.state();
            state.is_known().then(|| judge(question, &*state))
        }));
        let places = Places { namespace: self.options.namespace.clone(), ..Places::default() };
        let keeper = Keeper::new(client.clone(), places, self.tls.clone());
        let keeper = keeper.counted(self.metrics.certificate_days());
        tasks.spawn(keeper.run(self.leads.subscribe()));
        Ok(tasks)
    }

    fn healths(&self) -> std::sync::MutexGuard<'_, Healths> {
        self.healths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it still lacks to answer and to take the lead; empty when it is ready.
    fn lacks(&self) -> String {
        let healths = self.healths();
        if healths.is_empty() {
            return "it has not begun to ask the API server".to_owned();
        }
        let missing = healths.iter().filter(|(_, health)| !health.listed());
        let missing: Vec<&str> = missing.map(|(label, _)| *label).collect();
        if !missing.is_empty() {
            return format!("the API server has not told these yet: {}", missing.join(", "));
        }
        if self.options.webhook_address.is_some() && !self.tls.is_ready() {
            return "the webhook has no certificate yet: the controller that leads makes it, and deploy/webhook.yaml has its Secret"
                .to_owned();
        }
        String::new()
    }

    /// `/healthz`, `/readyz`, `/metrics`. One that waits for the lease is ready as soon as it could work.
    pub fn page(&self, path: &str) -> Option<Page> {
        match path {
            "/healthz" => Some(Page::text(200, "ok\n")),
            "/readyz" => Some(match self.lacks() {
                lacks if lacks.is_empty() => Page::text(200, "ok\n"),
                lacks => Page::text(503, format!("{lacks}\n")),
            }),
            "/metrics" => {
                let healths = self.healths();
                let ages = healths.iter().map(|(label, health)| (*label, health.age()));
                let ages: Vec<(&'static str, Duration)> = ages.collect();
                let body = self.metrics.to_text(&self.shared.state(), ages.into_iter(), &self.requests);
                let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                Some(Page { status: 200, content_type, body })
            }
            _ => None,
        }
    }
}
