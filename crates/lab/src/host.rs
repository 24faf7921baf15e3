//! A host or router of a lab, and what can be run inside it.

use std::ffi::OsStr;
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kernel::NetNs;
use rustix::process::Signal;

use crate::error::{Error, Result};
use crate::lab::scope_of_node;
use crate::namespace::{MNT, NET, UTS};
use crate::processes::{self, Process};
use crate::spec::NodeSpec;
use crate::sys;

/// A host or router: a network namespace and a mount namespace.
///
/// It sees the machine's file system, with a /run, /etc/cni, /etc/llano, /etc/systemd, /opt/cni, /var/lib/cni and /var/lib/llano of its own, a /sys
/// that shows its own interfaces, and nothing of how the machine's own interfaces are configured.
/// With a disk it is more of a machine: its name is its host name, /etc/kubernetes, /var/lib/kubelet, /var/lib/containerd,
/// /var/lib/etcd, /var/log/pods and /var/log/containers are its own too, and all but /run outlives [`Lab::reboot`].
///
/// [`Lab::reboot`]: crate::Lab::reboot
#[derive(Debug)]
pub struct Host {
    lab: String,
    spec: NodeSpec,
    net: NetNs,
    network: File,
    mounts: File,
    names: Option<File>,
    dir: PathBuf,
}

impl Host {
    pub(crate) fn open(lab: &str, spec: &NodeSpec, dir: &Path) -> Result<Self> {
        let open = |kind: &str| {
            let path = dir.join(kind);
            File::open(&path).map_err(|error| Error::io("open", path.display(), error))
        };
        Ok(Host {
            lab: lab.to_owned(),
            dir: dir.to_owned(),
            spec: spec.clone(),
            net: NetNs::open(&dir.join(NET)).map_err(Error::network(&spec.name))?,
            network: open(NET)?,
            mounts: open(MNT)?,
            names: spec.disk.as_ref().map(|_| open(UTS)).transpose()?,
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

    /// Where its containers' cgroups are to be, as a path below the root of the tree (of each controller's tree in version 1).
    /// It is not made by the lab, and removed with it.
    pub fn cgroup(&self) -> String {
        format!("/{}/{}", crate::runtime::cgroup_of(&self.lab), self.spec.name)
    }

    /// Its processes, those in containers on it too.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn processes(&self) -> Result<Vec<Process>> {
        processes::list(&scope_of_node(&self.dir, self.cgroup()))
    }

    /// Kills every process on this host that runs one of these programs (file names), and waits until they are gone. Gives their number.
    ///
    /// # Errors
    /// When one does not end.
    pub fn kill(&self, programs: &[&str]) -> Result<usize> {
        self.end(programs, Signal::KILL, processes::PATIENCE)
    }

    /// As [`Host::kill`], with SIGTERM: each ends in its own way, within `patience`.
    ///
    /// # Errors
    /// When one does not end.
    pub fn stop(&self, programs: &[&str], patience: Duration) -> Result<usize> {
        self.end(programs, Signal::TERM, patience)
    }

    fn end(&self, programs: &[&str], signal: Signal, patience: Duration) -> Result<usize> {
        let victims = self.processes()?.into_iter();
        let victims: Vec<Process> = victims.filter(|process| programs.contains(&&*process.program)).collect();
        processes::end(self.name(), &victims, signal, patience)?;
        Ok(victims.len())
    }

    /// A command that will run inside this host, with `/` as its directory.
    ///
    /// # Errors
    /// Only when no file descriptor is left.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        self.command_in(program, &self.network)
    }

    /// A command that will run in this host's network, and see the machine's files from the caller's directory.
    ///
    /// # Errors
    /// Only when no file descriptor is left.
    pub fn command_in_network(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let network = self.network.try_clone();
        let network = network.map_err(|error| Error::io("copy", "a namespace's descriptor", error))?;
        let mut command = Command::new(program);
        sys::enter_before_exec(&mut command, None, network, None);
        Ok(command)
    }

    /// As [`Host::command`], in this host's mounts and another network namespace.
    pub(crate) fn command_in(&self, program: impl AsRef<OsStr>, network: &File) -> Result<Command> {
        let copy = |file: &File| {
            file.try_clone().map_err(|error| Error::io("copy", "a namespace's descriptor", error))
        };
        let mut command = Command::new(program);
        command.env("LLANO_LAB", &self.lab).env("LLANO_LAB_HOST", self.name());
        let names = self.names.as_ref().map(copy).transpose()?;
        sys::enter_before_exec(&mut command, Some(copy(&self.mounts)?), copy(network)?, names);
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
                    .and_then(|()| self.names.as_ref().map_or(Ok(()), sys::enter_host_name))
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
