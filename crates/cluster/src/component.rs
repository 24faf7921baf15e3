//! The processes of a cluster: where each runs, how it is started, where its log is.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::str::FromStr;

use lab::Lab;

use crate::directory::{self, Directory};
use crate::error::{Error, Result};
use crate::programs::Programs;
use crate::spec::CONTROL;

/// A process of the cluster. Written as `etcd`, `kube-apiserver`, …, and `node1/kubelet`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// The cluster's store.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controller manager.
    ControllerManager,
    /// The scheduler.
    Scheduler,
    /// A node's container runtime.
    Containerd(String),
    /// A node's kubelet.
    Kubelet(String),
    /// A node's kube-proxy.
    Proxy(String),
    /// A node's flanneld.
    Flannel(String),
}

impl Component {
    /// The control plane's, in the order in which they are started.
    pub const CONTROL_PLANE: [Component; 4] =
        [Component::Etcd, Component::ApiServer, Component::ControllerManager, Component::Scheduler];

    /// A node's, in the order in which they are started.
    pub fn of_node(node: &str) -> [Component; 4] {
        [
            Component::Containerd(node.to_owned()),
            Component::Flannel(node.to_owned()),
            Component::Proxy(node.to_owned()),
            Component::Kubelet(node.to_owned()),
        ]
    }

    /// The host it runs on.
    pub fn host(&self) -> &str {
        match self {
            Component::Etcd | Component::ApiServer | Component::ControllerManager | Component::Scheduler => {
                CONTROL
            }
            Component::Containerd(node)
            | Component::Kubelet(node)
            | Component::Proxy(node)
            | Component::Flannel(node) => node,
        }
    }

    /// Its program.
    pub fn program(&self) -> &'static str {
        match self {
            Component::Etcd => "etcd",
            Component::ApiServer => "kube-apiserver",
            Component::ControllerManager => "kube-controller-manager",
            Component::Scheduler => "kube-scheduler",
            Component::Containerd(_) => "containerd",
            Component::Kubelet(_) => "kubelet",
            Component::Proxy(_) => "kube-proxy",
            Component::Flannel(_) => "flanneld",
        }
    }

    pub(crate) fn log(&self, directory: &Directory) -> PathBuf {
        directory.logs().join(format!("{}.log", self.to_string().replace('/', "-")))
    }

    /// Whether it comes back when it ends by itself, as under systemd: these two end when they find that what they know cannot be,
    /// as happens after the API server died.
    fn comes_back(&self) -> bool {
        matches!(self, Component::ControllerManager | Component::Scheduler)
    }

    /// The file on its host's disk that keeps it from coming back.
    fn stays_away(&self) -> String {
        format!("/etc/kubernetes/{}.stopped", self.program())
    }

    /// Keeps it from coming back once it is killed or stopped.
    pub(crate) fn keep_away(&self, directory: &Directory) -> Result<()> {
        if !self.comes_back() {
            return Ok(());
        }
        directory::write(&directory.on_disk(self.host(), &self.stays_away()), "")
    }

    fn may_come_back(&self, directory: &Directory) -> Result<()> {
        let file = directory.on_disk(self.host(), &self.stays_away());
        match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", file.display(), error))
            }
            _ => Ok(()),
        }
    }

    /// Whether it runs.
    pub(crate) fn is_running(&self, lab: &Lab) -> Result<bool> {
        let processes = lab.host(self.host())?.processes()?;
        Ok(processes.iter().any(|process| process.program == self.program()))
    }

    /// Starts it. It goes on when this program ends, and its log is appended to.
    pub(crate) fn spawn(
        &self,
        lab: &Lab,
        directory: &Directory,
        programs: &Programs,
        args: &[String],
    ) -> Result<()> {
        let file = self.log(directory);
        let wrong = |error| Error::io("open", file.display(), error);
        fs::create_dir_all(directory.logs()).map_err(wrong)?;
        let log: File = OpenOptions::new().create(true).append(true).open(&file).map_err(wrong)?;
        let program = programs.get(self.program());
        let host = lab.host(self.host())?;
        let mut command: Command = if self.comes_back() {
            self.may_come_back(directory)?;
            let mut shell = host.command("/bin/sh")?;
            shell.args(["-c", AGAIN, &self.stays_away()]).arg(program);
            shell
        } else {
            host.command(program)?
        };
        let mut child = command
            .args(args)
            .env("PATH", programs.path())
            // flannel looks its node up by it, as by the downward API of its DaemonSet.
            .env("NODE_NAME", self.host())
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(wrong)?)
            .stderr(log)
            // The terminal's Ctrl-C is not for it.
            .process_group(0)
            .spawn()
            .map_err(|error| Error::program(self.to_string(), error.to_string()))?;
        // Somebody has to take its exit status as long as this program runs.
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    /// The last lines of its log.
    pub(crate) fn tail(&self, directory: &Directory) -> String {
        let text = fs::read(self.log(directory)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

/// Runs a program again and again until there is a file of the name that it is given as `$0`.
const AGAIN: &str = r#"while "$@"; [ ! -e "$0" ]; do sleep 1; done"#;

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host() {
            CONTROL => f.write_str(self.program()),
            node => write!(f, "{node}/{}", self.program()),
        }
    }
}

impl FromStr for Component {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = match text.split_once('/') {
            None => Component::CONTROL_PLANE.into_iter().find(|one| one.program() == text),
            Some((node, program)) => {
                Component::of_node(node).into_iter().find(|one| one.program() == program)
            }
        };
        known.ok_or_else(|| Error::Spec {
            key: "component",
            value: text.to_owned(),
            allowed: "etcd, kube-apiserver, kube-controller-manager, kube-scheduler, or \
                      NODE/containerd, NODE/kubelet, NODE/kube-proxy, NODE/flanneld",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_read_as_it_is_written() {
        let all = Component::CONTROL_PLANE.into_iter().chain(Component::of_node("node2"));
        for component in all {
            assert_eq!(component.to_string().parse::<Component>().unwrap(), component);
        }
        for wrong in ["", "kubelet", "node1/", "node1/etcd", "/"] {
            assert!(wrong.parse::<Component>().is_err(), "{wrong}");
        }
    }
}
