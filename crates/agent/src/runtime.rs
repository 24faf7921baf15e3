//! What the agent needs of the container runtime: which sandboxes there are.

use std::path::PathBuf;

use crate::{PodKey, Result};

/// A pod's sandbox, as the runtime has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// Its ID, the container ID of CNI.
    pub id: String,
    /// Its pod.
    pub pod: PodKey,
    /// Whether it runs; of one that does not, the network is gone or going.
    pub ready: bool,
    /// The path of its network namespace, where the runtime tells it.
    pub netns: Option<PathBuf>,
}

/// The container runtime.
pub trait Runtime: Send + Sync {
    /// Every sandbox, also those that do not run.
    ///
    /// # Errors
    /// The runtime does not answer: nothing may be concluded.
    fn sandboxes(&self) -> Result<Vec<Sandbox>>;
}
