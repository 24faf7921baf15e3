//! Command line and configuration file, put together.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use agent::Config;
use anyhow::{Context, bail};
use apiserver::Access;
use cni::json::{self, Object};

use super::{Command, node};
use crate::log::Level;

/// Read when it is there and no other is named.
const FILE: &str = "/etc/llano/agent.json";
const SOCKET: &str = "/run/llano/agent.sock";
const STATE: &str = "/var/lib/llano/agent";
const POD_RESOURCES: &str = "/var/lib/kubelet/pod-resources/kubelet.sock";

/// Everything the agent runs with.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) access: Access,
    pub(super) node: String,
    pub(super) socket: PathBuf,
    pub(super) state_dir: PathBuf,
    pub(super) spool_dir: PathBuf,
    pub(super) runtime: PathBuf,
    pub(super) pod_resources: PathBuf,
    pub(super) metrics_address: Option<SocketAddr>,
    pub(super) log: Level,
    /// What the engine is told.
    pub(super) config: Config,
    /// Whether, and where, the plugin is installed.
    pub(super) install: Option<Install>,
    file: Option<PathBuf>,
}

/// The node's CNI directories.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Install {
    pub(super) bin_dir: PathBuf,
    pub(super) conf_dir: PathBuf,
    /// A definition as every pod's first network, in place of a primary plugin.
    pub(super) cluster_network: Option<String>,
}

impl Settings {
    pub(super) fn read(command: Command) -> anyhow::Result<Settings> {
        let file = match &command.config {
            Some(path) => Some(path.clone()),
            None => Path::new(FILE).exists().then(|| PathBuf::from(FILE)),
        };
        let text = match &file {
            Some(path) => {
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            None => "{}".to_owned(),
        };
        let parsed = Settings::parse(command, &text);
        let mut settings = match &file {
            Some(path) => parsed.with_context(|| format!("configuration {}", path.display()))?,
            None => parsed?,
        };
        settings.file = file;
        Ok(settings)
    }

    fn parse(command: Command, text: &str) -> anyhow::Result<Settings> {
        let value = json::parse(text.as_bytes())?;
        let root = Object::root(&value)?;
        let own = |key: &str| root.text(key).map(|text| text.map(str::to_owned));
        let path = |key: &str| -> anyhow::Result<Option<PathBuf>> {
            match own(key)?.map(PathBuf::from) {
                Some(path) if !path.is_absolute() => {
                    bail!("{key}: {}, expected an absolute path", path.display())
                }
                other => Ok(other),
            }
        };
        let node = command.node.or(own("node")?).unwrap_or_else(node::name);
        if api::NetworkRef::new("default", &node).is_none() {
            bail!("node {node:?}: expected a node's name, as in `kubectl get nodes`");
        }
        let access = match command.kubeconfig.or(path("kubeconfig")?) {
            Some(path) => Access::Kubeconfig(path),
            None => Access::Pod,
        };
        let metrics_address = match (command.metrics_address, own("metricsAddress")?) {
            (Some(address), _) => Some(address),
            (None, Some(text)) => Some(text.parse().ok().with_context(|| {
                format!("metricsAddress: {text:?}, expected an address with port, such as 127.0.0.1:9464")
            })?),
            (None, None) => None,
        };
        let log = match own("logLevel")? {
            None => Level::Info,
            Some(text) => Level::from_text(&text)
                .with_context(|| format!("logLevel: {text:?}, expected error, info or debug"))?,
        };
        let state_dir = command.state_dir.or(path("stateDir")?).unwrap_or_else(|| STATE.into());
        let config = Config::parse(&root)?;
        let bin_dir = command.cni_bin_dir.or(path("binDir")?);
        let conf_dir = command.cni_conf_dir.or(path("cniConfDir")?);
        // A file is the primary's own; a definition is what there is no primary for.
        let cluster_network = own("clusterNetwork")?.filter(|text| !text.starts_with('/'));
        let install = (command.install
            || command.host_root.is_some()
            || root.bool("install")?.unwrap_or(false))
        .then(|| Install {
            bin_dir: bin_dir.unwrap_or_else(|| "/opt/cni/bin".into()),
            conf_dir: conf_dir.unwrap_or_else(|| "/etc/cni/net.d".into()),
            cluster_network,
        });
        Ok(Settings {
            access,
            node,
            socket: command.socket.or(path("socket")?).unwrap_or_else(|| SOCKET.into()),
            spool_dir: path("spoolDir")?.unwrap_or_else(|| state_dir.join("spool")),
            state_dir,
            runtime: command.runtime.or(path("runtime")?).unwrap_or_else(node::runtime),
            pod_resources: path("podResources")?.unwrap_or_else(|| POD_RESOURCES.into()),
            metrics_address,
            log,
            config,
            install,
            file: None,
        })
    }

    /// For `--dry-run`.
    pub(super) fn shown(&self) -> serde_json::Value {
        let access = match &self.access {
            Access::Pod => "pod".to_owned(),
            Access::Kubeconfig(path) => path.display().to_string(),
        };
        serde_json::json!({
            "config": self.file, "node": self.node, "access": access, "socket": self.socket, "stateDir": self.state_dir,
            "spoolDir": self.spool_dir, "runtime": self.runtime, "podResources": self.pod_resources,
            "metricsAddress": self.metrics_address, "logLevel": self.log.as_str(), "install": self.install.is_some(),
            "binDir": self.config.bin_dir(), "confDir": self.config.conf_dir(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        command: Command,
    }

    fn settings(line: &[&str], file: &str) -> anyhow::Result<Settings> {
        let line = Line::try_parse_from([&["agent"], line].concat())?;
        Settings::parse(line.command, file)
    }

    #[test]
    fn the_command_line_counts_for_more_than_the_file() {
        let file = r#"{"node":"a","socket":"/a.sock","stateDir":"/var/a","metricsAddress":"127.0.0.1:1","kubeconfig":"/k",
                       "logLevel":"verbose","clusterNetwork":"lan/office","runtime":"/r.sock"}"#;
        let of_file = settings(&[], file).unwrap();
        assert_eq!((of_file.node.as_str(), of_file.log), ("a", Level::Info));
        assert_eq!(of_file.access, Access::Kubeconfig("/k".into()));
        assert_eq!(of_file.spool_dir, Path::new("/var/a/spool"));
        assert!(of_file.config.names_network() && of_file.install.is_none());
        let line = ["--node", "b", "--socket", "/b.sock", "--metrics-address", "[::1]:2", "--install"];
        let both = settings(&line, file).unwrap();
        assert_eq!((both.node.as_str(), both.socket.as_path()), ("b", Path::new("/b.sock")));
        assert_eq!(both.metrics_address.unwrap().to_string(), "[::1]:2");
        let install = both.install.unwrap();
        assert_eq!(install.cluster_network.as_deref(), Some("lan/office"));
        assert_eq!(install.bin_dir, Path::new("/opt/cni/bin"));
    }

    #[test]
    fn nothing_said_is_a_pod_with_the_usual_places() {
        let settings = settings(&["--node", "n1"], "{}").unwrap();
        assert_eq!((settings.access, settings.metrics_address), (Access::Pod, None));
        assert_eq!(settings.spool_dir, Path::new("/var/lib/llano/agent/spool"));
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_key() {
        for (file, words) in [
            (r#"{"node":"Not A Node"}"#, "node"),
            (r#"{"socket":"agent.sock"}"#, "socket"),
            (r#"{"metricsAddress":"9464"}"#, "metricsAddress"),
            (r#"{"logLevel":"loud"}"#, "logLevel"),
            (r#"{"binDir":"bin"}"#, "binDir"),
            (r#"{"install":"yes"}"#, "install"),
            (r#"{"#, "EOF"),
            (r#"[]"#, "object"),
        ] {
            let error = format!("{:#}", settings(&[], file).unwrap_err());
            assert!(error.contains(words), "{file}: {error}");
        }
    }

    proptest::proptest! {
        /// Of any file: what is taken has absolute paths and a node's name, what is refused is refused in words.
        #[test]
        fn a_file_is_taken_or_refused(
            members in proptest::collection::vec((
                "(node|socket|stateDir|spoolDir|runtime|podResources|kubeconfig|binDir|cniConfDir|metricsAddress|logLevel|install|clusterNetwork)",
                "(\"/?[a-z./]{0,8}\"|\"\\PC{0,6}\"|true|7|null|\\[\\]|\"127.0.0.1:1\"|\"info\")",
            ), 0..5)
        ) {
            let text: Vec<String> = members.iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
            match settings(&["--node", "n1"], &format!("{{{}}}", text.join(","))) {
                Err(error) => proptest::prop_assert!(!error.to_string().is_empty()),
                Ok(settings) => {
                    let paths = [&settings.socket, &settings.state_dir, &settings.spool_dir, &settings.pod_resources];
                    proptest::prop_assert!(paths.into_iter().all(|path| path.is_absolute()));
                    proptest::prop_assert!(settings.config.bin_dir().is_absolute());
                    proptest::prop_assert_eq!(settings.node.as_str(), "n1");
                }
            }
        }
    }
}
