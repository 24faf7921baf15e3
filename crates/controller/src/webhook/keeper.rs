//! Keeps the certificate: in a Secret, in the API server's configuration of the webhook, and in what is served.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, SystemTime};

use apiserver::{plain, within};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use prometheus_client::metrics::gauge::Gauge;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Certificates, Pair, Tls};
use crate::{Error, Result};

/// Between two looks: how long a new certificate may take to be served.
const LOOK: Duration = Duration::from_secs(60);
/// After a look that failed.
const AGAIN: Duration = Duration::from_secs(5);
/// For one request.
const PATIENCE: Duration = Duration::from_secs(10);

/// The keys in the Secret, of the newest pair and of the one before.
const NEWEST: [&str; 3] = ["ca.crt", "tls.crt", "tls.key"];
const PREVIOUS: [&str; 3] = ["previous-ca.crt", "previous-tls.crt", "previous-tls.key"];

/// Which objects they are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The namespace of the Secret and of the Service.
    pub namespace: String,
    /// The Service's name.
    pub service: String,
    /// The Secret's name; `deploy/webhook.yaml` has it, empty.
    pub secret: String,
    /// The ValidatingWebhookConfiguration's name.
    pub configuration: String,
}

impl Default for Places {
    /// Those of `deploy/webhook.yaml`.
    fn default() -> Places {
        Places {
            namespace: "llano".to_owned(),
            service: "llano-webhook".to_owned(),
            secret: "llano-webhook".to_owned(),
            configuration: "llano".to_owned(),
        }
    }
}

impl Places {
    /// The name that the API server asks for.
    pub fn server_name(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }
}

/// Keeps the certificate of one replica.
pub struct Keeper {
    secrets: Api<Secret>,
    configurations: Api<ValidatingWebhookConfiguration>,
    places: Places,
    tls: Tls,
    /// What is served.
    served: Option<Pair>,
    /// For how many days it lasts.
    days: Gauge,
}

impl Keeper {
    /// For a server with this `tls`.
    pub fn new(client: Client, places: Places, tls: Tls) -> Keeper {
        Keeper {
            secrets: Api::namespaced(client.clone(), &places.namespace),
            configurations: Api::all(client),
            places,
            tls,
            served: None,
            days: Gauge::default(),
        }
    }

    /// Says in this gauge for how many days the served certificate lasts.
    #[must_use]
    pub fn counted(self, days: Gauge) -> Keeper {
        Keeper { days, ..self }
    }

    /// Keeps it as long as somebody says with `leads` whether this replica is the one that makes new ones; when it begins to be that
    /// one, it looks at once.
    pub async fn run(mut self, mut leads: watch::Receiver<bool>) {
        loop {
            let is_leader = *leads.borrow_and_update();
            let pause = match self.look(is_leader, SystemTime::now()).await {
                // Without one to serve there is something to wait for.
                Ok(()) => {
                    if self.tls.is_ready() {
                        LOOK
                    } else {
                        AGAIN
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "certificate of the webhook");
                    AGAIN
                }
            };
            // Who would say is gone.
            if let Ok(Err(_)) = timeout(pause, leads.changed()).await {
                return;
            }
        }
    }

    /// One look: reads the Secret, renews it when this replica leads and it is time, and serves what is to be served.
    ///
    /// # Errors
    /// The API server is away or refuses, or another replica was quicker: look again.
    pub async fn look(&mut self, leads: bool, now: SystemTime) -> Result<()> {
        let name = self.places.server_name();
        let secret = self.asked("Secret", self.secrets.get(&self.places.secret)).await?;
        let mut certificates = read(&secret);
        if leads && let Some(renewed) = certificates.renewed(&name, now)? {
            // Only over the version that was read: of two that both think they lead, one writes.
            let written = Secret { data: Some(data(&renewed)), ..secret };
            let params = PostParams::default();
            self.asked("Secret", self.secrets.replace(&self.places.secret, &params, &written)).await?;
            tracing::info!("new certificate of the webhook");
            certificates = renewed;
        }
        match certificates.serving(&name, now) {
            Some(pair) if self.served.as_ref() != Some(pair) => {
                self.tls.serve(pair.certified()?);
                self.served = Some(pair.clone());
            }
            _ => {}
        }
        if let Some(pair) = &self.served {
            self.days.set(pair.days_left(&name, now).into());
        }
        if leads { self.tell(&certificates).await } else { Ok(()) }
    }

    /// Tells the API server of the authorities. Without a configuration it does not ask: who has deleted that wants to do without.
    async fn tell(&self, certificates: &Certificates) -> Result<()> {
        let name = &self.places.configuration;
        let kind = "ValidatingWebhookConfiguration";
        let Some(current) = self.asked(kind, self.configurations.get_opt(name)).await? else { return Ok(()) };
        if let Some(patch) = bundle(&current, &certificates.authorities()) {
            let params = PatchParams::default();
            self.asked(kind, self.configurations.patch(name, &params, &Patch::Strategic(patch))).await?;
        }
        Ok(())
    }

    async fn asked<T>(
        &self,
        kind: &'static str,
        request: impl Future<Output = std::result::Result<T, kube::Error>>,
    ) -> Result<T> {
        within(PATIENCE, request).await.map_err(|error| Error::Webhook { kind, reason: plain(&error) })
    }
}

/// The pairs of a Secret. What is missing in part is not there.
fn read(secret: &Secret) -> Certificates {
    let text = |key: &str| {
        let bytes = secret.data.as_ref()?.get(key)?;
        String::from_utf8(bytes.0.clone()).ok()
    };
    let pair = |[authority, certificate, key]: [&str; 3]| {
        Some(Pair { authority: text(authority)?, certificate: text(certificate)?, key: text(key)? })
    };
    Certificates { newest: pair(NEWEST), previous: pair(PREVIOUS) }
}

fn data(certificates: &Certificates) -> BTreeMap<String, ByteString> {
    let mut data = BTreeMap::new();
    for (keys, pair) in [(NEWEST, &certificates.newest), (PREVIOUS, &certificates.previous)] {
        if let Some(pair) = pair {
            let texts = [&pair.authority, &pair.certificate, &pair.key];
            data.extend(
                keys.into_iter()
                    .zip(texts)
                    .map(|(key, text)| (key.to_owned(), ByteString(text.clone().into_bytes()))),
            );
        }
    }
    data
}

/// The patch that puts the authorities into every webhook of a configuration; `None` when they are there.
fn bundle(configuration: &ValidatingWebhookConfiguration, authorities: &str) -> Option<serde_json::Value> {
    let authorities = ByteString(authorities.as_bytes().to_vec());
    let webhooks = configuration.webhooks.as_deref().unwrap_or_default();
    let known = |bundle: &Option<ByteString>| bundle.as_ref() == Some(&authorities);
    if webhooks.iter().all(|webhook| known(&webhook.client_config.ca_bundle)) {
        return None;
    }
    let entry = |name: &str| json!({"name": name, "clientConfig": {"caBundle": authorities}});
    let webhooks: Vec<_> = webhooks.iter().map(|webhook| entry(&webhook.name)).collect();
    // Of this version only: what another has changed meanwhile is looked at again.
    let version = &configuration.metadata.resource_version;
    Some(json!({"metadata": {"resourceVersion": version}, "webhooks": webhooks}))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::admissionregistration::v1::ValidatingWebhook;

    use super::*;

    #[test]
    fn pairs_come_back_from_their_secret() {
        let pair = Pair::new("a.b.svc", SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)).unwrap();
        let both = Certificates { newest: Some(pair.clone()), previous: Some(pair.clone()) };
        for certificates in [Certificates::default(), Certificates { previous: None, ..both.clone() }, both] {
            let secret = Secret { data: Some(data(&certificates)), ..Secret::default() };
            assert_eq!(read(&secret), certificates);
        }
        let mut part = data(&Certificates { newest: Some(pair), previous: None });
        part.remove("tls.key");
        assert_eq!(read(&Secret { data: Some(part), ..Secret::default() }), Certificates::default());
    }

    #[test]
    fn every_webhook_is_told_of_the_authorities_once() {
        let mut configuration = ValidatingWebhookConfiguration::default();
        configuration.metadata.resource_version = Some("7".to_owned());
        let webhook =
            |name: &str| ValidatingWebhook { name: name.to_owned(), ..ValidatingWebhook::default() };
        configuration.webhooks = Some(vec![webhook("a"), webhook("b")]);
        let patch = bundle(&configuration, "x\n").unwrap();
        // base64 of "x\n".
        let entry = |name: &str| json!({"name": name, "clientConfig": {"caBundle": "eAo="}});
        assert_eq!(
            patch,
            json!({"metadata": {"resourceVersion": "7"}, "webhooks": [entry("a"), entry("b")]})
        );
        for webhook in configuration.webhooks.iter_mut().flatten() {
            webhook.client_config.ca_bundle = Some(ByteString(b"x\n".to_vec()));
        }
        assert_eq!(bundle(&configuration, "x\n"), None);
        assert!(bundle(&configuration, "y\n").is_some());
    }
}
