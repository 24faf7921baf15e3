//! `type: llano`: hands the call to the node's agent, which knows the pods and makes their interfaces.
//!
//! An ADD waits for an agent that is not there, because a failed sandbox costs a pod ten seconds. So does STATUS: without a network a
//! node is not ready, and its pods leave their Services. A DEL never waits: without an agent it is written to disk, and the next
//! agent takes it from there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cni::forward::{ForwardError, forward};
use cni::{CniResult, Plugin, Request, Result};

use crate::paths::Paths;
use crate::spool;

/// How long an ADD waits for the agent's socket.
const WAIT: Duration = Duration::from_secs(30);
/// The same for STATUS: a kubelet that its runtime leaves without an answer for 30 s takes the node for not ready as well.
const STATUS_WAIT: Duration = Duration::from_secs(15);
/// Between two looks at the socket.
const PAUSE: Duration = Duration::from_millis(20);
/// What a call may take once the agent has it: below the four minutes after which kubelet gives up.
const LIMIT: Duration = Duration::from_secs(170);
/// The same for a DEL, which the agent answers before it is done when that takes longer.
const DEL_LIMIT: Duration = Duration::from_secs(40);

/// The plugin type `llano`.
#[derive(Debug, Default)]
pub struct AgentPlugin {
    /// Where the socket is, unless the configuration says otherwise.
    pub paths: Paths,
    /// The file that it was called as.
    pub file: PathBuf,
}

/// Where the agent is.
struct Agent {
    socket: PathBuf,
    wait: Duration,
}

impl AgentPlugin {
    /// Reads `socket` and `agentTimeout`, in seconds.
    fn agent(&self, request: &Request) -> Result<Agent> {
        let root = request.root();
        let wait = root.u32_in("agentTimeout", 0..=120)?;
        Ok(Agent {
            socket: self.socket(request)?,
            wait: wait.map_or(WAIT, |seconds| Duration::from_secs(seconds.into())),
        })
    }

    /// Then no agent comes any more, and at the runtime's next try the primary plugin serves.
    fn is_uninstalled(&self) -> bool {
        self.file.is_absolute() && !self.file.exists()
    }

    /// Asks, and for so long waits for an agent to be there.
    fn ask_for(&self, agent: &Agent, request: &Request, wait: Duration) -> Result<Option<CniResult>> {
        let end = Instant::now() + wait;
        loop {
            match forward(&agent.socket, request, LIMIT) {
                Ok(result) => return Ok(result),
                // Not there yet, or it ended in the middle: a new one takes the call up from its beginning.
                Err(ForwardError::NotRunning { .. } | ForwardError::Protocol { .. })
                    if Instant::now() < end =>
                {
                    if self.is_uninstalled() {
                        return Err(cni::Error::try_again("llano agent: it was uninstalled meanwhile"));
                    }
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(agent.failure(error)),
            }
        }
    }

    fn socket(&self, request: &Request) -> Result<PathBuf> {
        Ok(absolute(request, "socket")?.unwrap_or_else(|| self.paths.state("agent.sock")))
    }
}

fn absolute(request: &Request, key: &str) -> Result<Option<PathBuf>> {
    match request.root().text(key)? {
        None => Ok(None),
        Some(path) if Path::new(path).is_absolute() => Ok(Some(path.into())),
        Some(path) => Err(cni::Error::config(key, path, "an absolute path")),
    }
}

/// On the disk for the socket of a real node, beside any other socket.
fn default_spool(socket: &Path) -> PathBuf {
    if socket == Path::new("/run/llano/agent.sock") {
        return PathBuf::from("/var/lib/llano/agent/spool");
    }
    socket.with_file_name("agent-spool")
}

impl Agent {
    /// Asks once.
    fn ask(&self, request: &Request) -> Result<()> {
        forward(&self.socket, request, LIMIT).map(drop).map_err(|error| self.failure(error))
    }

    /// The error of a call that got no answer: it may get one at the next try.
    fn failure(&self, error: ForwardError) -> cni::Error {
        match error {
            ForwardError::Cni(error) => error,
            error => cni::Error::try_again(["llano agent: ", &error.to_string()].concat())
                .with_details(self.advice()),
        }
    }

    fn advice(&self) -> String {
        let socket = self.socket.display().to_string();
        ["look at the llano-agent pod of this node, or run: llano status; the socket is ", &socket].concat()
    }
}

impl Plugin for AgentPlugin {
    fn about(&self) -> String {
        concat!("CNI llano plugin llano-cni ", env!("CARGO_PKG_VERSION")).to_owned()
    }

    fn add(&self, request: &Request) -> Result<CniResult> {
        let agent = self.agent(request)?;
        let result = self.ask_for(&agent, request, agent.wait)?;
        result.ok_or_else(|| cni::Error::internal("llano agent: answered without a result"))
    }

    fn del(&self, request: &Request) -> Result<()> {
        // Whatever became of the rest of the configuration.
        let socket = self.socket(request)?;
        let dir = match absolute(request, "spoolDir")? {
            Some(dir) => dir,
            None => default_spool(&socket),
        };
        match forward(&socket, request, DEL_LIMIT) {
            Ok(_) => Ok(()),
            Err(ForwardError::Cni(error)) if error.code() != cni::code::TRY_AGAIN => Err(error),
            // It has the call, and is at it or hangs.
            Err(ForwardError::Timeout { .. }) => Ok(spool::keep(&dir, request).map(drop)?),
            Err(_) => Ok(spool::leave(&dir, request, &socket, DEL_LIMIT)?),
        }
    }

    fn check(&self, request: &Request) -> Result<()> {
        self.agent(request)?.ask(request)
    }

    fn status(&self, request: &Request) -> Result<()> {
        let agent = self.agent(request)?;
        self.ask_for(&agent, request, agent.wait.min(STATUS_WAIT)).map(drop).map_err(|error| {
            match error.code() {
                cni::code::TRY_AGAIN => cni::Error::unavailable(error.msg()).with_details(error.details()),
                _ => error,
            }
        })
    }

    fn gc(&self, request: &Request) -> Result<()> {
        self.agent(request)?.ask(request)
    }
}
