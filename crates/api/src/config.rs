//! A network's configuration: one plugin or a chain, with its invariants checked and the request's parts put in.

use cni::json::{self, Node, Object, Value};
use cni::{CniResult, Version};

use crate::LONGEST_CONFIG;
use crate::name::is_identifier;

/// Most plugins of a chain.
const MOST_PLUGINS: usize = 32;

/// What is wrong with a configuration, without whose it is.
pub(crate) type Problem = String;

/// A configuration or configuration list. Its name and its plugins' types are safe as file names, its plugins are at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct NetConfig {
    name: String,
    version: Option<Version>,
    list: bool,
    disable_check: bool,
    disable_gc: bool,
    plugins: Vec<PluginConfig>,
}

/// One plugin of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginConfig {
    kind: String,
    ipam: Option<String>,
    capabilities: Vec<String>,
    conf: Value,
}

impl NetConfig {
    /// Reads a configuration or list: with a `type` it is one plugin's, else a list's. `fallback` is its name when it
    /// has none (a definition's own name).
    ///
    /// # Errors
    /// The key, its value and what is allowed.
    pub fn parse(text: &str, fallback: Option<&str>) -> Result<NetConfig, Problem> {
        if text.len() > LONGEST_CONFIG {
            return Err(format!("has {} bytes, at most {LONGEST_CONFIG} are allowed", text.len()));
        }
        let value = json::parse(text.as_bytes()).map_err(|error| error.to_string())?;
        NetConfig::from_value(&value, fallback).map_err(|error| error.to_string())
    }

    fn from_value(value: &Value, fallback: Option<&str>) -> cni::Result<NetConfig> {
        let root = Object::root(value)?;
        let name = match (root.text("name")?, fallback) {
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => return Err(root.missing("name", "the network's name")),
        };
        if !is_identifier(name) {
            let allowed = "letters, digits, _, . and -, a letter or digit first, at most 255";
            return Err(cni::Error::config("name", format_args!("{name:?}"), allowed));
        }
        let mut config = NetConfig {
            name: name.to_owned(),
            version: version(&root)?,
            list: root.text("type")?.is_none(),
            disable_check: false,
            disable_gc: false,
            plugins: Vec::new(),
        };
        if !config.list {
            config.plugins.push(PluginConfig::read(&root, value.clone())?);
            return Ok(config);
        }
        // Go's reader of lists takes a text for the truth value as well.
        config.disable_check = flag(&root, "disableCheck")?;
        config.disable_gc = flag(&root, "disableGC")?;
        let plugins = root.items("plugins")?;
        if plugins.is_empty() {
            return Err(root.missing("type", "a plugin's type, or plugins with at least one"));
        }
        if plugins.len() > MOST_PLUGINS {
            return Err(cni::Error::config("plugins", plugins.len(), "at most 32"));
        }
        for node in plugins {
            config.plugins.push(PluginConfig::read(&node.object()?, node.value.clone())?);
        }
        Ok(config)
    }

    /// The network's name, as plugins see it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of the contract; 0.1.0 when the configuration names none.
    pub fn version(&self) -> Version {
        self.version.unwrap_or(Version::V010)
    }

    /// The plugins, in the order of ADD.
    pub fn plugins(&self) -> &[PluginConfig] {
        &self.plugins
    }

    /// Whether it is a list, for which CHECK and GC may be switched off.
    pub fn is_list(&self) -> bool {
        self.list
    }

    /// Whether CHECK is wanted: 0.4.0 has it first.
    pub fn can_check(&self) -> bool {
        self.version() >= Version::V040 && !self.disable_check
    }

    /// Whether GC is wanted: 1.1.0 has it first.
    pub fn can_collect(&self) -> bool {
        self.version() >= Version::V110 && !self.disable_gc
    }

    /// Whether STATUS is understood.
    pub fn can_tell_status(&self) -> bool {
        self.version() >= Version::V110
    }

    /// Whether some plugin declares the capability.
    pub fn has_capability(&self, name: &str) -> bool {
        self.plugins.iter().any(|plugin| plugin.has_capability(name))
    }

    /// Appends plugins to a list's chain.
    pub(crate) fn extend(&mut self, plugins: Vec<PluginConfig>) {
        self.plugins.extend(plugins);
    }

    /// Merges `args` into `args.cni` of each plugin; what is there already under a key gives way.
    pub(crate) fn put_cni_args(&mut self, args: &Value) {
        let Value::Object(given) = args else { return };
        for plugin in &mut self.plugins {
            let mut outer = member(&plugin.conf, "args");
            let mut inner = member(&outer, "cni");
            for (key, value) in given {
                inner.set(key, value.clone());
            }
            replace(&mut outer, "cni", inner);
            replace(&mut plugin.conf, "args", outer);
        }
    }

    /// Names the device in each plugin, in both spellings that plugins read.
    pub(crate) fn put_device(&mut self, device: &str) {
        for plugin in &mut self.plugins {
            replace(&mut plugin.conf, "deviceID", device.into());
            replace(&mut plugin.conf, "pciBusID", device.into());
        }
    }

    /// Gives plugin `index` a key that its configuration has not: an answer to what was left open there.
    pub fn put_default(&mut self, index: usize, key: &str, value: Value) {
        if let Some(plugin) = self.plugins.get_mut(index)
            && Object::root(&plugin.conf).is_ok_and(|conf| !conf.has(key))
        {
            plugin.conf.set(key, value);
        }
    }

    /// What plugin `index` reads on standard input: its configuration with the network's `name` and `cniVersion`, the
    /// previous result, and of `runtime` what it declares as its capabilities. `None` when there is no such plugin.
    ///
    /// # Errors
    /// The previous result has no form in this version.
    pub fn stdin(
        &self,
        index: usize,
        prev: Option<&CniResult>,
        runtime: &[(String, Value)],
    ) -> cni::Result<Option<String>> {
        let Some(plugin) = self.plugins.get(index) else { return Ok(None) };
        let mut conf = plugin.conf.clone();
        replace(&mut conf, "name", self.name.as_str().into());
        if let Some(version) = self.version {
            replace(&mut conf, "cniVersion", version.as_str().into());
        }
        let given: Vec<(String, Value)> =
            runtime.iter().filter(|(key, _)| plugin.has_capability(key)).cloned().collect();
        if !given.is_empty() {
            replace(&mut conf, "runtimeConfig", Value::Object(given));
        }
        if let Some(prev) = prev {
            replace(&mut conf, "prevResult", prev.to_json(self.version())?);
        }
        Ok(Some(conf.to_compact()))
    }

    /// The whole as text that [`Self::parse`] reads again, with everything put in so far.
    pub fn to_text(&self) -> String {
        let mut value = match (self.list, self.plugins.first()) {
            (false, Some(plugin)) => plugin.conf.clone(),
            _ => Value::object([]),
        };
        replace(&mut value, "name", self.name.as_str().into());
        if let Some(version) = self.version {
            replace(&mut value, "cniVersion", version.as_str().into());
        }
        if self.list {
            for (key, on) in [("disableCheck", self.disable_check), ("disableGC", self.disable_gc)] {
                if on {
                    value.set(key, true.into());
                }
            }
            let plugins = self.plugins.iter().map(|plugin| plugin.conf.clone()).collect();
            value.set("plugins", Value::Array(plugins));
        }
        value.to_compact()
    }
}

impl PluginConfig {
    fn read(object: &Object<'_>, conf: Value) -> cni::Result<PluginConfig> {
        let Some(kind) = object.text("type")? else {
            return Err(object.missing("type", "a plugin's type"));
        };
        file_name(&object.path_of("type"), kind)?;
        // Differs: Multus runs itself until the runtime gives up.
        if matches!(kind, "multus" | "multus-shim") {
            let allowed = "the plugin that makes the interface";
            return Err(cni::Error::config(&object.path_of("type"), kind, allowed));
        }
        let mut ipam = None;
        if let Some(object) = object.object("ipam")?
            && let Some(kind) = object.text("type")?
        {
            file_name(&object.path_of("type"), kind)?;
            ipam = Some(kind.to_owned());
        }
        let mut capabilities = Vec::new();
        if let Some(declared) = object.object("capabilities")? {
            for (key, _) in declared.raw() {
                // Exact keys here: capabilities are a map in Go, not a structure.
                let on = declared.raw().iter().rev().find(|(other, _)| other == key).map(|(_, value)| value);
                match on {
                    Some(Value::Bool(true)) if !capabilities.contains(key) => capabilities.push(key.clone()),
                    Some(Value::Bool(_) | Value::Null) | None => {}
                    Some(other) => {
                        return Err(cni::Error::config(&declared.path_of(key), other, "true or false"));
                    }
                }
            }
        }
        // What requests are merged into must be there to be merged into; Multus panics where it is not.
        if let Some(args) = object.object("args")? {
            args.object("cni")?;
        }
        Ok(PluginConfig { kind: kind.to_owned(), ipam, capabilities, conf })
    }

    /// One plugin of a chain, from a file of its own.
    pub(crate) fn parse(text: &str) -> Result<PluginConfig, Problem> {
        if text.len() > LONGEST_CONFIG {
            return Err(format!("has {} bytes, at most {LONGEST_CONFIG} are allowed", text.len()));
        }
        let value = json::parse(text.as_bytes()).map_err(|error| error.to_string())?;
        let read = Object::root(&value).and_then(|root| PluginConfig::read(&root, value.clone()));
        read.map_err(|error| error.to_string())
    }

    /// `type`: the plugin's file in `CNI_PATH`; no path.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// `ipam.type`; none when absent or empty.
    pub fn ipam(&self) -> Option<&str> {
        self.ipam.as_deref()
    }

    /// The configuration for reading.
    pub fn root(&self) -> Object<'_> {
        Object::root(&self.conf).unwrap_or_else(|_| Object::empty())
    }

    /// Whether it declares the capability.
    pub fn has_capability(&self, name: &str) -> bool {
        self.capabilities.iter().any(|declared| declared == name)
    }

    /// Its capabilities, in the order of the configuration.
    pub fn capabilities(&self) -> &[String] {
        &self.capabilities
    }
}

fn file_name(path: &str, text: &str) -> cni::Result<()> {
    if is_identifier(text) {
        return Ok(());
    }
    let allowed = "a plugin's file name: letters, digits, _, . and -, a letter or digit first";
    Err(cni::Error::config(path, format_args!("{text:?}"), allowed))
}

fn flag(root: &Object<'_>, key: &str) -> cni::Result<bool> {
    match root.get(key) {
        None => Ok(false),
        Some(Node { value: Value::String(text), .. }) if text == "true" => Ok(true),
        Some(Node { value: Value::String(text), .. }) if text == "false" => Ok(false),
        Some(node) => node.bool(),
    }
}

/// `cniVersion`, or the newest of `cniVersions` that is known, as libcni 1.3 chooses.
fn version(root: &Object<'_>) -> cni::Result<Option<Version>> {
    let known = |text: &str| Version::ALL.iter().copied().find(|version| version.as_str() == text);
    let one = match root.get("cniVersion") {
        None => None,
        Some(node) => match node.string()? {
            "" => None,
            text => Some(
                known(text).ok_or_else(|| node.refuse("a version of the specification, 0.1.0 to 1.1.0"))?,
            ),
        },
    };
    let several = root.strings("cniVersions")?.into_iter().filter_map(known).max();
    Ok(one.max(several))
}

/// The object under `key`, without regard to case as Go reads; an empty one when there is none.
fn member(value: &Value, key: &str) -> Value {
    let found = Object::root(value).ok().and_then(|object| object.get(key)).map(|node| node.value.clone());
    match found {
        Some(found @ Value::Object(_)) => found,
        _ => Value::Object(Vec::new()),
    }
}

/// Puts `new` under `key` and drops every other spelling of the key, in the place of the first one.
fn replace(value: &mut Value, key: &str, new: Value) {
    let Value::Object(members) = value else { return };
    let at = members.iter().position(|(name, _)| name.eq_ignore_ascii_case(key));
    members.retain(|(name, _)| !name.eq_ignore_ascii_case(key));
    members.insert(at.unwrap_or(members.len()).min(members.len()), (key.to_owned(), new));
}
