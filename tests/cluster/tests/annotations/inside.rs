//! What a pod itself sees of its networks, and the status that follows from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cluster::Cluster;
use cluster_tests::exec;

use crate::cases::Element;

/// What the pod itself sees: `link NAME MAC MTU`, its addresses, its routes.
pub(crate) struct Inside {
    pub(crate) text: String,
    pub(crate) macs: BTreeMap<String, String>,
    mtus: BTreeMap<String, String>,
    addresses: BTreeMap<String, Vec<String>>,
}

impl Inside {
    pub(crate) fn of(cluster: &Cluster, pod: &str) -> Inside {
        const LOOK: &str = "for at in /sys/class/net/*; do \
             echo link ${at##*/} $(cat $at/address) $(cat $at/mtu); done; \
             ip -o addr show scope global; ip route; ip -6 route";
        let text = exec(cluster, pod, &["sh", "-c", LOOK]).unwrap_or_else(|error| panic!("{pod}: {error}"));
        let (mut macs, mut mtus, mut addresses) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::<String, Vec<String>>::new());
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["link", name, mac, mtu] => {
                    macs.insert((*name).to_owned(), (*mac).to_owned());
                    mtus.insert((*name).to_owned(), (*mtu).to_owned());
                }
                [_, name, "inet" | "inet6", address, ..] => {
                    let address = address.split('/').next().unwrap().to_owned();
                    addresses.entry((*name).to_owned()).or_default().push(address);
                }
                _ => {}
            }
        }
        Inside { text, macs, mtus, addresses }
    }

    /// The status's element of this interface, as Multus writes it.
    pub(crate) fn element(&self, element: &Element) -> String {
        let list = |key: &str, values: &[String]| match values {
            [] => String::new(),
            values => {
                let quoted: Vec<String> = values.iter().map(|value| format!("        \"{value}\"")).collect();
                format!(",\n    \"{key}\": [\n{}\n    ]", quoted.join(",\n"))
            }
        };
        let (network, name) = element.at.split_once(' ').unwrap();
        let mut text = format!("{{\n    \"name\": \"{network}\",\n    \"interface\": \"{name}\"");
        text.push_str(&list("ips", self.addresses.get(name).map_or(&[][..], Vec::as_slice)));
        let mac = self.macs.get(name).unwrap_or_else(|| panic!("no {name}: {}", self.text));
        write!(text, ",\n    \"mac\": \"{mac}\"").unwrap();
        if element.mtu {
            write!(text, ",\n    \"mtu\": {}", self.mtus[name]).unwrap();
        }
        if element.first {
            text.push_str(",\n    \"default\": true");
        }
        text.push_str(",\n    \"dns\": {}");
        text.push_str(&list(
            "gateway",
            &element.gateway.iter().map(|&one| one.to_owned()).collect::<Vec<_>>(),
        ));
        text.push_str("\n}");
        text
    }
}
