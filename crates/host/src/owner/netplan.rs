//! netplan: interfaces that its files name or match.

use std::path::PathBuf;

use serde_yaml_ng::Value;

use super::glob::matches;
use super::{Owner, Subject, Tool, View};

const DIRS: [&str; 3] = ["etc/netplan", "run/netplan", "usr/lib/netplan"];
/// What shows that it is installed: its files alone do nothing.
const PROGRAMS: [&str; 4] = [
    "usr/sbin/netplan",
    "usr/libexec/netplan/generate",
    "usr/lib/netplan/generate",
    "usr/lib/systemd/system-generators/netplan",
];
/// Kinds of devices in its language.
const KINDS: [&str; 9] = [
    "ethernets",
    "bonds",
    "bridges",
    "vlans",
    "tunnels",
    "dummy-devices",
    "vrfs",
    "wifis",
    "virtual-ethernets",
];

pub(super) fn owners(view: &View, subjects: &[&Subject]) -> Vec<Owner> {
    if !PROGRAMS.iter().any(|path| view.exists(path)) {
        return Vec::new();
    }
    let devices: Vec<Device> =
        view.files(&DIRS, ".yaml").into_iter().flat_map(|path| devices(view, &path)).collect();
    let mut owners = Vec::new();
    for subject in subjects {
        owners.extend(devices.iter().find(|device| device.is(subject)).map(|device| Owner {
            interface: subject.name.clone(),
            tool: Tool::Netplan,
            evidence: view.shown(&device.path),
            says: format!("has it as {}", device.id),
            running: view.runs("systemd-network") || view.runs("NetworkManager"),
        }));
    }
    owners
}

struct Device {
    path: PathBuf,
    id: String,
    /// `match`: name, MAC; `None` when the device is named by its identity.
    matching: Option<(Option<String>, Option<String>)>,
    set_name: Option<String>,
}

fn devices(view: &View, path: &std::path::Path) -> Vec<Device> {
    let text = view.read(path).unwrap_or_default();
    // What netplan itself cannot read, it does not configure either.
    let Ok(file) = serde_yaml_ng::from_str::<Value>(&text) else { return Vec::new() };
    let network = file.get("network");
    let kinds = KINDS.iter().filter_map(|kind| network?.get(kind)?.as_mapping());
    let device = |(id, settings): (&Value, &Value)| {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let matching = settings.get("match");
        Some(Device {
            path: path.to_owned(),
            id: id.as_str()?.to_owned(),
            matching: matching.map(|m| (text(m.get("name")), text(m.get("macaddress")))),
            set_name: text(settings.get("set-name")),
        })
    };
    kinds.flatten().filter_map(device).collect()
}

impl Device {
    fn is(&self, subject: &Subject) -> bool {
        if self.set_name.as_ref() == Some(&subject.name) {
            return true;
        }
        match &self.matching {
            None => self.id == subject.name,
            // By driver only: networkd or NetworkManager says which link that is.
            Some((None, None)) => false,
            Some((name, mac)) => {
                let is_mac = |mac: &String| {
                    let own = [subject.permanent_mac, subject.mac];
                    own.into_iter().flatten().any(|own| own.to_string().eq_ignore_ascii_case(mac))
                };
                name.as_ref().is_none_or(|name| matches(name, &subject.name))
                    && mac.as_ref().is_none_or(is_mac)
            }
        }
    }
}
