//! Containers of a lab's host: a network namespace at /run/netns/NAME, where every runtime's tools look for it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use kernel::NetNs;

use crate::error::{Error, Result};
use crate::host::Host;

/// Where the network namespaces of a host's containers are, as seen from the host.
pub(crate) const DIRECTORY: &str = "/run/netns";

/// A network namespace on a host. Without further ado nothing runs in it.
#[derive(Debug)]
pub struct Container<'a> {
    host: &'a Host,
    name: String,
    net: NetNs,
    network: File,
}

impl Host {
    /// Makes an empty container: a network namespace at /run/netns/NAME of this host, its loopback down as a
    /// runtime finds it.
    ///
    /// # Errors
    /// When the namespace cannot be made, or exists.
    pub fn container(&self, name: &str) -> Result<Container<'_>> {
        let path = Path::new(DIRECTORY).join(name);
        self.run_in(|| NetNs::create_at(&path).map(drop))?.map_err(Error::network(name))?;
        self.open_container(name)
    }

    /// Opens a container that is there already, also one that a runtime made.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn open_container(&self, name: &str) -> Result<Container<'_>> {
        let path = Path::new(DIRECTORY).join(name);
        let (net, network) =
            self.run_in(|| Ok((NetNs::open(&path)?, File::open(&path))))?.map_err(Error::network(name))?;
        let network = network.map_err(|error| Error::io("open", path.display(), error))?;
        Ok(Container { host: self, name: name.to_owned(), net, network })
    }

    /// Names of the containers on this host, sorted.
    ///
    /// # Errors
    /// When the host cannot be entered.
    pub fn containers(&self) -> Result<Vec<String>> {
        self.run_in(|| {
            let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
            let mut names: Vec<String> =
                entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
            names.sort();
            names
        })
    }
}

impl Container<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host it is on.
    pub fn host(&self) -> &Host {
        self.host
    }

    /// Its network namespace.
    pub fn net(&self) -> &NetNs {
        &self.net
    }

    /// Where its namespace is, as seen from the host.
    pub fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.name)
    }

    /// A command that will run in the container's network namespace and the host's mounts.
    ///
    /// # Errors
    /// Only when no file descriptor is left.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        self.host.command_in(program, &self.network)
    }

    /// Removes the namespace's name, and with the last process in it the namespace.
    ///
    /// # Errors
    /// When the name is gone already.
    pub fn delete(self) -> Result<()> {
        let path = self.path();
        self.host.run_in(|| NetNs::delete(&path))?.map_err(Error::network(&self.name))
    }
}
