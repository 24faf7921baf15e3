//! The CNI project's own caller of plugins, as built by xtask.

use std::path::PathBuf;

use lab::runtime::{Running, Runtime};
use lab::{Host, Result};

use crate::PLUGINS;
use crate::direct::{exec, told};

/// The network's name in the example's file.
const NETWORK: &str = "k8s-pod-network";

/// Containers that are namespaces only, attached by cnitool.
#[derive(Debug)]
pub struct Cnitool<'a> {
    host: &'a Host,
    program: PathBuf,
}

impl<'a> Cnitool<'a> {
    /// On this host.
    ///
    /// # Panics
    /// When LLANO_CNITOOL does not say where cnitool is.
    pub fn new(host: &'a Host) -> Self {
        let program = std::env::var_os("LLANO_CNITOOL").map(PathBuf::from).filter(|path| path.is_file());
        let program =
            program.expect("LLANO_CNITOOL names no file; `cargo xtask test conformance` builds cnitool");
        Cnitool { host, program }
    }

    /// `cnitool VERB k8s-pod-network /run/netns/CONTAINER`.
    ///
    /// # Errors
    /// With cnitool's own words.
    pub fn call(&self, verb: &str, container: &str) -> Result<String> {
        let mut command = self.host.command(&self.program)?;
        command.args([verb, NETWORK, &format!("/run/netns/{container}")]).env("CNI_PATH", PLUGINS);
        told(verb, command.output().expect("cnitool runs"))
    }
}

impl Runtime for Cnitool<'_> {
    fn run(&self, name: &str) -> Result<Running> {
        let container = self.host.container(name)?;
        self.call("add", name)?;
        Ok(Running::new(name, container.net().clone()))
    }

    fn exec(&self, name: &str, command: &[&str]) -> Result<String> {
        exec(self.host, name, command)
    }

    fn remove(&self, container: Running) -> Result<()> {
        self.call("del", container.name())?;
        self.host.open_container(container.name())?.delete()
    }
}
