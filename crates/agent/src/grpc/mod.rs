//! The two services of the node that speak gRPC on a socket: the container runtime and kubelet's pod resources.
//!
//! `runtime_v1.rs` and `podresources_v1.rs` are generated from `proto/*.proto` and checked in, so that a build needs no
//! compiler of such files: `protox::compile` reads one, and `tonic_prost_build::configure().build_server(false)
//! .build_transport(false).compile_fds` (both 0.14) writes it; then `cargo fmt`.

mod cri;
mod devices;
#[allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::all)]
mod podresources_v1;
#[allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::all)]
mod runtime_v1;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

pub use cri::{ContainerRuntime, RuntimeVersion};
pub use devices::PodResources;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Most bytes of an answer: a list of a node's pods, or one pod's description.
const LONGEST: usize = 8 << 20;

/// A channel to a socket; connected with the first call, and again whenever it broke. Needs the driver's thread.
fn channel(socket: &Path) -> Channel {
    let socket: PathBuf = socket.to_owned();
    // The address is never looked up: the connector knows the socket.
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    }))
}

/// What went wrong, in one line.
fn plain(status: &tonic::Status) -> String {
    let mut text = status.message().replace('\n', " ");
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
