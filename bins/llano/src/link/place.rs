//! The namespace that a command acts in.

use std::path::PathBuf;

use anyhow::bail;
use kernel::{Link, NetNs, Netlink};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A namespace as it was typed, opened, with a socket in it.
#[derive(Debug)]
pub(crate) struct Place {
    /// As typed; `None` is the caller's own.
    pub(crate) text: Option<String>,
    /// By which other programs enter it; `None` is the caller's own.
    pub(crate) path: Option<PathBuf>,
    pub(crate) net: NetNs,
    pub(crate) socket: Netlink,
}

impl Place {
    pub(crate) fn open(text: Option<&str>) -> anyhow::Result<Self> {
        let (net, path) = match text {
            Some(text) => {
                let (net, path) = topology::locate(text)?;
                (net, Some(path))
            }
            None => (NetNs::current()?, None),
        };
        let socket = Netlink::open_in(&net)?;
        Ok(Self { text: text.map(str::to_owned), path, net, socket })
    }

    /// For sentences: `here`, `in web`.
    pub(crate) fn described(&self) -> String {
        match &self.text {
            Some(text) => format!("in {}", topology::visible(text)),
            None => "here".to_owned(),
        }
    }

    /// The link of that name.
    pub(crate) fn link(&mut self, name: &str) -> anyhow::Result<Link> {
        match self.socket.link_by_name(name)? {
            Some(link) => Ok(link),
            None => bail!("there is no link {:?} {}", topology::visible(name), self.described()),
        }
    }
}

/// A look at every namespace holds a descriptor for each; the customary limit of 1024 may be raised by everybody.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
