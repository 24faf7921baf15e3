//! HTTPS for the API server: one path, one question at a time a connection.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{Request, Verdict, answer, read};
use crate::{Error, Result};

/// Where questions are asked.
pub const PATH: &str = "/validate";
/// Most bytes of a question: two objects, each at most 1.5 MiB in the API server's store.
pub const BODY_LIMIT: usize = 4 << 20;

/// Until the handshake is done, and until a question is there as a whole.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection without a question for so long is closed.
const IDLE: Duration = Duration::from_secs(30);
/// Most connections at a time, and so most questions in memory.
const CONNECTIONS: usize = 128;
/// After a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// The certificate that is served, exchanged at any time: the next handshake has the new one.
#[derive(Clone, Default)]
pub struct Tls {
    served: Arc<RwLock<Option<Arc<CertifiedKey>>>>,
}

impl Tls {
    /// Serves this one from now on.
    pub fn serve(&self, certified: CertifiedKey) {
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
    }

    /// Whether there is a certificate: before, every handshake fails.
    pub fn is_ready(&self) -> bool {
        self.get().is_some()
    }

    fn get(&self) -> Option<Arc<CertifiedKey>> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("ready", &self.is_ready()).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Tls {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.get()
    }
}

/// A port that is listened on.
pub struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// The port is taken, or not ours to take.
    pub async fn bind(address: SocketAddr, tls: Tls) -> Result<Server> {
        let listener =
            TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Certificate { problem: error.to_string() })?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(tls));
        Ok(Server { listener, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers for ever. `judge` says `None` as long as it knows too little; the API server then goes by its `failurePolicy`.
    pub async fn run<J>(self, judge: J)
    where
        J: Fn(&Request) -> Option<Verdict> + Clone + Send + Sync + 'static,
    {
        let free = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let (acceptor, judge) = (self.acceptor.clone(), judge.clone());
            tokio::spawn(async move {
                if let Err(why) = connection(&acceptor, stream, judge).await {
                    tracing::debug!(why, "connection of the webhook ended");
                }
                drop(permit);
            });
        }
    }
}

async fn connection<J>(acceptor: &TlsAcceptor, stream: TcpStream, judge: J) -> std::result::Result<(), String>
where
    J: Fn(&Request) -> Option<Verdict> + Clone + Send + Sync + 'static,
{
    let late = |_| "no handshake in time".to_owned();
    let stream = timeout(PATIENCE, acceptor.accept(stream)).await.map_err(late)?;
    let stream = stream.map_err(|error| error.to_string())?;
    let service = service_fn(move |request| {
        let judge = judge.clone();
        async move { Ok::<_, Infallible>(respond(request, &judge).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE);
    http.serve_connection(TokioIo::new(stream), service).await.map_err(|error| error.to_string())
}

type Response = hyper::Response<Full<Bytes>>;

async fn respond<J>(request: hyper::Request<Incoming>, judge: &J) -> Response
where
    J: Fn(&Request) -> Option<Verdict>,
{
    if request.uri().path() != PATH {
        return text(StatusCode::NOT_FOUND, &format!("questions are asked at {PATH}"));
    }
    if request.method() != Method::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, "questions are asked by POST");
    }
    let body = match timeout(PATIENCE, Limited::new(request.into_body(), BODY_LIMIT).collect()).await {
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the question took too long"),
        Ok(Err(error)) => {
            let most = format!("at most {BODY_LIMIT} bytes are read: {error}");
            return text(StatusCode::PAYLOAD_TOO_LARGE, &most);
        }
        Ok(Ok(body)) => body.to_bytes(),
    };
    let question = match read(&body) {
        Ok(question) => question,
        Err(why) => return text(StatusCode::BAD_REQUEST, &why),
    };
    let Some(verdict) = judge(&question) else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the cluster's objects are not known yet");
    };
    match serde_json::to_vec(&answer(&question.uid, &verdict)) {
        Ok(body) => {
            let mut response = hyper::Response::new(Full::from(body));
            response
                .headers_mut()
                .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn text(status: StatusCode, text: &str) -> Response {
    let mut response = hyper::Response::new(Full::from(text.to_owned()));
    *response.status_mut() = status;
    response
}
