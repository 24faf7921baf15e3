//! Our configuration: `00-llano.conflist`.

use std::path::PathBuf;

use cni::Version;
use cni::json::Value;

/// The name of its file, which sorts before the primary's, so that the runtime takes it.
pub const CONFLIST: &str = "00-llano.conflist";

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflist {
    /// The newest version of CNI that the node's runtime speaks.
    pub version: Version,
    /// The network's name: the primary's own. A runtime keeps results by it, and asks whoever is configured when a pod ends: with one
    /// name for both, a pod that was made through us can be ended by the primary alone, and one of the primary through us.
    pub network: String,
    /// What the pods' first network takes from the kubelet.
    pub capabilities: Vec<String>,
    /// The pods' first network.
    pub cluster: ClusterNetwork,
}

/// The pods' first network, as the agent reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterNetwork {
    /// The primary's own file on the node. By its path, so that there is one truth, which the primary writes.
    File(PathBuf),
    /// A definition, `NAMESPACE/NAME`.
    Definition(String),
}

impl ClusterNetwork {
    /// As it stands in the configuration.
    pub fn to_text(&self) -> String {
        match self {
            ClusterNetwork::File(path) => path.to_string_lossy().into_owned(),
            ClusterNetwork::Definition(name) => name.clone(),
        }
    }
}

impl Conflist {
    /// With a definition as the pods' first network, and no primary plugin: the definition's plugin is given what it declares.
    pub fn of_definition(version: Version, name: &str) -> Conflist {
        Conflist {
            version,
            network: "llano".to_owned(),
            capabilities: ["portMappings", "bandwidth"].map(str::to_owned).to_vec(),
            cluster: ClusterNetwork::Definition(name.to_owned()),
        }
    }

    /// The file.
    pub fn to_text(&self) -> String {
        let declared = self.capabilities.iter().map(|name| (name.clone(), Value::Bool(true))).collect();
        let mut plugin = Value::object([("type", "llano".into())]);
        if !self.capabilities.is_empty() {
            plugin.set("capabilities", Value::Object(declared));
        }
        plugin.set("clusterNetwork", self.cluster.to_text().into());
        let list = Value::object([
            ("cniVersion", self.version.as_str().into()),
            ("name", self.network.as_str().into()),
            ("plugins", Value::Array(vec![plugin])),
        ]);
        let mut text = list.to_compact();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_what_a_runtime_and_the_agent_read() {
        let list = Conflist {
            version: Version::V100,
            network: "cbr0".to_owned(),
            capabilities: vec!["portMappings".to_owned()],
            cluster: ClusterNetwork::File("/etc/cni/net.d/10-flannel.conflist".into()),
        };
        let expected = r#"{"cniVersion":"1.0.0","name":"cbr0","plugins":[{"type":"llano","capabilities":{"portMappings":true},"clusterNetwork":"/etc/cni/net.d/10-flannel.conflist"}]}"#;
        assert_eq!(list.to_text().trim_end(), expected);
        let read = api::NetConfig::parse(&list.to_text(), None).unwrap();
        assert_eq!((read.name(), read.version(), read.plugins()[0].kind()), ("cbr0", Version::V100, "llano"));
        assert!(CONFLIST < "00-multus.conf" && CONFLIST < "05-cilium.conflist");
    }
}
