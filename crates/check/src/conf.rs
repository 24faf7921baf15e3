//! CNI's configuration files as a runtime would read them: `.conf`, `.conflist` and `.json`, in the order of their names.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use attach::ipam::Ipam;
use attach::macvlan;
use attach::paths::Paths;
use ipam::RangeSet;
use serde_json::{Map, Value};

/// One file.
#[derive(Debug)]
pub(crate) struct ConfFile {
    pub(crate) path: PathBuf,
    /// Why it cannot be used, or what it says.
    pub(crate) network: Result<Network, String>,
}

/// A network: a chain of plugins.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) plugins: Vec<Plugin>,
}

/// One plugin of a network.
#[derive(Debug)]
pub(crate) struct Plugin {
    pub(crate) kind: String,
    pub(crate) ipam: Option<String>,
    /// The interface it is to stand on; `None` is the default route's, for those that stand on one.
    pub(crate) master: Option<String>,
    /// The master is looked for in the container.
    pub(crate) in_container: bool,
    pub(crate) mode: Option<String>,
    pub(crate) mtu: Option<i64>,
    /// The VLAN of one of type vlan.
    pub(crate) vlan: Option<u16>,
    /// host-local's ranges and where their leases are.
    pub(crate) ranges: Vec<RangeSet>,
    pub(crate) leases: Option<PathBuf>,
    /// Gateways that the file names.
    pub(crate) gateways: Vec<IpAddr>,
    /// It asks the LAN before it uses an address.
    pub(crate) probes: bool,
}

impl Plugin {
    /// Whether it hangs a link on an interface of the host.
    pub(crate) fn stands_on_parent(&self) -> bool {
        matches!(self.kind.as_str(), "macvlan" | "ipvlan" | "vlan" | "macvtap") && !self.in_container
    }
}

impl Network {
    /// The first plugin, which makes the interface.
    pub(crate) fn main(&self) -> Option<&Plugin> {
        self.plugins.first()
    }
}

/// The files of a directory; `None` when it cannot be read.
pub(crate) fn read(directory: &Path) -> Option<Vec<ConfFile>> {
    let entries = fs::read_dir(directory).ok()?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("conf" | "conflist" | "json"))
    });
    paths.sort();
    Some(paths.into_iter().map(|path| ConfFile { network: parse_file(&path), path }).collect())
}

fn parse_file(path: &Path) -> Result<Network, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let list = path.extension().is_some_and(|extension| extension == "conflist");
    parse(&text, list)
}

/// Reads one file's text. A list has `plugins`, a single configuration a `type`.
pub(crate) fn parse(text: &str, list: bool) -> Result<Network, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let Value::Object(root) = value else { return Err("expected a JSON object".to_owned()) };
    let name = match root.get("name") {
        Some(Value::String(name)) if !name.is_empty() => name.clone(),
        Some(other) => return Err(format!("name is {other}, expected the network's name")),
        None => return Err("name is missing, expected the network's name".to_owned()),
    };
    let version = root.get("cniVersion").cloned();
    let plugins = match (root.get("plugins"), list) {
        (Some(Value::Array(plugins)), true) if !plugins.is_empty() => plugins.clone(),
        (Some(other), true) => return Err(format!("plugins is {other}, expected a list of plugins")),
        (None, true) => return Err("plugins is missing: a .conflist has a list of plugins".to_owned()),
        (Some(_), false) => return Err("a file with plugins must be named .conflist".to_owned()),
        (None, false) => vec![Value::Object(root.clone())],
    };
    let plugins = plugins
        .into_iter()
        .enumerate()
        .map(|(at, plugin)| {
            let place = if list { format!("plugins[{at}]: ") } else { String::new() };
            let Value::Object(mut plugin) = plugin else { return Err(format!("{place}expected an object")) };
            plugin.insert("name".to_owned(), name.clone().into());
            if let Some(version) = &version {
                plugin.insert("cniVersion".to_owned(), version.clone());
            }
            parse_plugin(&plugin).map_err(|error| format!("{place}{error}"))
        })
        .collect::<Result<_, _>>()?;
    Ok(Network { name, plugins })
}

fn parse_plugin(plugin: &Map<String, Value>) -> Result<Plugin, String> {
    let text = |key: &str| plugin.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let kind = text("type").ok_or("type is missing, expected a plugin's name")?.to_owned();
    if kind.contains('/') {
        return Err(format!("type is {kind:?}, expected a plugin's name without a path"));
    }
    let ipam = plugin.get("ipam").and_then(|ipam| ipam.get("type")).and_then(Value::as_str);
    let mut parsed = Plugin {
        ipam: ipam.filter(|kind| !kind.is_empty()).map(str::to_owned),
        master: text("master").map(str::to_owned),
        in_container: plugin.get("linkInContainer").and_then(Value::as_bool) == Some(true),
        mode: text("mode").map(str::to_owned),
        mtu: plugin.get("mtu").and_then(Value::as_i64).filter(|mtu| *mtu > 0),
        vlan: vlan(plugin, &kind)?,
        ranges: Vec::new(),
        leases: None,
        gateways: gateways(plugin),
        probes: plugin.get("probe").is_some_and(|probe| *probe != Value::Bool(false)),
        kind,
    };
    // Ours is the reference's contract; what a foreign plugin allows only it knows.
    if matches!(parsed.kind.as_str(), "macvlan" | "vlan" | "ipvlan" | "bridge" | "ptp") {
        ours(plugin, &mut parsed)?;
    }
    Ok(parsed)
}

/// The VLAN that a plugin of type vlan puts containers on; without `vlanId` the reference takes 0.
fn vlan(plugin: &Map<String, Value>, kind: &str) -> Result<Option<u16>, String> {
    let Some(id) = plugin.get("vlanId").filter(|_| kind == "vlan") else {
        return Ok((kind == "vlan").then_some(0));
    };
    let allowed = id.as_u64().and_then(|id| u16::try_from(id).ok()).filter(|id| *id <= 4094);
    allowed.map(Some).ok_or_else(|| format!("vlanId is {id}, allowed are 0 to 4094"))
}

/// Parses with the very code that an ADD would.
fn ours(plugin: &Map<String, Value>, parsed: &mut Plugin) -> Result<(), String> {
    const CALL: [(&str, &str); 5] = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "check"),
        ("CNI_NETNS", "/proc/self/ns/net"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_PATH", "/opt/cni/bin"),
    ];
    let config = serde_json::to_string(plugin).map_err(|error| error.to_string())?;
    let request = cni::Request::from_texts(&CALL, &config).map_err(|error| error.to_string())?;
    if parsed.kind == "macvlan" {
        macvlan::Conf::parse(&request).map_err(|error| error.to_string())?;
    }
    if let Some(Ipam::HostLocal(local)) =
        Ipam::parse(&request, &Paths::default()).map_err(|error| error.to_string())?
    {
        parsed.ranges = local.sets().to_vec();
        parsed.leases = Some(local.directory());
    }
    Ok(())
}

/// Every `gateway` that is written below `ipam`. The first address of a subnet, which host-local takes when none is, may
/// well be nobody's.
fn gateways(plugin: &Map<String, Value>) -> Vec<IpAddr> {
    fn walk(value: &Value, found: &mut Vec<IpAddr>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    let address = value.as_str().and_then(|text| text.parse().ok());
                    match (key.as_str(), address) {
                        ("gateway", Some(address)) if !found.contains(&address) => found.push(address),
                        _ => walk(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Some(ipam) = plugin.get("ipam") {
        walk(ipam, &mut found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_002_says_what_it_says() {
        let network = parse(lab::SEED_002_CONF, false).unwrap();
        let plugin = network.main().unwrap();
        assert_eq!((network.name.as_str(), plugin.master.as_deref()), ("k8s-pod-network", Some("eth0")));
        assert_eq!(plugin.gateways, ["172.16.129.254".parse::<IpAddr>().unwrap()]);
        assert_eq!(plugin.ranges.iter().map(RangeSet::size).sum::<u128>(), 10);
        assert!(plugin.stands_on_parent() && !plugin.probes);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, list, word) in [
            ("{", false, "EOF"),
            ("[]", false, "object"),
            (r#"{"type":"macvlan"}"#, false, "name"),
            (r#"{"name":"a"}"#, false, "type"),
            (r#"{"name":"a","type":"x"}"#, true, "plugins"),
            (r#"{"name":"a","plugins":[]}"#, true, "plugins"),
            (r#"{"name":"a","cniVersion":"1.0.0","type":"macvlan","mode":"brigde"}"#, false, "brigde"),
            (r#"{"name":"a","cniVersion":"1.0.0","type":"vlan","vlanId":5000}"#, false, "4094"),
            (r#"{"name":"a","cniVersion":"7.0.0","plugins":[{"type":"macvlan"}]}"#, true, "7.0.0"),
        ] {
            let error = parse(text, list).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(text: String, list: bool) {
            let _ = parse(&text, list);
        }
    }
}
