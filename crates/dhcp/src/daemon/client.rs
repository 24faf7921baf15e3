//! What a user asks the daemon.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A lease, or the search for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The container.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// The network's name.
    pub network: String,
    /// The interface inside the container.
    pub ifname: String,
    /// Its namespace, as the daemon sees it.
    pub netns: PathBuf,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Addresses with prefix length; none while none is held.
    pub addresses: Vec<String>,
    /// The server: address, or DUID in hex.
    pub server: Option<String>,
    /// The client's state.
    pub state: String,
    /// Seconds until it is renewed.
    pub renew_in: Option<u64>,
    /// Seconds until it ends.
    pub expires_in: Option<u64>,
}

/// Asks the daemon on `socket` for its leases.
///
/// # Errors
/// Nobody listens, or the answer is none.
pub fn leases(socket: &Path) -> Result<Vec<Row>> {
    let failed = |reason: String| Error::NoAnswer { socket: socket.to_owned(), reason };
    let answer = cni::forward::call(socket, "/leases", b"", Duration::from_secs(10))
        .map_err(|e| failed(e.to_string()))?;
    serde_json::from_slice(&answer).map_err(|e| failed(format!("not a list of leases: {e}")))
}

/// Where a daemon keeps its leases when nobody says so: `/var/lib/llano/dhcp`, and for a socket of another name a
/// directory below, because two daemons cannot share one store. The plugin knows the same rule.
pub fn default_state_dir(socket: &Path) -> PathBuf {
    let base = PathBuf::from("/var/lib/llano/dhcp");
    if socket == Path::new(DEFAULT_SOCKET) {
        return base;
    }
    base.join(socket.to_string_lossy().trim_matches('/').replace('/', "-"))
}

/// Where the daemon listens when nobody says so.
pub const DEFAULT_SOCKET: &str = "/run/llano/dhcp.sock";
