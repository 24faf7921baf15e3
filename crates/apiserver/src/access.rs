//! How the API server is reached: as a pod, or by a kubeconfig, which may name a token's file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderValue, USER_AGENT};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::limit::ConcurrencyLimitLayer;
use tower::util::MapRequestLayer;

use crate::{Error, Requests};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// Most requests that wait for their answers' heads: each is a connection, and each of these holds buffers for 90 s.
pub const REQUESTS: usize = 8;

/// Where the API server is and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// As a pod: by its environment and its mounted token.
    Pod,
    /// By a kubeconfig's current context. Several files with colons between, as in the variable KUBECONFIG, are merged as kubectl
    /// merges them.
    Kubeconfig(PathBuf),
}

impl Access {
    fn refuse(&self, reason: impl std::fmt::Display) -> Error {
        let access = match self {
            Access::Pod => "as a pod".to_owned(),
            Access::Kubeconfig(path) => format!("by kubeconfig {}", path.display()),
        };
        Error { access, reason: reason.to_string().replace('\n', " ") }
    }

    async fn config(&self) -> Result<Config, Error> {
        match self {
            Access::Pod => Config::incluster().map_err(|error| self.refuse(error)),
            Access::Kubeconfig(path) => {
                let read = std::env::split_paths(path)
                    .filter(|file| !file.as_os_str().is_empty())
                    .try_fold(Kubeconfig::default(), |before, file| {
                        before.merge(Kubeconfig::read_from(file)?)
                    })
                    .map_err(|error| self.refuse(error))?;
                let options = KubeConfigOptions::default();
                Config::from_custom_kubeconfig(read, &options).await.map_err(|error| self.refuse(error))
            }
        }
    }

    /// A client that counts its requests; nothing is asked of the API server yet.
    ///
    /// # Errors
    /// What it is made of cannot be read.
    pub async fn client(&self, requests: Arc<Requests>) -> Result<Client, Error> {
        let mut config = self.config().await?;
        config.connect_timeout = Some(CONNECT);
        // Each caller knows itself how long it may go on asking.
        config.default_retry = false;
        let token = config.auth_info.token_file.take().map(PathBuf::from);
        if let Some(path) = &token {
            read_token(path).map_err(|reason| self.refuse(reason))?;
        }
        let layer = MapRequestLayer::new(authorize(token, requests));
        let builder = ClientBuilder::try_from(config).map_err(|error| self.refuse(error))?;
        Ok(builder.with_layer(&layer).with_layer(&ConcurrencyLimitLayer::new(REQUESTS)).build())
    }
}

/// Counts each request and puts the token into it. It is read for each: kubelet exchanges it before it ends, and a new one counts at once.
fn authorize(
    token: Option<PathBuf>,
    requests: Arc<Requests>,
) -> impl Fn(http::Request<Body>) -> http::Request<Body> + Clone {
    let token: Option<Arc<Path>> = token.map(Into::into);
    move |mut request| {
        requests.count(&request);
        let agent = HeaderValue::from_static(concat!("llano/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        match token.as_deref().map(read_token) {
            Some(Ok(value)) => {
                request.headers_mut().insert(AUTHORIZATION, value);
            }
            // Unauthorized is then the API server's answer, which is tried again.
            Some(Err(reason)) => tracing::warn!(reason, "no token for the API server"),
            None => {}
        }
        request
    }
}

fn read_token(path: &Path) -> Result<HeaderValue, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let mut value = HeaderValue::try_from(format!("Bearer {}", text.trim()))
        .map_err(|_| format!("{} holds no token", path.display()))?;
    value.set_sensitive(true);
    Ok(value)
}
