//! Container runtimes on a lab's hosts: real containers, their network a CNI plugin's work.
//!
//! All they keep is in the host's own /run, and their cgroups are in one directory of the lab's, so nothing outlives
//! [`Lab::down`](crate::Lab::down). The plugins are looked for in /opt/cni/bin of the host, networks in /etc/cni/net.d.

mod cgroups;
mod containerd;
mod image;
mod podman;

use std::fmt::Debug;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use kernel::NetNs;

pub(crate) use cgroups::{of as cgroup_of, remove as remove_cgroups, remove_below as remove_cgroup};
pub use containerd::Containerd;
pub use image::IMAGE;
pub use podman::Podman;

use crate::error::{Error, Result};
use crate::host::Host;

/// How long a runtime may take to answer, or a container to start or end. Far more than an idle machine needs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const GRAIN: Duration = Duration::from_millis(10);

/// Something that starts and ends containers on one host.
pub trait Runtime: Debug {
    /// Starts a container and attaches it to the host's network; it sleeps until it is removed.
    ///
    /// # Errors
    /// When it does not start, with what the runtime says.
    fn run(&self, name: &str) -> Result<Running>;

    /// Runs a program inside a container, by its absolute path, and gives what it wrote to stdout.
    ///
    /// # Errors
    /// When it cannot be run, or fails; then with what it wrote to stderr.
    fn exec(&self, name: &str, command: &[&str]) -> Result<String>;

    /// Ends a container and detaches it from its network.
    ///
    /// # Errors
    /// When it does not end, or the network's removal failed.
    fn remove(&self, container: Running) -> Result<()>;
}

/// A running container.
#[derive(Debug)]
pub struct Running {
    name: String,
    net: NetNs,
    process: Option<Child>,
}

impl Running {
    /// A container of that name in that network namespace.
    pub fn new(name: &str, net: NetNs) -> Self {
        Running { name: name.to_owned(), net, process: None }
    }

    /// The container whose first process is `pid`.
    fn of_process(name: &str, pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/ns/net");
        let net = NetNs::open(Path::new(&path)).map_err(Error::network(name))?;
        Ok(Self::new(name, net))
    }

    /// With a child of ours to wait for when the container ends.
    #[must_use]
    pub fn with_process(mut self, process: Child) -> Self {
        self.process = Some(process);
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its network namespace.
    pub fn net(&self) -> &NetNs {
        &self.net
    }

    /// Takes the child to wait for, if there is one.
    pub fn take_process(&mut self) -> Option<Child> {
        self.process.take()
    }
}

/// Runs a program on a host to its end.
fn output(host: &Host, program: &str, args: &[&str], env: &[(&str, &str)]) -> Result<String> {
    let told = |reason: String| Error::Program {
        program: format!("{program} {} on {}", args.join(" "), host.name()),
        reason,
    };
    let run = host.command(program)?.args(args).envs(env.iter().copied()).stdin(Stdio::null()).output();
    let Output { status, stdout, stderr } = run.map_err(|error| told(error.to_string()))?;
    if !status.success() {
        let text = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).trim().to_owned());
        return Err(told(format!("{status}: {}", text.join("\n").trim())));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Fails with what to install when one of these programs is not there. The packages are Debian's and Ubuntu's.
fn require(programs: &[&str]) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for program in programs {
        if std::env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
            continue;
        }
        let package = match *program {
            "ctr" => "containerd",
            "busybox" => "busybox-static",
            other => other,
        };
        let reason = format!("not installed: apt-get install {package}");
        return Err(Error::Program { program: (*program).to_owned(), reason });
    }
    Ok(())
}

/// Looks again and again until `look` finds something.
fn wait_for<T>(mut look: impl FnMut() -> Result<Option<T>>, late: impl FnOnce() -> Error) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > end {
            return Err(late());
        }
        std::thread::sleep(GRAIN);
    }
}
