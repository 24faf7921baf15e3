//! What can go wrong with a cluster, in words for the person who asked for it.

/// The result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Every failure of this crate. Each names the object it is about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A number that cannot be.
    #[error("{key}: {value} is not allowed: {allowed}")]
    Spec {
        /// What was asked for, as in `nodes`.
        key: &'static str,
        /// The value.
        value: String,
        /// What would have been right.
        allowed: &'static str,
    },
    /// The cluster is there already.
    #[error("cluster {cluster}: is there already; `llano lab cluster down --name {cluster}` removes it")]
    Exists {
        /// Its name.
        cluster: String,
    },
    /// No such cluster.
    #[error("cluster {cluster}: is not up; `llano lab cluster up` brings one up")]
    NoSuchCluster {
        /// The name.
        cluster: String,
    },
    /// Programs that are not on this machine.
    #[error(
        "a cluster needs what this machine lacks: {}; `cargo xtask cluster up` in a checkout of Llano installs and builds it all",
        .missing.join(", ")
    )]
    Missing {
        /// Each with where it comes from.
        missing: Vec<String>,
    },
    /// The LAN and the hosts.
    #[error(transparent)]
    Lab(#[from] lab::Error),
    /// A system call failed.
    #[error("cannot {what} {object}: {source}")]
    Io {
        /// The operation.
        what: &'static str,
        /// What it was done to.
        object: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// A file of the cluster cannot be understood.
    #[error("cluster {cluster}: {path}: {reason}")]
    State {
        /// The cluster.
        cluster: String,
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A certificate could not be made.
    #[error("cannot make the certificate of {subject}: {source}")]
    Certificate {
        /// Whose.
        subject: String,
        /// Why.
        source: rcgen::Error,
    },
    /// A program of the cluster failed.
    #[error("{program}: {reason}")]
    Program {
        /// The program.
        program: String,
        /// What it said.
        reason: String,
    },
    /// Something that was waited for did not come.
    #[error("{what}: not within {seconds} s{}", .last.as_deref().map(|last| format!("; {last}")).unwrap_or_default())]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// The last answer, or the end of a log.
        last: Option<String>,
    },
}

#[allow(clippy::needless_pass_by_value)]
impl Error {
    pub(crate) fn io(
        what: &'static str,
        object: impl std::fmt::Display,
        source: impl Into<std::io::Error>,
    ) -> Self {
        Error::Io { what, object: object.to_string(), source: source.into() }
    }

    pub(crate) fn program(program: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::Program { program: program.into(), reason: reason.into() }
    }
}
