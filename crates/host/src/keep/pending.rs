//! The change that is being made: `pending.json`, durable before its first effect.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Places, Process, clock, durable};
use crate::files::Replaced;
use crate::{Error, Network, Result, Wanted};

/// Version of the file's format.
const VERSION: u32 = 1;

/// A change with all that it takes to finish it or to take it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    version: u32,
    /// Tells this change from all others.
    pub id: String,
    /// The boot that it belongs to: the next one knows nothing of it.
    pub boot: String,
    /// Device and inode of the network namespace that it changes.
    pub namespace: (u64, u64),
    /// In a person's words: `apply bond.yaml`.
    pub what: String,
    /// The number in the history from which on changes are taken back by this one.
    pub undoes: Option<u32>,
    /// Seconds since 1970.
    pub begun: u64,
    /// Time since boot at which `before` was read.
    pub read_at: Duration,
    /// The program that makes it.
    pub author: Option<Process>,
    /// How far it has come.
    pub stage: Stage,
    /// How long it waits to be confirmed once it is made.
    pub confirm: Option<Duration>,
    /// The network as it was.
    pub before: Network,
    /// The network that is wanted, and what of it may be touched.
    pub wanted: Wanted,
    /// `host.yaml` as it was.
    pub declared_before: Option<String>,
    /// `host.yaml` as it will be.
    pub declared_after: Option<String>,
    /// Files of other tools that it writes, as they were.
    pub files: Vec<Replaced>,
    /// Files of other tools that are put back when it is confirmed.
    pub gives_back: Vec<Replaced>,
    /// Why it is being taken back, once it is.
    #[serde(default)]
    pub taken_back: Option<String>,
}

/// How far a change has come. Times are since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Being made. It is taken back when its author dies, or is not done by this time.
    Applying {
        /// The latest time.
        until: Duration,
    },
    /// Made, and taken back at this time unless confirmed.
    Waiting {
        /// The time.
        until: Duration,
    },
    /// Made for good: what is left to do is to write it down.
    Confirmed,
}

/// How long a change may take to be made, before it waits for anybody: links are waited for, not slept for.
const LONGEST: Duration = Duration::from_secs(180);

/// What a change is made of, before it has begun.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    pub(crate) id: String,
    pub(crate) namespace: (u64, u64),
    pub(crate) what: String,
    pub(crate) undoes: Option<u32>,
    pub(crate) confirm: Option<Duration>,
    pub(crate) before: Network,
    pub(crate) read_at: Duration,
    pub(crate) wanted: Wanted,
    pub(crate) declared: [Option<String>; 2],
    pub(crate) files: Vec<Replaced>,
    pub(crate) gives_back: Vec<Replaced>,
}

impl Pending {
    pub(crate) fn begin(beginning: Beginning) -> Self {
        let Beginning { id, namespace, what, undoes, confirm, before, read_at, wanted, .. } = beginning;
        let [declared_before, declared_after] = beginning.declared;
        let until = clock::since_boot().saturating_add(LONGEST);
        Self {
            version: VERSION,
            id,
            boot: clock::boot_id(),
            namespace,
            what,
            undoes,
            begun: clock::unix(),
            read_at,
            author: Process::current(),
            stage: Stage::Applying { until },
            confirm,
            before,
            wanted,
            declared_before,
            declared_after,
            files: beginning.files,
            gives_back: beginning.gives_back,
            taken_back: None,
        }
    }

    /// Reads the pending change, `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Record`] when the file is no whole record of a version that we know.
    pub fn read(places: &Places) -> Result<Option<Self>> {
        let path = places.pending();
        durable::read(&path)?.map(|content| parse(&path, &content)).transpose()
    }

    /// Marks it as being taken back by this process, so that whoever finds it goes on: no confirmation counts.
    pub(crate) fn begin_again(&mut self, places: &Places, why: &str) -> Result<()> {
        self.taken_back = Some(why.to_owned());
        self.author = Process::current();
        self.stage = Stage::Applying { until: clock::since_boot().saturating_add(LONGEST) };
        self.write(places)
    }

    pub(crate) fn write(&self, places: &Places) -> Result<()> {
        let path = places.pending();
        let text = serde_json::to_vec(self).map_err(|error| Error::record(&path, &error))?;
        durable::write(&path, &text)
    }

    /// Whether it belongs to this boot.
    pub fn is_of_this_boot(&self) -> bool {
        self.boot == clock::boot_id()
    }

    /// Seconds that it still waits to be confirmed.
    pub fn waits(&self) -> Option<u64> {
        match self.stage {
            Stage::Waiting { until } => Some(until.saturating_sub(clock::since_boot()).as_secs()),
            Stage::Applying { .. } | Stage::Confirmed => None,
        }
    }
}

/// A record of a file that may have been cut short, be empty, or be another program's.
pub(crate) fn parse(path: &Path, content: &[u8]) -> Result<Pending> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let wrong = |error: serde_json::Error| Error::record(path, &error);
    let Version { version } = serde_json::from_slice(content).map_err(wrong)?;
    if version != VERSION {
        return Err(Error::record(path, &format!("version {version}, and this program knows {VERSION}")));
    }
    serde_json::from_slice(content).map_err(wrong)
}

/// An identity that no other change on this machine has.
pub(crate) fn new_id() -> String {
    let mut bytes = [0u8; 8];
    // Without randomness the time and the process are unique enough: changes come one at a time.
    if rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty()).is_err() {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        return format!("{:x}-{pid:x}", clock::since_boot().as_nanos());
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
