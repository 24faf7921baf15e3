//! What can go wrong.

use std::path::{Path, PathBuf};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a host's network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Host access could not be given or taken.
    #[error(transparent)]
    Attach(#[from] attach::Error),
    /// The namespaces of this host could not be looked at.
    #[error(transparent)]
    Topology(#[from] topology::Error),
    /// There is no such interface, or it carries no macvlan.
    #[error("{parent} is no parent of containers: {why}")]
    NoParent {
        /// As given.
        parent: String,
        /// Why.
        why: &'static str,
    },
    /// A VLAN that pods need is not on this node.
    #[error("VLAN {id} on {parent}: {why}")]
    PodVlan {
        /// The interface under it.
        parent: String,
        /// Its tag.
        id: u16,
        /// Why, and what to do.
        why: String,
    },
    /// The host's address is not moved.
    #[error("the address of {parent} cannot be moved: {why}")]
    Move {
        /// The interface.
        parent: String,
        /// Why.
        why: String,
    },
    /// A route that would have to be made again has something that this program cannot make.
    #[error(
        "the route {route} has {attributes}, which cannot be made again: remove it first, or leave its interface alone"
    )]
    Route {
        /// The route.
        route: String,
        /// What of it.
        attributes: String,
    },
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// A file could not be read or written.
    #[error("{op} {path}: {source}", path = .path.display())]
    File {
        /// What was tried.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A record of ours is no longer one: cut short, empty, or of another version.
    #[error("{path} is not a record of this program: {reason}", path = .path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A change has been made and waits to be confirmed.
    #[error(
        "{what} waits to be confirmed for another {seconds} s: llano host confirm keeps it, llano host undo takes it back"
    )]
    Waits {
        /// The change.
        what: String,
        /// Until it is taken back.
        seconds: u64,
    },
    /// Nothing waits to be confirmed.
    #[error("nothing waits to be confirmed{}", .last.as_ref().map(|last| format!(": {last}")).unwrap_or_default())]
    NothingWaits {
        /// What became of the last change.
        last: Option<String>,
    },
    /// There is no such entry in the history.
    #[error("there is no change {number} in the history{}", .newest.map(|n| format!(", the newest is {n}")).unwrap_or_default())]
    NoSuchChange {
        /// The number asked for.
        number: u32,
        /// The newest there is.
        newest: Option<u32>,
    },
    /// Every change has been undone, or there never was one.
    #[error("there is no change to undo")]
    NothingToUndo,
    /// The change to be undone is none that holds.
    #[error("change {number} does not hold any more: {fate}")]
    NotHeld {
        /// Its number.
        number: u32,
        /// What became of it.
        fate: String,
    },
    /// A change failed, and the network is as it was.
    #[error("{why}; the network is as it was before")]
    RolledBack {
        /// Why it failed.
        why: Box<Error>,
    },
    /// A change failed, and so did taking it back.
    #[error("{why}; taking it back failed too: {left}; llano host undo tries it again")]
    NotRolledBack {
        /// Why it failed.
        why: Box<Error>,
        /// Why it could not be taken back.
        left: Box<Error>,
    },
    /// A pending change was made in another network namespace.
    #[error("{what} was cut short in another network namespace: run llano host there first, or remove {path}", path = .path.display())]
    OtherNamespace {
        /// The change.
        what: String,
        /// Its record.
        path: PathBuf,
    },
    /// What is declared already and what is to be added cannot both be.
    #[error("with what {path} declares already: {error}; say in the file what becomes of that", path = .path.display())]
    Contradiction {
        /// `host.yaml`.
        path: PathBuf,
        /// What cannot be.
        error: Box<Error>,
    },
    /// Another tool looks after an interface.
    #[error("{interface} belongs to {tool} ({evidence} {says}): {remedy}", evidence = .evidence.display())]
    Owned {
        /// The interface.
        interface: String,
        /// The tool.
        tool: &'static str,
        /// The file that says so.
        evidence: PathBuf,
        /// What it says.
        says: String,
        /// What to do.
        remedy: String,
    },
    /// A link that would go carries interfaces of containers.
    #[error(
        "{link} carries {interface} of {owner}{}: they would go with it, and no roll back makes them again; remove those containers first, or say --lose-containers",
        if *.others > 0 { format!(" and {others} more") } else { String::new() }
    )]
    Carries {
        /// The link.
        link: String,
        /// The first interface on it.
        interface: String,
        /// Whose that is.
        owner: String,
        /// How many more there are.
        others: usize,
    },
    /// A tool that would have to let go of an interface leased its address.
    #[error(
        "{tool} leases an address of {interface}, which would end with nobody to renew it: declare it in the file, with valid-life-time: forever"
    )]
    Leased {
        /// The interface.
        interface: String,
        /// The tool.
        tool: &'static str,
    },
    /// The watchdog did not start, and without it nothing is changed.
    #[error("the watchdog that takes a change back did not start: {reason}; nothing was changed")]
    Watchdog {
        /// Why.
        reason: String,
    },
    /// The file is no YAML, or a value is of the wrong type.
    #[error("the state cannot be read: {0}")]
    Yaml(String),
    /// A key cannot be applied.
    #[error("{path} {what}")]
    Key {
        /// The keys above it and itself, interfaces by name: `interfaces[bond0].mtu`.
        path: String,
        /// What is wrong and what to do.
        what: String,
    },
    /// This kernel lacks a kind of link.
    #[error("this kernel has no {what}: load the module {module} (modprobe {module})")]
    Lacks {
        /// What it lacks.
        what: &'static str,
        /// The module that has it.
        module: &'static str,
        /// The kernel's answer.
        source: kernel::Error,
    },
    /// This kernel lacks an option of a kind that it has.
    #[error("this kernel has no {option} for {name}: it was set, and is not there; take it out of the file")]
    LacksOption {
        /// The link.
        name: String,
        /// The option.
        option: String,
    },
    /// A step failed.
    #[error("cannot {step}: {source}")]
    Step {
        /// The step in words.
        step: String,
        /// The kernel's answer.
        source: kernel::Error,
    },
    /// The network is not as wanted after everything was done.
    #[error("the network is not as wanted:\n{0}")]
    Mismatch(crate::Difference),
    /// A link that is to be made again cannot be made.
    #[error("{name} cannot be made again: {what}")]
    CannotMake {
        /// The link.
        name: String,
        /// Why.
        what: String,
    },
    /// A link went while the steps were done.
    #[error("there is no interface {0}")]
    NoLink(String),
}

impl Error {
    pub(crate) fn file(op: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { op, path: path.to_owned(), source }
    }

    pub(crate) fn record(path: &Path, reason: &dyn std::fmt::Display) -> Self {
        Self::Record { path: path.to_owned(), reason: reason.to_string() }
    }

    /// That this owner is in the way.
    pub fn owned(owner: &crate::owner::Owner) -> Self {
        Self::Owned {
            interface: owner.interface.clone(),
            tool: owner.tool.name(),
            evidence: owner.evidence.clone(),
            says: owner.says.clone(),
            remedy: owner.tool.remedy(&owner.interface),
        }
    }

    pub(crate) fn key(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Key { path: path.into(), what: what.into() }
    }
}
