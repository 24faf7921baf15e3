//! A small cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{
    ClusterNetwork, Error, Lookup, Nad, NadSource, NetConfig, NetworkRef, Options, Plan, Pod, Result,
    Sandbox, resolve,
};

pub(crate) struct Cluster(BTreeMap<String, Arc<Nad>>);

pub(crate) const CLUSTER: &str = r#"{"cniVersion":"1.0.0","name":"cbr0","type":"bridge"}"#;

impl Cluster {
    /// Definitions of namespace `default`, by name.
    pub(crate) fn of(nads: &[(&str, &str)]) -> Cluster {
        let nad = |(name, config): &(&str, &str)| {
            let source =
                NadSource { namespace: "default", name, config: Some(config), ..NadSource::default() };
            (format!("default/{name}"), Arc::new(Nad::new(source).unwrap()))
        };
        Cluster(nads.iter().map(nad).collect())
    }

    pub(crate) fn plan(&self, networks: &str) -> Result<Plan> {
        resolve(&pod(networks), &SANDBOX, &options(), self)
    }
}

pub(crate) fn pod(networks: &str) -> Pod<'_> {
    Pod { namespace: "default", name: "web-0", uid: "u", networks: Some(networks), default_network: None }
}

pub(crate) const SANDBOX: Sandbox<'static> =
    Sandbox { container_id: "c0", ifname: "eth0", args: "", runtime_config: None };

pub(crate) fn options() -> Options {
    Options::new(ClusterNetwork::Configuration(NetConfig::parse(CLUSTER, None).unwrap()))
}

impl Lookup for Cluster {
    fn definition(&self, network: &NetworkRef) -> Result<Arc<Nad>> {
        self.0.get(&network.to_string()).cloned().ok_or_else(|| Error::NoNetwork(network.clone()))
    }

    fn configuration(&self, name: &str) -> Result<NetConfig> {
        Err(Error::Configuration { origin: name.to_owned(), problem: "no file".to_owned() })
    }

    fn devices(&self, _: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
