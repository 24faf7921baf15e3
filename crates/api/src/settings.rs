//! What an administrator sets: in the agent's own file, or in the configuration of `type: llano`, by Multus's keys.

use std::path::{Path, PathBuf};

use cni::json::{Object, Value};

use crate::{ClusterNetwork, Error, Isolation, NetConfig, Options, Result};

/// Where Multus looks for configurations that a definition only names.
const CONF_DIR: &str = "/etc/cni/multus/net.d";
/// Where plugins are when the runtime does not say.
const BIN_DIR: &str = "/opt/cni/bin";

/// All that [`Config::parse`] reads: it is shown nothing else.
const KEYS: [&str; 12] = [
    // A delegate takes these from the configuration around it.
    "cniVersion",
    "name",
    "clusterNetwork",
    "delegates",
    "defaultNetworks",
    "systemNamespaces",
    "multusNamespace",
    "namespaceIsolation",
    "globalNamespaces",
    "confDir",
    "binDir",
    "dataDirs",
];

/// The settings of one source; what it does not say is open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    cluster_network: Option<String>,
    delegate: Option<NetConfig>,
    default_networks: Option<Vec<String>>,
    system_namespaces: Option<Vec<String>>,
    multus_namespace: Option<String>,
    namespace_isolation: Option<bool>,
    global_namespaces: Option<String>,
    conf_dir: Option<PathBuf>,
    bin_dir: Option<PathBuf>,
    data_dirs: Option<Vec<PathBuf>>,
}

impl Config {
    /// Reads `clusterNetwork` or the first of `delegates`, `defaultNetworks`, `systemNamespaces`, `multusNamespace`,
    /// `namespaceIsolation`, `globalNamespaces`, `confDir`, `binDir` and `dataDirs`.
    ///
    /// # Errors
    /// The key, its value and what is allowed.
    pub fn parse(root: &Object<'_>) -> cni::Result<Config> {
        let part = Config::part(root);
        let root = &Object::root(&part)?;
        let text = |key: &str| root.text(key).map(|text| text.map(str::to_owned));
        let list = |key: &str| -> cni::Result<Option<Vec<String>>> {
            match root.get(key) {
                None => Ok(None),
                Some(_) => Ok(Some(root.strings(key)?.into_iter().map(str::to_owned).collect())),
            }
        };
        let directory = |key: &str| match root.text(key)? {
            None => Ok(None),
            Some(path) if Path::new(path).is_absolute() => Ok(Some(PathBuf::from(path))),
            Some(path) => Err(cni::Error::config(key, path, "an absolute path")),
        };
        Ok(Config {
            cluster_network: text("clusterNetwork")?,
            delegate: delegate(root)?,
            default_networks: list("defaultNetworks")?,
            system_namespaces: list("systemNamespaces")?,
            multus_namespace: text("multusNamespace")?,
            namespace_isolation: root.bool("namespaceIsolation")?,
            global_namespaces: text("globalNamespaces")?,
            conf_dir: directory("confDir")?,
            bin_dir: directory("binDir")?,
            data_dirs: match list("dataDirs")? {
                None => None,
                Some(paths) => Some(paths.into_iter().map(absolute).collect::<cni::Result<_>>()?),
            },
        })
    }

    /// Of a configuration the members that are settings, as they stand: [`Config::parse`] makes the same of them.
    pub fn part(root: &Object<'_>) -> Value {
        let ours = |name: &str| KEYS.iter().any(|key| key.eq_ignore_ascii_case(name));
        Value::Object(root.raw().iter().filter(|(name, _)| ours(name)).cloned().collect())
    }

    /// This one, and where it is open `other`.
    #[must_use]
    pub fn or(self, other: Config) -> Config {
        let (cluster_network, delegate) = match self.names_network() {
            true => (self.cluster_network, self.delegate),
            false => (other.cluster_network, other.delegate),
        };
        Config {
            cluster_network,
            delegate,
            default_networks: self.default_networks.or(other.default_networks),
            system_namespaces: self.system_namespaces.or(other.system_namespaces),
            multus_namespace: self.multus_namespace.or(other.multus_namespace),
            namespace_isolation: self.namespace_isolation.or(other.namespace_isolation),
            global_namespaces: self.global_namespaces.or(other.global_namespaces),
            conf_dir: self.conf_dir.or(other.conf_dir),
            bin_dir: self.bin_dir.or(other.bin_dir),
            data_dirs: self.data_dirs.or(other.data_dirs),
        }
    }

    /// As the resolver takes it. Files that are named are read now.
    ///
    /// # Errors
    /// No first network is named, or its file cannot be read.
    pub fn options(&self) -> Result<Options> {
        let cluster = match (&self.cluster_network, &self.delegate) {
            (Some(text), _) => ClusterNetwork::from_text(text)?,
            (None, Some(config)) => ClusterNetwork::Configuration(config.clone()),
            (None, None) => {
                return Err(Error::Configuration {
                    origin: "of type llano".to_owned(),
                    problem: "names no first network: clusterNetwork is missing, expected NAME, NAMESPACE/NAME or an \
                              absolute path"
                        .to_owned(),
                });
            }
        };
        let mut options = Options::new(cluster);
        for text in self.default_networks.iter().flatten() {
            options.default_networks.push(ClusterNetwork::from_text(text)?);
        }
        if let Some(namespaces) = &self.system_namespaces {
            options.system_namespaces.clone_from(namespaces);
        }
        if let Some(namespace) = &self.multus_namespace {
            options.system_namespace.clone_from(namespace);
        }
        options.isolation =
            Isolation::new(self.namespace_isolation.unwrap_or(false), self.global_namespaces.as_deref());
        options.data_dirs.extend(self.data_dirs.iter().flatten().cloned());
        Ok(options)
    }

    /// Whether the pods' first network is named.
    pub fn names_network(&self) -> bool {
        self.cluster_network.is_some() || self.delegate.is_some()
    }

    /// `confDir`.
    pub fn conf_dir(&self) -> &Path {
        self.conf_dir.as_deref().unwrap_or(Path::new(CONF_DIR))
    }

    /// `binDir`.
    pub fn bin_dir(&self) -> &Path {
        self.bin_dir.as_deref().unwrap_or(Path::new(BIN_DIR))
    }
}

/// The root would allow everything.
fn absolute(path: String) -> cni::Result<PathBuf> {
    let usable = path.starts_with('/') && Path::new(&path).components().count() > 1;
    match usable && !path.contains("..") {
        true => Ok(path.into()),
        false => Err(cni::Error::config("dataDirs", path, "absolute paths below the root")),
    }
}

/// Multus's older way to name the first network: a list of configurations, of which the first counts.
fn delegate(root: &Object<'_>) -> cni::Result<Option<NetConfig>> {
    let items = root.items("delegates")?;
    let Some(first) = items.first() else { return Ok(None) };
    if let Some(second) = items.get(1) {
        return Err(second.refuse("one entry; more networks for every pod are named in defaultNetworks"));
    }
    let mut value = first.value.clone();
    // A delegate without a version has the one around it.
    if let Some(Value::String(version)) = root.get("cniVersion").map(|node| node.value)
        && !first.object()?.has("cniVersion")
    {
        value.set("cniVersion", version.as_str().into());
    }
    NetConfig::parse(&value.to_compact(), root.text("name")?)
        .map(Some)
        .map_err(|problem| cni::Error::invalid_config(format!("{}: {problem}", first.path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> cni::Result<Config> {
        Config::parse(&Object::root(&cni::json::parse(text.as_bytes())?)?)
    }

    #[test]
    fn the_agents_file_counts_for_more_than_the_plugins() {
        let agent = parse(r#"{"clusterNetwork":"lan/office","namespaceIsolation":true}"#).unwrap();
        let plugin = parse(
            r#"{"delegates":[{"type":"bridge"}],"name":"cbr0","globalNamespaces":"a, b","binDir":"/opt/x"}"#,
        )
        .unwrap();
        let both = agent.or(plugin.clone());
        let options = both.options().unwrap();
        assert!(
            matches!(&options.cluster, ClusterNetwork::Definition(network) if network.to_string() == "lan/office")
        );
        assert_eq!(options.isolation, Isolation::new(true, Some("a,b")));
        assert_eq!((both.bin_dir(), both.conf_dir()), (Path::new("/opt/x"), Path::new(CONF_DIR)));
        let alone = Config::default().or(plugin).options().unwrap();
        assert!(matches!(&alone.cluster, ClusterNetwork::Configuration(config) if config.name() == "cbr0"));
    }

    #[test]
    fn every_key_counts_and_no_other_is_kept() {
        let text = r#"{"cniVersion":"1.0.0","name":"cbr0","clusterNetwork":"lan/office","delegates":[{"type":"bridge"}],
            "defaultNetworks":["lan/more"],"systemNamespaces":["infra"],"multusNamespace":"nets","namespaceIsolation":true,
            "globalNamespaces":"shared","confDir":"/c","BINDIR":"/b","dataDirs":["/d"],"prevResult":{},"type":"llano"}"#;
        let value = cni::json::parse(text.as_bytes()).unwrap();
        let root = Object::root(&value).unwrap();
        let whole = Config::parse(&root).unwrap();
        let part = Config::part(&root);
        assert_eq!(parse(&part.to_compact()), Ok(whole.clone()));
        let Value::Object(members) = &part else { panic!("{part:?}") };
        assert_eq!(members.len(), KEYS.len(), "{part:?}");
        for (left_out, _) in members {
            let others = members.iter().filter(|(name, _)| name != left_out).cloned().collect();
            let without = parse(&Value::Object(others).to_compact());
            assert_ne!(without.as_ref().ok(), Some(&whole), "without {left_out}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_key() {
        for (text, words) in [
            (r#"{"binDir":"bin"}"#, "binDir"),
            (r#"{"namespaceIsolation":"yes"}"#, "namespaceIsolation"),
            (r#"{"delegates":[{"type":"../x"}],"name":"n"}"#, "delegates[0]"),
            (r#"{"delegates":[{"type":"a"},{"type":"b"}],"name":"n"}"#, "defaultNetworks"),
            (r#"{"defaultNetworks":[1]}"#, "defaultNetworks[0]"),
            (r#"{"dataDirs":["leases"]}"#, "dataDirs"),
            (r#"{"dataDirs":["/"]}"#, "dataDirs"),
            (r#"{"dataDirs":["/a/../etc"]}"#, "dataDirs"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(words), "{text}: {error}");
        }
        let error = Config::default().options().unwrap_err();
        assert!(error.to_string().contains("clusterNetwork"), "{error}");
    }
}
