//! podman 4 with its CNI backend.

use std::fs;

use super::{IMAGE, Running, Runtime, cgroups, image, output, require};
use crate::error::{Error, Result};
use crate::host::Host;

const CONFIG_PATH: &str = "/run/podman/containers.conf";
const NETWORKS: &str = "/etc/cni/net.d";

/// Locks in files: podman's shared memory is the machine's, not the host's. No systemd is asked for anything.
const CONFIG: &str = r#"[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
network_config_dir = "/etc/cni/net.d"
"#;

/// The podman of a host. It has no daemon.
#[derive(Debug, Clone)]
pub struct Podman<'a> {
    host: &'a Host,
    network: String,
}

impl<'a> Podman<'a> {
    /// Prepares a host: podman's configuration, the image, and a network of this plugin configuration.
    ///
    /// # Errors
    /// When podman is not installed, has no CNI backend (podman 5), or does not take the image.
    pub fn start(host: &'a Host, conf: &str) -> Result<Self> {
        require(&["podman", "runc", "busybox"])?;
        let (network, list) = list_of(conf)?;
        let write = || -> std::io::Result<()> {
            fs::create_dir_all("/run/podman")?;
            fs::create_dir_all(NETWORKS)?;
            fs::write(CONFIG_PATH, CONFIG)?;
            fs::write(format!("{NETWORKS}/{network}.conflist"), &list)
        };
        host.run_in(write)?.map_err(|error| Error::io("prepare podman on", host.name(), error))?;
        let podman = Podman { host, network };
        let backend = podman.podman(&["info", "--format", "{{.Host.NetworkBackend}}"])?;
        if backend.trim() != "cni" {
            let reason = format!("its network backend is {:?}; only podman 4 has \"cni\"", backend.trim());
            return Err(Error::Program { program: "podman".to_owned(), reason });
        }
        podman.podman(&["load", "--quiet", "--input", image::archive(host)?])?;
        Ok(podman)
    }

    fn podman(&self, args: &[&str]) -> Result<String> {
        let places = [
            "--root=/run/podman/root",
            "--runroot=/run/podman/runroot",
            "--tmpdir=/run/podman/tmp",
            "--storage-driver=vfs",
        ];
        let env = [("CONTAINERS_CONF", CONFIG_PATH), ("TMPDIR", "/run/podman")];
        output(self.host, "podman", &[&places, args].concat(), &env)
    }
}

impl Runtime for Podman<'_> {
    fn run(&self, name: &str) -> Result<Running> {
        let cgroups = format!("--cgroup-parent=/{}", cgroups::of(self.host.lab()));
        let network = format!("--network={}", self.network);
        self.podman(&[
            "run",
            "--detach",
            "--name",
            name,
            &cgroups,
            &network,
            IMAGE,
            "/bin/sleep",
            "1000000",
        ])?;
        let pid = self.podman(&["inspect", "--format", "{{.State.Pid}}", name])?;
        let pid = pid.trim().parse().map_err(|_| Error::Program {
            program: "podman inspect".to_owned(),
            reason: format!("{pid:?} is not a process"),
        })?;
        Running::of_process(name, pid)
    }

    fn exec(&self, name: &str, command: &[&str]) -> Result<String> {
        self.podman(&[&["exec", name], command].concat())
    }

    fn remove(&self, container: Running) -> Result<()> {
        self.podman(&["rm", "--force", "--time", "0", container.name()]).map(drop)
    }
}

/// podman reads lists only: the configuration's own text as the only plugin of one. Gives the network's name too.
fn list_of(conf: &str) -> Result<(String, String)> {
    let value: serde_json::Value = serde_json::from_str(conf)
        .map_err(|error| Error::spec("network configuration", error, "a JSON object"))?;
    let text = |key: &str| value.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let name = text("name");
    let head = serde_json::json!({"cniVersion": text("cniVersion"), "name": name}).to_string();
    let head = head.trim_end_matches('}');
    Ok((name, format!("{head},\"plugins\":[{conf}]}}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_keeps_its_bytes_in_a_list() {
        let (name, list) = list_of(crate::SEED_002_CONF).unwrap();
        assert_eq!(name, "k8s-pod-network");
        assert!(list.contains(crate::SEED_002_CONF));
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        assert_eq!(list["cniVersion"], "0.3.0");
        assert_eq!(list["plugins"][0]["type"], "macvlan");
        assert!(list_of("no JSON").is_err());
    }
}
