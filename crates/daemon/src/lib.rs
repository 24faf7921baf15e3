//! What the agent of a node and the controller of a cluster share: the one thread on which everything asynchronous runs
//! ([`Driver`]), the pages that probes and Prometheus ask for ([`pages`]), and the time of day ([`clock`]).

pub mod clock;
mod driver;
pub mod pages;

use std::net::SocketAddr;

pub use driver::Driver;
pub use pages::Page;

/// The pages cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {reason}")]
pub struct Error {
    /// Where.
    pub address: SocketAddr,
    /// The system's words.
    pub reason: String,
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
