//! A cluster that is up: finding it again, asking it, breaking and mending it.

use std::ffi::OsStr;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lab::{Host, Lab};
use serde::Serialize;

use crate::component::Component;
use crate::directory::{self, Directory};
use crate::error::{Error, Result};
use crate::programs::Programs;
use crate::spec::{CONTROL, ClusterSpec};
use crate::{control, node};

/// How long a part of the cluster may take to come up. Far more than an idle machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const GRAIN: Duration = Duration::from_millis(100);

/// A cluster that is up. It stays up when this value goes away: [`Cluster::down`] ends it.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) directory: Directory,
    pub(crate) spec: ClusterSpec,
    pub(crate) programs: Programs,
    pub(crate) lab: Lab,
}

/// What [`Cluster::status`] found.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The cluster's name.
    pub cluster: String,
    /// Whether everything runs and every node is ready.
    pub ready: bool,
    /// The processes.
    pub components: Vec<ComponentStatus>,
    /// The nodes that say they are ready.
    pub ready_nodes: Vec<String>,
}

/// One process of a [`Status`].
#[derive(Debug, Clone, Serialize)]
pub struct ComponentStatus {
    /// As in `node1/kubelet`.
    pub component: String,
    /// Whether it runs.
    pub running: bool,
}

impl Cluster {
    /// Opens a cluster that is up.
    ///
    /// # Errors
    /// [`Error::NoSuchCluster`], or [`Error::State`] when its building was cut short.
    pub fn open(name: &str) -> Result<Self> {
        let directory = Directory::of(name)?;
        if !directory.exists() {
            return Err(Error::NoSuchCluster { cluster: name.to_owned() });
        }
        let state = directory.read()?.filter(|state| state.complete).ok_or_else(|| Error::State {
            cluster: name.to_owned(),
            path: directory.disks().display().to_string(),
            reason: format!(
                "not complete: its building goes on, or was cut short; `llano lab cluster down --name {name}` clears it away"
            ),
        })?;
        let programs = Programs::find(state.spec.containerd())?;
        Ok(Cluster { lab: Lab::open(name)?, spec: state.spec, programs, directory })
    }

    /// Names of all clusters, also half-built ones.
    pub fn list() -> Vec<String> {
        directory::names()
    }

    /// Its name, which is that of its lab too.
    pub fn name(&self) -> &str {
        &self.directory.cluster
    }

    /// What it was asked to be.
    pub fn spec(&self) -> &ClusterSpec {
        &self.spec
    }

    /// Its hosts and switches: `control`, `node1`…, `plain`, `gateway`, `lan`, `lan2`.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// A host, to look at its network, run a command on it or kill its programs.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn host(&self, name: &str) -> Result<&Host> {
        Ok(self.lab.host(name)?)
    }

    /// All its processes.
    pub fn components(&self) -> Vec<Component> {
        let nodes = self.spec.nodes();
        Component::CONTROL_PLANE
            .into_iter()
            .chain(nodes.iter().flat_map(|node| Component::of_node(node)))
            .collect()
    }

    /// The log of a process.
    pub fn log(&self, component: &Component) -> std::path::PathBuf {
        component.log(&self.directory)
    }

    /// A directory on a host's disk as the machine sees it, by its path on the host.
    pub fn on_disk(&self, host: &str, path: &str) -> std::path::PathBuf {
        self.directory.on_disk(host, path)
    }

    /// The file of one of its programs, as `echo` or `kubectl`. The hosts see it under the same name.
    pub fn program(&self, name: &str) -> std::path::PathBuf {
        self.programs.get(name)
    }

    /// `kubectl` as the cluster's administrator, with the machine's files and this directory.
    ///
    /// # Errors
    /// Only when no file descriptor is left.
    pub fn kubectl(&self) -> Result<Command> {
        let mut command = self.lab.host(CONTROL)?.command_in_network(self.programs.get("kubectl"))?;
        command
            .env("KUBECONFIG", control::admin(&self.directory))
            // Its cache is the cluster's, and goes with it.
            .env("KUBECACHEDIR", self.directory.disks().join("kubectl-cache"));
        Ok(command)
    }

    /// Runs `kubectl` to its end and gives what it printed.
    ///
    /// # Errors
    /// When it fails, with what it wrote to stderr.
    pub fn kubectl_output<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        finish(self.kubectl()?.args(args), b"")
    }

    /// `kubectl apply` of these objects, YAML or JSON.
    ///
    /// # Errors
    /// When the API server refuses them.
    pub fn apply(&self, objects: &str) -> Result<String> {
        finish(self.kubectl()?.args(["apply", "-f", "-"]), objects.as_bytes())
    }

    /// Gives every node the images of an archive (OCI layout, or what `docker save` writes).
    ///
    /// # Errors
    /// When a containerd does not take it.
    pub fn import(&self, archive: &Path) -> Result<()> {
        self.spec.nodes().iter().try_for_each(|node| self.import_on(node, archive))
    }

    pub(crate) fn import_on(&self, node: &str, archive: &Path) -> Result<()> {
        let file =
            std::fs::File::open(archive).map_err(|error| Error::io("open", archive.display(), error))?;
        let mut command = self.lab.host(node)?.command(self.programs.get("ctr"))?;
        command
            .args(["--address", node::SOCKET, "--namespace", "k8s.io", "images", "import", "-"])
            .stdin(file);
        let output = command.output().map_err(|error| Error::program("ctr", error.to_string()))?;
        said("ctr images import", &output).map(drop)
    }

    /// Kills a process (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// When it does not end, or does not run.
    pub fn kill(&self, component: &Component) -> Result<()> {
        component.keep_away(&self.directory)?;
        match self.lab.host(component.host())?.kill(&[component.program()])? {
            0 => Err(Error::program(component.to_string(), "does not run")),
            _ => Ok(()),
        }
    }

    /// Ends a process with SIGTERM and waits until it is gone.
    ///
    /// # Errors
    /// When it does not end, or does not run.
    pub fn stop(&self, component: &Component) -> Result<()> {
        component.keep_away(&self.directory)?;
        match self.lab.host(component.host())?.stop(&[component.program()], PATIENCE)? {
            0 => Err(Error::program(component.to_string(), "does not run")),
            _ => Ok(()),
        }
    }

    /// Starts a process that was killed or stopped. It does not wait until it serves.
    ///
    /// # Errors
    /// When it runs already, or cannot be started.
    pub fn start(&self, component: &Component) -> Result<()> {
        if component.is_running(&self.lab)? {
            return Err(Error::program(component.to_string(), "runs already"));
        }
        let number = self.spec.numbers().find(|number| crate::spec::node_name(*number) == component.host());
        let args = match number {
            Some(number) => node::args(component, number),
            None => control::args(component),
        };
        component.spawn(&self.lab, &self.directory, &self.programs, &args)
    }

    /// Power cut and boot of a node: [`Cluster::power_off`], then [`Cluster::power_on`]. It does not wait until the node is ready.
    ///
    /// # Errors
    /// When there is no such node; what the kernel refused.
    pub fn reboot(&mut self, node: &str) -> Result<()> {
        self.power_off(node)?;
        self.power_on(node)
    }

    /// Power cut of a node: every process on it is killed, its namespaces, mounts and cgroups are gone, its disk is kept. The
    /// namespaces are there anew, and nothing runs in them.
    ///
    /// # Errors
    /// When there is no such node; what the kernel refused.
    pub fn power_off(&mut self, node: &str) -> Result<()> {
        Ok(self.lab.reboot(node)?)
    }

    /// Boots a node after [`Cluster::power_off`]. It does not wait until the node is ready.
    ///
    /// # Errors
    /// When there is no such node, or one of its processes cannot be started.
    pub fn power_on(&mut self, node: &str) -> Result<()> {
        node::boot(self.lab.host(node)?)?;
        Component::of_node(node).iter().try_for_each(|component| self.start(component))?;
        self.keep_kubelet(node)
    }

    /// A kubelet ends when its containerd does not answer yet. Whoever boots a machine starts it again until it stays.
    fn keep_kubelet(&self, node: &str) -> Result<()> {
        let (host, kubelet) = (self.lab.host(node)?, Component::Kubelet(node.to_owned()));
        let stays = || {
            if !kubelet.is_running(&self.lab)? {
                self.start(&kubelet)?;
            }
            Ok(host.run_in(|| TcpStream::connect(node::KUBELET_HEALTH).is_ok())?.then_some(()))
        };
        Self::wait(&kubelet.to_string(), PATIENCE, stays)
    }

    /// What runs, and which nodes are ready.
    ///
    /// # Errors
    /// When /proc cannot be read. An API server that does not answer is a status, not an error.
    pub fn status(&self) -> Result<Status> {
        let components = self
            .components()
            .iter()
            .map(|component| {
                let running = component.is_running(&self.lab)?;
                Ok(ComponentStatus { component: component.to_string(), running })
            })
            .collect::<Result<Vec<_>>>()?;
        let ready_nodes = self.ready_nodes().unwrap_or_default();
        let ready = components.iter().all(|one| one.running) && ready_nodes == self.spec.nodes();
        Ok(Status { cluster: self.name().to_owned(), ready, components, ready_nodes })
    }

    /// Names of the nodes that are ready, sorted.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub fn ready_nodes(&self) -> Result<Vec<String>> {
        const READY: &str = r#"jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}"#;
        let text = self.kubectl_output(["get", "nodes", "--request-timeout=5s", "-o", READY])?;
        let mut nodes: Vec<String> =
            text.lines().filter_map(|line| line.strip_suffix("=True")).map(str::to_owned).collect();
        nodes.sort();
        Ok(nodes)
    }

    /// Looks again and again until `look` finds something, or `patience` is over; then the error says what it was told last.
    ///
    /// # Errors
    /// [`Error::Late`].
    pub fn wait<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let end = Instant::now() + patience;
        loop {
            let last = match look() {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => None,
                Err(error) => Some(error.to_string()),
            };
            if Instant::now() > end {
                return Err(Error::Late { what: what.to_owned(), seconds: patience.as_secs(), last });
            }
            std::thread::sleep(GRAIN);
        }
    }

    /// As [`Cluster::wait`], for what one process does: when it ends instead, that is the error.
    pub(crate) fn wait_for(
        &self,
        component: &Component,
        what: &str,
        mut look: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let result = Self::wait(what, PATIENCE, || {
            if !component.is_running(&self.lab)? {
                return Ok(Some(false));
            }
            look().map(|found| found.then_some(true))
        });
        match result {
            Ok(true) => Ok(()),
            Ok(false) => {
                let log = component.tail(&self.directory);
                Err(Error::program(component.to_string(), format!("ended at its start: {log}")))
            }
            Err(Error::Late { what, seconds, .. }) => {
                Err(Error::Late { what, seconds, last: Some(component.tail(&self.directory)) })
            }
            Err(error) => Err(error),
        }
    }
}

/// Runs a command to its end with that standard input.
pub(crate) fn finish(command: &mut Command, input: &[u8]) -> Result<String> {
    let name =
        Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let wrong = |error: std::io::Error| Error::program(&name, error.to_string());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(wrong)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends before it has read all says why itself.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(wrong)?;
    said(&name, &output)
}

fn said(program: &str, output: &Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = [&output.stderr, &output.stdout].map(|text| String::from_utf8_lossy(text).trim().to_owned());
    Err(Error::program(program, format!("{}: {}", output.status, text.join("\n").trim())))
}
