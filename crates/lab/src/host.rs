//! A host or router of a lab, and what can be run inside it.

use std::ffi::OsStr;
use std::fs::File;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use kernel::NetNs;

use crate::error::{Error, Result};
use crate::namespace::{MNT, NET};
use crate::spec::NodeSpec;
use crate::sys;

/// A host or router: a network namespace and a mount namespace.
///
/// It sees the machine's file system, with a /run, /etc/cni, /etc/llano, /etc/systemd, /opt/cni, /var/lib/cni and /var/lib/llano of its own, a /sys
/// that shows its own interfaces, and nothing of how the machine's own interfaces are configured.
#[derive(Debug)]
pub struct Host {
    lab: String,
    spec: NodeSpec,
    net: NetNs,
    network: File,
    mounts: File,
}

impl Host {
    pub(crate) fn open(lab: &str, spec: &NodeSpec, dir: &Path) -> Result<Self> {
        let open = |kind: &str| {
            let path = dir.join(kind);
            File::open(&path).map_err(|error| Error::io("open", path.display(), error))
        };
        Ok(Host {
            lab: lab.to_owned(),
            spec: spec.clone(),
            net: NetNs::open(&dir.join(NET)).map_err(Error::network(&spec.name))?,
            network: open(NET)?,
            mounts: open(MNT)?,
        })
    }

    /// Its name in the lab.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The name of its lab.
    pub fn lab(&self) -> &str {
        &self.lab
    }

    /// What it was described as.
    pub fn spec(&self) -> &NodeSpec {
        &self.spec
    }

    /// Its network namespace.
    pub fn net(&self) -> &NetNs {
        &self.net
    }

    /// Its first address, if it has any.
    pub fn address(&self) -> Option<IpAddr> {
        self.spec.addresses().next().map(|net| net.addr())
    }

    /// A command that will run inside this host, with `/` as its directory.
    ///
    /// # Errors
    /// Only when no file descriptor is left.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        self.command_in(program, &self.network)
    }

    /// As [`Host::command`], in this host's mounts and another network namespace.
    pub(crate) fn command_in(&self, program: impl AsRef<OsStr>, network: &File) -> Result<Command> {
        let copy = |file: &File| {
            file.try_clone().map_err(|error| Error::io("copy", "a namespace's descriptor", error))
        };
        let mut command = Command::new(program);
        command.env("LLANO_LAB", &self.lab).env("LLANO_LAB_HOST", self.name());
        sys::enter_before_exec(&mut command, copy(&self.mounts)?, copy(network)?);
        Ok(command)
    }

    /// Runs `work` on a thread of its own inside this host's network and mount namespace.
    ///
    /// # Errors
    /// When the namespaces cannot be entered, or `work` panics.
    pub fn run_in<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                sys::enter_mounts(&self.mounts)
                    .and_then(|()| sys::enter_network(&self.network))
                    .map_err(|error| Error::io("enter", self.name(), error))?;
                Ok(work())
            });
            thread.join().map_err(|_| Error::Panicked { node: self.name().to_owned() })?
        })
    }
}

/// A switch: a bridge in a network namespace.
#[derive(Debug)]
pub struct Switch {
    name: String,
    net: NetNs,
}

impl Switch {
    pub(crate) fn open(name: &str, dir: &Path) -> Result<Self> {
        let net = NetNs::open(&dir.join(NET)).map_err(Error::network(name))?;
        Ok(Switch { name: name.to_owned(), net })
    }

    /// Its name in the lab.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its network namespace; the bridge in it is `br0`, its ports are named after what is plugged into them.
    pub fn net(&self) -> &NetNs {
        &self.net
    }
}
