//! One case: what is given, and what is expected.

use std::collections::BTreeMap;
use std::fmt::Write;

use api::{ClusterNetwork, Error, Isolation, NetworkRef, Options, Pod, Sandbox, resolve, sequence};
use cni::json;

use crate::recorder::Recorder;
use crate::world::World;

const GIVEN: [&str; 9] = [
    "networks",
    "default",
    "pod",
    "isolation",
    "clusterNetwork",
    "defaultNetworks",
    "runtimeConfig",
    "CNI_ARGS",
    "devices",
];

/// What `<primary>` stands for.
const PRIMARY: [(&str, &str); 3] = [
    (
        "ADD eth0 flannel cbr0 1.0.0\nADD eth0 portmap cbr0 1.0.0 prev\nADD eth0 bandwidth cbr0 1.0.0 prev\n",
        "ADD <primary>\n",
    ),
    (
        "DEL eth0 bandwidth cbr0 1.0.0 prev\nDEL eth0 portmap cbr0 1.0.0 prev\nDEL eth0 flannel cbr0 1.0.0 prev\n",
        "DEL <primary>\n",
    ),
    (
        concat!(
            "{\n    \"name\": \"cbr0\",\n    \"interface\": \"eth0\",\n    \"ips\": [\n        \"10.244.1.73\"\n    ],\n",
            "    \"mac\": \"86:1d:96:ff:55:0d\",\n    \"default\": true,\n    \"dns\": {},\n",
            "    \"gateway\": [\n        \"10.244.1.1\"\n    ]\n}"
        ),
        "<primary>",
    ),
];

pub(crate) struct Case {
    pub(crate) title: String,
    given: Vec<(String, String)>,
    pub(crate) expected: String,
}

impl Case {
    /// What stands before the first case, and the cases.
    pub(crate) fn read_all(text: &str) -> (String, Vec<Case>) {
        let mut parts = text.split("\n== ");
        let head = parts.next().unwrap().trim_end().to_owned() + "\n";
        (head, parts.map(Case::read).collect())
    }

    fn read(text: &str) -> Case {
        let mut lines = text.lines();
        let title = lines.next().unwrap().to_owned();
        let mut case = Case { title, given: Vec::new(), expected: String::new() };
        for line in lines {
            let given =
                line.split_once(':').filter(|(key, _)| case.expected.is_empty() && GIVEN.contains(key));
            match given {
                Some((key, value)) => {
                    let value = value.strip_prefix(' ').unwrap_or(value);
                    case.given.push((key.to_owned(), value.to_owned()));
                }
                None => writeln!(case.expected, "{line}").unwrap(),
            }
        }
        case.expected = match case.expected.trim_end() {
            "" => String::new(),
            text => format!("{text}\n"),
        };
        case
    }

    /// The case as it stands in the file, with this outcome.
    pub(crate) fn with(&self, came: &str) -> String {
        let given: String = self
            .given
            .iter()
            .map(|(key, value)| format!("{key}: {value}").trim_end().to_owned() + "\n")
            .collect();
        format!("\n== {}\n{given}{came}", self.title)
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.given.iter().find(|(given, _)| given == key).map(|(_, value)| value.as_str())
    }

    /// Resolves and runs the case against the recorder, and writes down what came.
    pub(crate) fn run(&self, world: &World) -> String {
        let runtime_config = self.get("runtimeConfig").map(|text| json::parse(text.as_bytes()).unwrap());
        let pod = Pod {
            namespace: self.get("pod").unwrap_or("default"),
            name: "web-0",
            uid: "uid-1",
            networks: self.get("networks"),
            default_network: self.get("default"),
        };
        let sandbox = Sandbox {
            container_id: "c0ffee",
            ifname: "eth0",
            args: self.get("CNI_ARGS").unwrap_or_default(),
            runtime_config: runtime_config.as_ref(),
        };
        let named = |text: &str| match text.split_once('/') {
            Some((namespace, name)) => ClusterNetwork::Definition(NetworkRef::new(namespace, name).unwrap()),
            None => ClusterNetwork::Named(text.to_owned()),
        };
        let mut options = Options::new(match self.get("clusterNetwork") {
            None => ClusterNetwork::Configuration(world.cluster.clone()),
            Some(text) => named(text),
        });
        if let Some(global) = self.get("isolation") {
            options.isolation = Isolation::new(true, Some(global));
        }
        let defaults = self.get("defaultNetworks").unwrap_or_default();
        options.default_networks = defaults.split_whitespace().map(named).collect();
        let mut devices = BTreeMap::new();
        for resource in self.get("devices").unwrap_or_default().split_whitespace() {
            let (name, ids) = resource.split_once('=').unwrap();
            devices.insert(name.to_owned(), ids.split(',').map(str::to_owned).collect());
        }
        let lookup = world.with_devices(devices);

        let mut out = String::new();
        match resolve(&pod, &sandbox, &options, &lookup) {
            Err(error) => refused(&error, &mut out),
            Ok(plan) => {
                let mut recorder = Recorder::new(&plan);
                let added = sequence::add(&plan, &pod, &mut recorder);
                out.push_str(&recorder.lines);
                match added {
                    Err(failure) => {
                        writeln!(out, "error {}: {}", failure.error.code(), failure.error.msg()).unwrap();
                    }
                    Ok(added) => {
                        for event in added.events.iter().filter(|event| event.reason != "AddedInterface") {
                            writeln!(out, "event {} {}: {}", event.kind(), event.reason, event.message)
                                .unwrap();
                        }
                        writeln!(out, "status\n{}", added.statuses.to_annotation()).unwrap();
                    }
                }
            }
        }
        self.shorten(&out)
    }

    /// The primary network, which nearly every case has, by one word. The first case shows it in full.
    fn shorten(&self, out: &str) -> String {
        if self.given.is_empty() {
            return out.to_owned();
        }
        PRIMARY.iter().fold(out.to_owned(), |out, (whole, short)| out.replace(whole, short))
    }
}

/// An error of the resolver, which is also an event.
fn refused(error: &Error, out: &mut String) {
    let event = error.event();
    let cni = error.to_cni();
    assert!(event.warning && event.message.starts_with(&cni.to_string()[..20]), "{event:?} {cni}");
    writeln!(out, "error {} {}: {}", cni.code(), event.reason, event.message).unwrap();
}
