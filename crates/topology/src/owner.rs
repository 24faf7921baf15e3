//! Whose a namespace is.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::{Process, visible};

/// A pod of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Pod {
    /// Its Kubernetes namespace; empty when only the UID is known.
    pub namespace: String,
    /// Its name; empty when only the UID is known.
    pub name: String,
    /// Its UID; empty when unknown.
    pub uid: String,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Container {
    /// Its ID.
    pub id: String,
    /// Its name; empty when the runtime keeps none where we look.
    pub name: String,
    /// `containerd`, `podman`, `docker`, `cri-o`, `runc`, `crun`; `cni` when only a CNI cache knows it.
    pub runtime: String,
}

/// Whose a namespace is: the best that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[non_exhaustive]
pub enum Owner {
    /// The caller's own.
    Host,
    /// The one of process 1, when that is not the caller's own.
    Init,
    /// A pod.
    Pod(Pod),
    /// A container.
    Container(Container),
    /// A name of `ip netns`.
    Named {
        /// The name below /run/netns.
        name: String,
        /// The process whose mounts have the name, when the caller's have not.
        through: Option<u32>,
    },
    /// Bound to a file elsewhere.
    Bound {
        /// The file.
        path: PathBuf,
        /// The process whose mounts have it, when the caller's have not.
        through: Option<u32>,
    },
    /// Nothing but a process.
    Process(Process),
    /// Nothing is known.
    Unknown,
}

impl Owner {
    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Init => "init",
            Self::Pod(_) => "pod",
            Self::Container(_) => "container",
            Self::Named { .. } => "netns",
            Self::Bound { .. } => "bound",
            Self::Process(_) => "process",
            Self::Unknown => "unknown",
        }
    }
}

/// Safe to print whatever the names are.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let aside = |f: &mut fmt::Formatter<'_>, through: &Option<u32>| match through {
            Some(pid) => write!(f, " (through process {pid})"),
            None => Ok(()),
        };
        match self {
            Self::Host => f.write_str("host"),
            Self::Init => f.write_str("init"),
            Self::Pod(pod) if pod.name.is_empty() => write!(f, "pod {}", visible(&pod.uid)),
            Self::Pod(pod) => write!(f, "pod {}/{}", visible(&pod.namespace), visible(&pod.name)),
            Self::Container(container) => {
                let name = if container.name.is_empty() { short(&container.id) } else { &container.name };
                write!(f, "container {} ({})", visible(name), visible(&container.runtime))
            }
            Self::Named { name, through } => {
                write!(f, "netns {}", visible(name))?;
                aside(f, through)
            }
            Self::Bound { path, through } => {
                f.write_str(&visible(&path.to_string_lossy()))?;
                aside(f, through)
            }
            Self::Process(process) => write!(f, "process {} ({})", process.pid, visible(&process.name)),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// As much of an ID as runtimes print.
pub(crate) fn short(id: &str) -> &str {
    let hexadecimal = id.len() > 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hexadecimal { &id[..12] } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_do_not_break_the_line() {
        let process = Process { pid: 7, name: "a\nb\x1b[2J".to_owned() };
        assert_eq!(Owner::Process(process).to_string(), "process 7 (a\\nb\\u{1b}[2J)");
        let container = Container { id: "ab".repeat(32), name: String::new(), runtime: "runc".to_owned() };
        assert_eq!(Owner::Container(container).to_string(), "container abababababab (runc)");
        let pod = Pod { namespace: "default".to_owned(), name: "web".to_owned(), uid: String::new() };
        assert_eq!(Owner::Pod(pod).to_string(), "pod default/web");
    }
}
