//! systemd-networkd: what it wrote down of each link, else the first `.network` file that matches.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::glob::matches;
use super::ini::{Ini, is_on};
use super::{Owner, Subject, Tool, View};

const PROCESS: &str = "systemd-network";
const UNIT: &str = "systemd-networkd.service";
const DIRS: [&str; 4] = [
    "etc/systemd/network",
    "run/systemd/network",
    "usr/local/lib/systemd/network",
    "usr/lib/systemd/network",
];

pub(super) fn owners(view: &View, subjects: &[&Subject]) -> Vec<Owner> {
    let running = view.runs(PROCESS);
    if !running && !view.is_enabled(UNIT) {
        return Vec::new();
    }
    let files = networks(view);
    let mut owners = Vec::new();
    for subject in subjects {
        let told = running.then(|| told(view, subject)).flatten();
        let file = match &told {
            Some(Told { managed: false, .. }) => None,
            Some(Told { file: Some(file), .. }) => Some(file.clone()),
            // It has not come to this link yet, or the link is still to be made.
            _ => files
                .iter()
                .find(|network| network.matches(subject))
                .filter(|n| n.manages)
                .map(|n| n.path.clone()),
        };
        owners.extend(file.map(|file| {
            let shown = view.shown(&view.path(&file.display().to_string()));
            let tool = if is_of_netplan(&shown) { Tool::Netplan } else { Tool::SystemdNetworkd };
            Owner {
                interface: subject.name.clone(),
                tool,
                says: if told.is_some() { "configures it".to_owned() } else { "matches it".to_owned() },
                evidence: shown,
                running,
            }
        }));
    }
    owners
}

fn is_of_netplan(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.contains("netplan"))
}

/// What networkd says of a link in `/run/systemd/netif/links`.
struct Told {
    managed: bool,
    file: Option<PathBuf>,
}

fn told(view: &View, subject: &Subject) -> Option<Told> {
    let text = view.read(&view.path(&format!("run/systemd/netif/links/{}", subject.index)))?;
    let ini = Ini::parse(&text);
    let state = ini.last("", "ADMIN_STATE")?;
    if ["pending", "initialized"].contains(&state) {
        return None;
    }
    let file = ini.last("", "NETWORK_FILE").map(|file| PathBuf::from(file.trim_matches('"')));
    Some(Told { managed: state != "unmanaged" && file.is_some(), file })
}

/// A `.network` file.
struct Network {
    path: PathBuf,
    matching: Vec<(String, String)>,
    manages: bool,
}

fn networks(view: &View) -> Vec<Network> {
    let read = |path: PathBuf| {
        let shown = view.shown(&path);
        // A link to /dev/null, or an empty file, hides those of the same name.
        let text = view.read(&path).filter(|text| !text.trim().is_empty())?;
        let ini = Ini::parse(&text);
        let matching: Vec<_> = ini.section("Match").map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let manages = !ini.last("Link", "Unmanaged").is_some_and(is_on);
        Some(Network { path: shown, matching, manages })
    };
    view.files(&DIRS, ".network").into_iter().filter_map(read).collect()
}

impl Network {
    /// All keys must match. One that we cannot judge (a driver, a path, a property) is taken for no match: while
    /// networkd runs, it says itself which link has which file.
    fn matches(&self, subject: &Subject) -> bool {
        // Without a section it matches everything only for versions long gone.
        if self.matching.is_empty() {
            return false;
        }
        let mut keys: Vec<&str> = self.matching.iter().map(|(key, _)| key.as_str()).collect();
        keys.dedup();
        keys.into_iter().all(|key| {
            // Later lines add to earlier ones; an empty one forgets them.
            let values =
                self.matching.iter().filter(|(other, _)| other == key).map(|(_, value)| value.as_str());
            let words = values.fold(Vec::new(), |mut words: Vec<&str>, value| {
                if value.is_empty() {
                    words.clear();
                }
                words.extend(value.split_ascii_whitespace());
                words
            });
            match key {
                "Name" => any(&words, &subject.name),
                "MACAddress" => is_mac(&words, subject.mac),
                "PermanentMACAddress" => is_mac(&words, subject.permanent_mac),
                "Type" => any(&words, subject.device_type()),
                "Kind" => subject.kind.as_deref().is_some_and(|kind| any(&words, kind)),
                _ => false,
            }
        })
    }
}

impl Subject {
    /// As networkd names types.
    fn device_type(&self) -> &str {
        match self.kind.as_deref() {
            Some(kind @ ("bond" | "bridge" | "vlan" | "vxlan" | "macvlan" | "macvtap")) => kind,
            _ => "ether",
        }
    }
}

/// A list of patterns; one that begins with `!` turns the whole list around.
fn any(words: &[&str], text: &str) -> bool {
    let inverted = words.first().is_some_and(|word| word.starts_with('!'));
    let hit = words.iter().any(|word| matches(word.strip_prefix('!').unwrap_or(word), text));
    !words.is_empty() && hit != inverted
}

fn is_mac(words: &[&str], mac: Option<kernel::MacAddr>) -> bool {
    let plain = |text: &str| text.replace(['-', '.', ':'], "").to_ascii_lowercase();
    let Some(mac) = mac.map(|mac| plain(&mac.to_string())) else { return false };
    words.iter().any(|word| plain(word) == mac)
}

/// Whether networkd takes away what it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Foreign {
    /// `ManageForeignRoutes`.
    pub routes: bool,
    /// `ManageForeignRoutingPolicyRules`.
    pub rules: bool,
}

impl Foreign {
    /// What networkd does with routes and rules of others; `None` where it neither runs nor is started at boot.
    pub fn of(view: &View) -> Option<Self> {
        if !view.runs(PROCESS) && !view.is_enabled(UNIT) {
            return None;
        }
        let mut foreign = Self { routes: true, rules: true };
        let dirs = DIRS.map(|dir| dir.replace("network", "networkd.conf.d"));
        let dirs: Vec<&str> = dirs.iter().map(String::as_str).collect();
        let main =
            ["etc/systemd/networkd.conf", "run/systemd/networkd.conf", "usr/lib/systemd/networkd.conf"];
        let main = main.iter().map(|path| view.path(path)).find(|path| path.exists());
        for path in main.into_iter().chain(view.files(&dirs, ".conf")) {
            let ini = Ini::parse(&view.read(&path).unwrap_or_default());
            let read = |key: &str, value: &mut bool| {
                ini.last("Network", key).into_iter().for_each(|text| *value = text.is_empty() || is_on(text));
            };
            read("ManageForeignRoutes", &mut foreign.routes);
            read("ManageForeignRoutingPolicyRules", &mut foreign.rules);
        }
        Some(foreign)
    }
}
