//! `dhcp`: addresses of a DHCP server, by way of the daemon `llano dhcp`, which keeps the leases.
//!
//! The plugin only forwards the call. It starts the daemon when nobody listens. No call takes longer than
//! `ipam.timeout` (2 minutes unless the configuration says otherwise, at most 210 s: kubelet gives up after 4 minutes)
//! and [`START_LIMIT`]. The configuration's other keys are the daemon's, see `settings` of the dhcp crate.

mod start;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cni::forward::{ForwardError, forward};
use cni::{CniResult, Plugin, Request, Verb};

use crate::paths::Paths;
use crate::{Result, spool};

/// What ADD may take unless `ipam.timeout` says otherwise; the same as the daemon's own limit.
const DEFAULT_TIMEOUT: u32 = 120;
/// What DEL, CHECK, STATUS and GC may take: they wait for no server, but for a DHCPv6 acknowledgement at most.
const SHORT_LIMIT: Duration = Duration::from_secs(10);
/// What starting the daemon may take.
const START_LIMIT: Duration = Duration::from_secs(5);
/// The daemon knows when ADD's time is over and says why; it is given this long to say so.
const GRACE: Duration = Duration::from_secs(2);

/// Where the daemon is, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dhcp {
    socket: PathBuf,
    state_dir: PathBuf,
    timeout: Duration,
}

impl Dhcp {
    /// Reads `ipam.daemonSocketPath`, `ipam.stateDir` and `ipam.timeout`.
    pub fn parse(request: &Request, paths: &Paths) -> Result<Self> {
        let ipam = request.ipam()?;
        let ipam = ipam.as_ref();
        let seconds = match ipam {
            Some(ipam) => ipam.u32_in("timeout", 1..=210)?,
            None => None,
        };
        Self::read(ipam, seconds.unwrap_or(DEFAULT_TIMEOUT), paths)
    }

    /// The same for DEL and GC: a wrong `timeout` does not keep an address from being given back.
    pub fn parse_for_removal(request: &Request, paths: &Paths) -> Result<Self> {
        let ipam = request.ipam()?;
        Self::read(ipam.as_ref(), DEFAULT_TIMEOUT, paths)
    }

    fn read(ipam: Option<&cni::json::Object<'_>>, seconds: u32, paths: &Paths) -> Result<Self> {
        let path = |key| -> cni::Result<Option<PathBuf>> {
            let Some(text) = ipam.map_or(Ok(None), |ipam| ipam.text(key))? else { return Ok(None) };
            if !text.starts_with('/') {
                return Err(cni::Error::config(&["ipam.", key].concat(), text, "an absolute path"));
            }
            Ok(Some(PathBuf::from(text)))
        };
        let socket = path("daemonSocketPath")?.unwrap_or_else(|| paths.run.join("dhcp.sock"));
        let state_dir = path("stateDir")?.unwrap_or_else(|| default_state_dir(&socket));
        Ok(Dhcp { socket, state_dir, timeout: Duration::from_secs(seconds.into()) })
    }

    /// Gets a lease of each wanted family. The link must be there and up. A failed claim leaves nothing.
    pub fn claim(&self, request: &Request) -> Result<CniResult> {
        let result = self.ask(request, Verb::Add, self.timeout + GRACE)?;
        result.ok_or_else(|| cni::Error::internal("the DHCP daemon answered without a result").into())
    }

    /// Gives the leases back. When the daemon cannot be reached or started, the call is left on disk for the next
    /// daemon and succeeds: a pod must not hang in Terminating because of it.
    pub fn release(&self, request: &Request) -> Result<()> {
        match forward(&self.socket, &with_verb(request, Verb::Del), SHORT_LIMIT) {
            Ok(_) => return Ok(()),
            Err(ForwardError::Cni(error)) => return Err(error.into()),
            // No daemon and no lease was ever written: there is nothing to give back.
            Err(ForwardError::NotRunning { .. }) if !self.has_leases() => return Ok(()),
            Err(ForwardError::NotRunning { .. }) => {}
            // It has the call, and is at it or hangs.
            Err(ForwardError::Timeout { .. }) => {
                return spool::keep(&self.spool(), &with_verb(request, Verb::Del)).map(drop);
            }
            Err(ForwardError::Protocol { .. }) => return self.leave(request),
        }
        match self.ask(request, Verb::Del, SHORT_LIMIT) {
            Ok(_) => Ok(()),
            Err(_) => self.leave(request),
        }
    }

    fn leave(&self, request: &Request) -> Result<()> {
        spool::leave(&self.spool(), &with_verb(request, Verb::Del), &self.socket, SHORT_LIMIT)
    }

    fn spool(&self) -> PathBuf {
        self.state_dir.join("spool")
    }

    /// Whether the attachment holds its leases.
    pub fn check(&self, request: &Request) -> Result<()> {
        self.ask(request, Verb::Check, SHORT_LIMIT).map(drop)
    }

    /// Whether the daemon answers; it is started when it does not. Always code 50.
    pub fn status(&self, request: &Request) -> Result<()> {
        match self.ask(request, Verb::Status, SHORT_LIMIT) {
            Ok(_) => Ok(()),
            Err(error) => Err(cni::Error::unavailable(cni::Error::from(error).msg()).into()),
        }
    }

    /// Gives back what belongs to no valid attachment.
    pub fn gc(&self, request: &Request) -> Result<()> {
        match forward(&self.socket, &with_verb(request, Verb::Gc), SHORT_LIMIT) {
            Ok(_) => Ok(()),
            Err(ForwardError::NotRunning { .. }) if !self.has_leases() => Ok(()),
            Err(ForwardError::NotRunning { .. }) => self.ask(request, Verb::Gc, SHORT_LIMIT).map(drop),
            Err(error) => Err(failure(error).into()),
        }
    }

    fn has_leases(&self) -> bool {
        // What cannot be looked at may be there.
        !matches!(self.state_dir.join("leases.redb").try_exists(), Ok(false))
    }

    /// Forwards, and starts the daemon when nobody listens.
    fn ask(&self, request: &Request, verb: Verb, limit: Duration) -> Result<Option<CniResult>> {
        let request = with_verb(request, verb);
        let end = Instant::now() + START_LIMIT;
        loop {
            match forward(&self.socket, &request, limit) {
                Ok(result) => return Ok(result),
                // The daemon may end between being started and being asked: an idle one, or one that is upgraded.
                Err(ForwardError::NotRunning { .. }) if Instant::now() < end => {
                    start::daemon(&self.socket, &self.state_dir, &request.env.path, end)?;
                }
                Err(error) => return Err(failure(error).into()),
            }
        }
    }
}

fn with_verb(request: &Request, verb: Verb) -> Request {
    let mut request = request.clone();
    request.env.verb = verb;
    request
}

fn failure(error: ForwardError) -> cni::Error {
    match error {
        ForwardError::Cni(error) => error,
        // Each of these may be over at the next try.
        error => cni::Error::try_again(["DHCP daemon: ", &error.to_string()].concat()),
    }
}

/// The daemon's own rule (`default_state_dir` of the dhcp crate): a socket of another name has its own leases.
fn default_state_dir(socket: &Path) -> PathBuf {
    let base = PathBuf::from("/var/lib/llano/dhcp");
    if socket == Path::new("/run/llano/dhcp.sock") {
        return base;
    }
    base.join(socket.to_string_lossy().trim_matches('/').replace('/', "-"))
}

/// `dhcp` called as a plugin of its own, by a main plugin that is not ours.
#[derive(Debug)]
pub struct DhcpPlugin {
    /// Where state is.
    pub paths: Paths,
}

impl Plugin for DhcpPlugin {
    fn about(&self) -> String {
        format!("llano dhcp IPAM {}: forwards to the daemon `llano dhcp`", env!("CARGO_PKG_VERSION"))
    }

    fn add(&self, request: &Request) -> cni::Result<CniResult> {
        Ok(Dhcp::parse(request, &self.paths)?.claim(request)?)
    }

    fn del(&self, request: &Request) -> cni::Result<()> {
        Ok(Dhcp::parse_for_removal(request, &self.paths)?.release(request)?)
    }

    fn check(&self, request: &Request) -> cni::Result<()> {
        Ok(Dhcp::parse(request, &self.paths)?.check(request)?)
    }

    fn status(&self, request: &Request) -> cni::Result<()> {
        Ok(Dhcp::parse(request, &self.paths)?.status(request)?)
    }

    fn gc(&self, request: &Request) -> cni::Result<()> {
        super::valid_attachments(request)?;
        Ok(Dhcp::parse_for_removal(request, &self.paths)?.gc(request)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(ipam: &str, verb: &str) -> Request {
        let config = format!(r#"{{"cniVersion":"1.1.0","name":"n","type":"macvlan","ipam":{ipam}}}"#);
        let env = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", "c"),
            ("CNI_NETNS", "/n"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/nowhere"),
        ];
        Request::from_texts(&env, &config).unwrap()
    }

    #[test]
    fn another_socket_has_its_own_leases() {
        let paths = Paths::default();
        let of = |ipam: &str| Dhcp::parse(&request(ipam, "ADD"), &paths).unwrap();
        let plain = of(r#"{"type":"dhcp"}"#);
        assert_eq!(
            (plain.socket, plain.state_dir),
            ("/run/llano/dhcp.sock".into(), "/var/lib/llano/dhcp".into())
        );
        let other = of(r#"{"type":"dhcp","daemonSocketPath":"/run/cni/dhcp.sock","timeout":7}"#);
        assert_eq!(other.state_dir, PathBuf::from("/var/lib/llano/dhcp/run-cni-dhcp.sock"));
        assert_eq!(other.timeout, Duration::from_secs(7));
        for (ipam, key) in [
            (r#"{"daemonSocketPath":"dhcp.sock"}"#, "ipam.daemonSocketPath"),
            (r#"{"stateDir":"x"}"#, "ipam.stateDir"),
            (r#"{"timeout":300}"#, "ipam.timeout"),
        ] {
            let error = Dhcp::parse(&request(ipam, "ADD"), &paths).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn del_and_gc_without_daemon_and_lease_succeed_and_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().display();
        let ipam = format!(r#"{{"daemonSocketPath":"{text}/s","stateDir":"{text}/state"}}"#);
        let call = request(&ipam, "DEL");
        let dhcp = Dhcp::parse_for_removal(&call, &Paths::default()).unwrap();
        dhcp.release(&call).unwrap();
        dhcp.gc(&call).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn del_that_cannot_reach_a_daemon_is_kept_for_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().display();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        std::fs::write(dir.path().join("state/leases.redb"), "").unwrap();
        // A directory where the socket's directory should be made fails the start, with or without llano installed.
        std::fs::write(dir.path().join("file"), "").unwrap();
        let ipam = format!(r#"{{"daemonSocketPath":"{text}/file/s","stateDir":"{text}/state"}}"#);
        let call = request(&ipam, "DEL");
        let dhcp = Dhcp::parse_for_removal(&call, &Paths::default()).unwrap();
        dhcp.release(&call).unwrap();
        dhcp.release(&call).unwrap();
        let spool: Vec<_> = std::fs::read_dir(dir.path().join("state/spool")).unwrap().flatten().collect();
        assert_eq!(spool.len(), 1, "the same DEL is kept once");
        let kept = cni::forward::parse_call(&std::fs::read(spool[0].path()).unwrap()).unwrap();
        assert_eq!((kept.env.verb, kept.env.container_id.as_str()), (Verb::Del, "c"));
    }
}
