//! A change of the network, and what became of it.

use std::time::Duration;

use crate::files::File;
use crate::{Network, Result, Wanted};

/// What the records need of the machinery that reads and changes a namespace.
pub trait Machinery {
    /// Device and inode of the namespace.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn namespace(&self) -> Result<(u64, u64)>;

    /// Reads the network.
    ///
    /// # Errors
    /// When the kernel refuses a dump.
    fn read(&mut self) -> Result<Network>;

    /// Turns the current network into this one, touching only what may be touched, and verifies that it is.
    ///
    /// # Errors
    /// When a step is refused, or the kernel has something else in the end.
    fn converge(&mut self, wanted: &Wanted) -> Result<()>;

    /// Tells other tools on the host that these files of theirs were written or put back.
    fn reload(&mut self, paths: &[std::path::PathBuf]) {
        let _ = paths;
    }
}

/// A change that is to be made.
#[derive(Clone, Debug)]
pub struct Change {
    /// In a person's words: `apply bond.yaml`.
    pub what: String,
    /// The network as it was when the change was planned.
    pub before: Network,
    /// The network that is wanted, and what of it may be touched.
    pub wanted: Wanted,
    /// `host.yaml` as it will be; `None` when there will be none.
    pub declared: Option<String>,
    /// Take it back after this time unless it is confirmed.
    pub confirm: Option<Duration>,
    /// Files of other tools to be written first.
    pub files: Vec<File>,
}

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds; its number in the history.
    Confirmed(u32),
    /// It is made, and taken back after so many seconds unless confirmed.
    Waiting(u64),
}
