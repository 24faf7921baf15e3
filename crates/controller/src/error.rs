//! What can go wrong in the controller.

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the access to the API server is made of cannot be used.
    #[error(transparent)]
    Access(#[from] apiserver::Error),
    /// The lease is ours no more.
    #[error("lease {namespace}/{name} lost: {reason}; another controller may work now, and this one ends")]
    Lost {
        /// The lease's namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// How it was lost.
        reason: String,
    },
    /// The API server refused for good: RBAC, or a namespace that is not there.
    #[error("lease {namespace}/{name}: {reason}")]
    Lease {
        /// The lease's namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The API server's words.
        reason: String,
    },
    /// No certificate for the webhook.
    #[error("certificate of the webhook: {problem}")]
    Certificate {
        /// What is wrong with it.
        problem: String,
    },
    /// The webhook's port.
    #[error("webhook: {address} cannot be listened on: {source}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// The kernel's word.
        source: std::io::Error,
    },
    /// An object of the webhook's own in the API server. `deploy/webhook.yaml` has them all.
    #[error("{kind} of the webhook (deploy/webhook.yaml): {reason}")]
    Webhook {
        /// The object's kind.
        kind: &'static str,
        /// The API server's words.
        reason: String,
    },
}
