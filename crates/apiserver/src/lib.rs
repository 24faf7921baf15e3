//! The way to a Kubernetes API server, for the agent and the controller: how it is reached ([`Access`]), watches that resume where
//! they were ([`watch`]), and how many requests that costs ([`Requests`]).

mod access;
mod requests;
#[cfg(feature = "testing")]
pub mod testing;
pub mod watch;

pub use access::{Access, REQUESTS};
pub use requests::{Requests, VERBS};
pub use watch::{Backoff, is_not_found, plain, within};

/// What the access to the API server is made of cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("access to the API server {access}: {reason}")]
pub struct Error {
    /// `as a pod`, `by kubeconfig /etc/…`.
    pub access: String,
    /// What is wrong.
    pub reason: String,
}
