//! The plugin called as a runtime calls it, with a file's bytes on its stdin.

use std::fs;
use std::process::Output;

use lab::runtime::{Running, Runtime};
use lab::{Call, Container, Error, Host, Plugins, Result};

use crate::{NETWORK_FILE, PLUGINS};

/// Containers that are namespaces only, the plugin called directly.
#[derive(Debug)]
pub struct Direct<'a> {
    host: &'a Host,
}

impl<'a> Direct<'a> {
    /// On this host.
    pub fn new(host: &'a Host) -> Self {
        Direct { host }
    }

    fn call(&self, verb: &'static str, container: &Container<'_>) -> Result<()> {
        let bytes = self.host.run_in(|| fs::read(NETWORK_FILE))?.unwrap();
        let call = Call { container, ifname: "eth0", id: container.name(), args: "" };
        let output = Plugins::at(PLUGINS).run_raw(verb, "macvlan", &bytes, &call)?;
        told(verb, output).map(drop)
    }
}

impl Runtime for Direct<'_> {
    fn run(&self, name: &str) -> Result<Running> {
        let container = self.host.container(name)?;
        self.call("ADD", &container)?;
        Ok(Running::new(name, container.net().clone()))
    }

    fn exec(&self, name: &str, command: &[&str]) -> Result<String> {
        exec(self.host, name, command)
    }

    fn remove(&self, container: Running) -> Result<()> {
        let container = self.host.open_container(container.name())?;
        self.call("DEL", &container)?;
        container.delete()
    }
}

/// Runs a program of the machine's in a container that is a namespace only.
pub(crate) fn exec(host: &Host, name: &str, command: &[&str]) -> Result<String> {
    let (program, args) = command.split_first().expect("a command");
    let output = host.open_container(name)?.command(program)?.args(args).output();
    told(program, output.expect("a program of the machine's"))
}

/// What a program wrote, or how it failed.
pub(crate) fn told(program: &str, output: Output) -> Result<String> {
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    if output.status.success() {
        return Ok(stdout);
    }
    let reason = format!("{}: {}{}", output.status, stdout.trim(), stderr.trim());
    Err(Error::Program { program: program.to_owned(), reason })
}
