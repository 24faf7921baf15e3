//! NetworkManager: what it wrote down of each device, else a connection file for that very name.

use std::path::PathBuf;

use super::glob::matches;
use super::ini::{Ini, is_on};
use super::{Owner, Subject, Tool, View};

const PROCESS: &str = "NetworkManager";
const CONNECTIONS: [&str; 3] = [
    "etc/NetworkManager/system-connections",
    "run/NetworkManager/system-connections",
    "usr/lib/NetworkManager/system-connections",
];
const CONFIGURATION: [&str; 3] =
    ["etc/NetworkManager/conf.d", "run/NetworkManager/conf.d", "usr/lib/NetworkManager/conf.d"];

pub(super) fn owners(view: &View, subjects: &[&Subject]) -> Vec<Owner> {
    let running = view.runs(PROCESS);
    if !running && !view.is_enabled("NetworkManager.service") {
        return Vec::new();
    }
    let (rules, connections) = (left_alone(view), connections(view));
    subjects.iter().filter_map(|subject| owner(view, subject, running, &rules, &connections)).collect()
}

fn owner(
    view: &View,
    subject: &Subject,
    running: bool,
    rules: &[Rule],
    connections: &[Connection],
) -> Option<Owner> {
    let path = view.path(&format!("run/NetworkManager/devices/{}", subject.index));
    if running && let Some(text) = view.read(&path) {
        let ini = Ini::parse(&text);
        let managed = ini.last("device", "managed").is_some_and(|value| is_on(value) || value == "managed");
        let connection = ini.last("device", "connection-uuid");
        return (managed || connection.is_some()).then(|| {
            let file =
                connections.iter().find(|known| connection.is_some() && known.uuid.as_deref() == connection);
            Owner {
                interface: subject.name.clone(),
                tool: file.map_or(Tool::NetworkManager, Connection::tool),
                evidence: file.map_or_else(|| view.shown(&path), |file| view.shown(&file.path)),
                says: "manages it".to_owned(),
                running,
            }
        });
    }
    // The last word on a device counts.
    if rules.iter().rev().find(|rule| rule.is_about(subject)).is_some_and(|rule| !rule.managed) {
        return None;
    }
    let file =
        connections.iter().find(|connection| connection.interface.as_deref() == Some(&subject.name))?;
    Some(Owner {
        interface: subject.name.clone(),
        tool: file.tool(),
        evidence: view.shown(&file.path),
        says: "has a connection for it".to_owned(),
        running,
    })
}

struct Connection {
    path: PathBuf,
    uuid: Option<String>,
    interface: Option<String>,
}

impl Connection {
    fn tool(&self) -> Tool {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("netplan-") { Tool::Netplan } else { Tool::NetworkManager }
    }
}

fn connections(view: &View) -> Vec<Connection> {
    let read = |path: PathBuf| {
        let ini = Ini::parse(&view.read(&path)?);
        let text = |key: &str| ini.last("connection", key).map(str::to_owned);
        Some(Connection { uuid: text("uuid"), interface: text("interface-name"), path })
    };
    view.files(&CONNECTIONS, ".nmconnection").into_iter().filter_map(read).collect()
}

/// That devices are left alone, or not.
struct Rule {
    devices: Vec<String>,
    managed: bool,
}

fn left_alone(view: &View) -> Vec<Rule> {
    let list = |text: &str| {
        text.split([';', ',']).map(|word| word.trim().to_owned()).filter(|w| !w.is_empty()).collect()
    };
    let mut rules = Vec::new();
    let main = view.path("etc/NetworkManager/NetworkManager.conf");
    for path in std::iter::once(main).chain(view.files(&CONFIGURATION, ".conf")) {
        let ini = Ini::parse(&view.read(&path).unwrap_or_default());
        for key in ["unmanaged-devices", "unmanaged-devices+"] {
            let unmanaged = ini.all("keyfile", key);
            rules.extend(unmanaged.map(|text| Rule { devices: list(text), managed: false }));
        }
        for section in ini.sections().into_iter().filter(|name| name.starts_with("device")) {
            if let (Some(devices), Some(managed)) =
                (ini.last(section, "match-device"), ini.last(section, "managed"))
            {
                rules.push(Rule { devices: list(devices), managed: is_on(managed) });
            }
        }
    }
    rules
}

impl Rule {
    fn is_about(&self, subject: &Subject) -> bool {
        let is = |word: &str| match word.split_once(':') {
            _ if word == "*" => true,
            Some(("interface-name", name)) => match name.strip_prefix('=') {
                Some(name) => name == subject.name,
                None => matches(name.strip_prefix('~').unwrap_or(name), &subject.name),
            },
            Some(("mac", mac)) => [subject.mac, subject.permanent_mac]
                .into_iter()
                .flatten()
                .any(|own| own.to_string().eq_ignore_ascii_case(mac)),
            Some(("type", kind)) => match subject.kind.as_deref() {
                None => kind == "ethernet",
                Some(own) => kind == own,
            },
            Some(_) => false,
            None => matches(word, &subject.name),
        };
        let (except, only): (Vec<&str>, Vec<&str>) =
            self.devices.iter().map(String::as_str).partition(|word| word.starts_with("except:"));
        let excepted = except.iter().filter_map(|word| word.strip_prefix("except:")).any(is);
        // A list of exceptions alone is about all others.
        !excepted && (only.iter().any(|word| is(word)) || (only.is_empty() && !except.is_empty()))
    }
}
