//! An agent without a DaemonSet: its credentials and its systemd unit.

use std::path::{Path, PathBuf};

use crate::content::Content;
use crate::{Error, Places, Result, durable};

/// Where the agent's credentials go.
pub const KUBECONFIG: &str = "/etc/llano/kubeconfig";
/// The unit.
pub const UNIT: &str = "/etc/systemd/system/llano-agent.service";
const WANTS: &str = "/etc/systemd/system/multi-user.target.wants/llano-agent.service";

/// What the agent needs to run by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The kubeconfig, from here; copied.
    pub kubeconfig: PathBuf,
    /// Where the program will be on the node.
    pub program: PathBuf,
    /// More arguments of `llano agent`.
    pub args: Vec<String>,
}

impl Service {
    pub(crate) fn contents(&self, places: &Places) -> Result<Vec<(PathBuf, Content)>> {
        let bad =
            |reason: &str| Error::Kubeconfig { path: self.kubeconfig.clone(), reason: reason.to_owned() };
        let bytes = durable::read(&self.kubeconfig)?.ok_or_else(|| bad("there is no such file"))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| bad("is not UTF-8"))?;
        if !text.contains("clusters") || !text.contains("server") {
            return Err(bad("names no cluster with a server"));
        }
        let mut all = vec![(KUBECONFIG.into(), Content::File { bytes, mode: 0o600 })];
        let has_systemd = ["usr/lib/systemd/systemd", "lib/systemd/systemd", "etc/systemd/system"]
            .iter()
            .any(|path| places.here(Path::new(path)).exists());
        if has_systemd {
            all.push((UNIT.into(), Content::File { bytes: self.unit().into_bytes(), mode: 0o644 }));
            all.push((WANTS.into(), Content::Link("../llano-agent.service".into())));
        }
        Ok(all)
    }

    fn unit(&self) -> String {
        let args: String = self.args.iter().map(|arg| format!(" {arg}")).collect();
        format!(
            "[Unit]\nDescription=Llano's agent: the networks of this node's pods\nAfter=network-online.target containerd.service\n\
             Wants=network-online.target\n\n[Service]\nExecStart={} agent --kubeconfig {KUBECONFIG}{args}\nRestart=always\n\
             RestartSec=1\n\n[Install]\nWantedBy=multi-user.target\n",
            self.program.display()
        )
    }
}
