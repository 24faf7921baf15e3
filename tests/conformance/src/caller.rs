//! Who calls the plugin.

use lab::Host;
use lab::runtime::{Containerd, Podman, Runtime};

use crate::{Cnitool, Direct};

/// Who calls the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The lab itself, with the file's bytes on the plugin's stdin.
    Lab,
    /// The CNI project's own tool.
    Cnitool,
    /// containerd, by `ctr run --cni`.
    Containerd,
    /// podman 4 with its CNI backend.
    Podman,
}

impl Caller {
    /// This caller on a host, whose network is described by `conf`.
    ///
    /// # Panics
    /// When it is missing or cannot be started.
    pub fn on<'a>(self, host: &'a Host, conf: &str) -> Box<dyn Runtime + 'a> {
        match self {
            Caller::Lab => Box::new(Direct::new(host)),
            Caller::Cnitool => Box::new(Cnitool::new(host)),
            Caller::Containerd => {
                let containerd = Containerd::start(host).and_then(Containerd::ready);
                Box::new(containerd.unwrap_or_else(|error| panic!("{error}")))
            }
            Caller::Podman => Box::new(Podman::start(host, conf).unwrap_or_else(|error| panic!("{error}"))),
        }
    }
}
