//! What can go wrong with a lab, in words for the person who asked for it.

use std::path::PathBuf;

/// The result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Every failure of this crate. Each names the object it is about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key of a lab's description does not hold.
    #[error("{key}: {value} is not allowed: {allowed}")]
    Spec {
        /// Path of the key, as in `hosts.host1.interfaces.eth0.mtu`.
        key: String,
        /// The value as it was written.
        value: String,
        /// What would have been right.
        allowed: String,
    },
    /// The text is not YAML.
    #[error("not valid YAML: {0}")]
    Yaml(String),
    /// A name of a lab that cannot be one.
    #[error("lab name {name:?} is not allowed: {allowed}")]
    Name {
        /// The name given.
        name: String,
        /// The rule.
        allowed: &'static str,
    },
    /// The lab is there already.
    #[error(
        "lab {lab}: is up already; `llano lab down {lab}` removes it, --name gives the new one another name"
    )]
    Exists {
        /// Name of the lab.
        lab: String,
    },
    /// No such lab.
    #[error("lab {lab}: no such lab; there {}", are(.labs))]
    NoSuchLab {
        /// Name of the lab.
        lab: String,
        /// The labs that are.
        labs: Vec<String>,
    },
    /// No such host, router or switch in the lab.
    #[error("lab {lab}: no node {node}; there {}", are(.nodes))]
    NoSuchNode {
        /// Name of the lab.
        lab: String,
        /// The node asked for.
        node: String,
        /// The nodes that are.
        nodes: Vec<String>,
    },
    /// The state file cannot be understood.
    #[error("lab {lab}: {path}: {reason}")]
    State {
        /// Name of the lab.
        lab: String,
        /// The state file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Not run as root.
    #[error("a lab needs root: it makes network and mount namespaces (try sudo)")]
    NeedsRoot,
    /// A system call failed.
    #[error("cannot {what} {object}: {source}")]
    Io {
        /// The operation, as in `mount`.
        what: &'static str,
        /// What it was done to.
        object: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// A network operation failed in one of the lab's namespaces.
    #[error("{node}: {source}")]
    Network {
        /// The node in whose namespace it happened.
        node: String,
        /// What the kernel said.
        #[source]
        source: kernel::Error,
    },
    /// A CNI plugin answered with an error.
    #[error("{plugin} {verb}: {msg}{} (code {code})", .details.as_deref().map(|d| format!("; {d}")).unwrap_or_default())]
    Plugin {
        /// The plugin's type.
        plugin: String,
        /// ADD, DEL, CHECK, STATUS or GC.
        verb: &'static str,
        /// The CNI error code.
        code: u64,
        /// The plugin's message.
        msg: String,
        /// The plugin's details, if any.
        details: Option<String>,
    },
    /// A CNI plugin or another program broke off without an understandable answer.
    #[error("{program}: {reason}")]
    Program {
        /// The program.
        program: String,
        /// What it did, with what it wrote to stderr.
        reason: String,
    },
    /// A thread that worked inside a namespace panicked.
    #[error("work inside {node} broke off")]
    Panicked {
        /// The node.
        node: String,
    },
}

// Both take what is at hand, a reference or a display() made for the call.
#[allow(clippy::needless_pass_by_value)]
impl Error {
    pub(crate) fn spec(key: &str, value: impl std::fmt::Display, allowed: impl Into<String>) -> Self {
        Error::Spec { key: key.to_owned(), value: value.to_string(), allowed: allowed.into() }
    }

    pub(crate) fn io(
        what: &'static str,
        object: impl std::fmt::Display,
        source: impl Into<std::io::Error>,
    ) -> Self {
        Error::Io { what, object: object.to_string(), source: source.into() }
    }

    pub(crate) fn network(node: &str) -> impl FnOnce(kernel::Error) -> Self {
        let node = node.to_owned();
        move |source| Error::Network { node, source }
    }
}

fn are(names: &[String]) -> String {
    match names {
        [] => "are none".to_owned(),
        [one] => format!("is {one}"),
        many => format!("are {}", many.join(", ")),
    }
}
