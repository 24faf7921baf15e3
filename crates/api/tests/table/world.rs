//! The cluster of the table: definitions, files, devices.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{Error, Lookup, Nad, NadSource, NetConfig, NetworkRef, RESOURCE_NAME, ROLE, Result};

pub(crate) struct World {
    nads: BTreeMap<String, Result<Arc<Nad>>>,
    disk: BTreeMap<String, NetConfig>,
    pub(crate) cluster: NetConfig,
}

pub(crate) struct WithDevices<'a> {
    world: &'a World,
    devices: BTreeMap<String, Vec<String>>,
}

impl World {
    pub(crate) fn read(text: &str) -> World {
        let (mut nads, mut disk, mut cluster) = (BTreeMap::new(), BTreeMap::new(), None);
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let (head, config) = match line.find('{') {
                Some(at) => (&line[..at], Some(&line[at..])),
                None => (line, None),
            };
            let words: Vec<&str> = head.split_whitespace().collect();
            let parse = || NetConfig::parse(config.unwrap(), None).unwrap();
            match words[0] {
                "cluster" => cluster = Some(parse()),
                "disk" => drop(disk.insert(words[1].to_owned(), parse())),
                "nad" => drop(nads.insert(words[1].to_owned(), nad(&words[1..], config))),
                other => panic!("{other}"),
            }
        }
        World { nads, disk, cluster: cluster.unwrap() }
    }

    pub(crate) fn with_devices(&self, devices: BTreeMap<String, Vec<String>>) -> WithDevices<'_> {
        WithDevices { world: self, devices }
    }
}

fn nad(words: &[&str], config: Option<&str>) -> Result<Arc<Nad>> {
    let (namespace, name) = words[0].split_once('/').unwrap();
    let (mut labels, mut annotations) = (BTreeMap::new(), BTreeMap::new());
    for word in &words[1..] {
        match word.split_once('=').unwrap() {
            ("role", value) => labels.insert(ROLE.to_owned(), value.to_owned()),
            ("resource", value) => annotations.insert(RESOURCE_NAME.to_owned(), value.to_owned()),
            other => panic!("{other:?}"),
        };
    }
    let source =
        NadSource { namespace, name, labels: Some(&labels), annotations: Some(&annotations), config };
    Nad::new(source).map(Arc::new)
}

impl Lookup for WithDevices<'_> {
    fn definition(&self, network: &NetworkRef) -> Result<Arc<Nad>> {
        match self.world.nads.get(&network.to_string()) {
            Some(found) => found.clone(),
            None => Err(Error::NoNetwork(network.clone())),
        }
    }

    fn configuration(&self, name: &str) -> Result<NetConfig> {
        self.world.disk.get(name).cloned().ok_or_else(|| Error::Configuration {
            origin: name.to_owned(),
            problem: "no file of /etc/cni/net.d has this name".to_owned(),
        })
    }

    fn devices(&self, resource: &str) -> Result<Vec<String>> {
        Ok(self.devices.get(resource).cloned().unwrap_or_default())
    }
}
